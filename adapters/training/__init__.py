"""Everything that makes the shipped weights: generated text, tokenizer, base, adapter, evaluation."""
