"""A local LLaMA or GPT-NeoX checkpoint as a LangChain chat model: loading, templates, decoding, caches, batches."""
