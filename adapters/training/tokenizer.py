"""The tokenizer: byte-level BPE with isolated spaces, digits, Hangul syllables and signs.

So a name is the same tokens wherever it stands, and a copied span never begins inside a token of its surroundings.

Vocabulary (6,144): 256 bytes, the 2,350 common syllables of KS X 1001 with their two-byte stems, English pieces
learned from the generated corpus, Llama-3's special tokens, and one token for each evidence number ``[0]`` … ``[16]``.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from adapters.prompt import BOS, CHAT_TEMPLATE, END, EOT, MARKERS, SPECIAL_TOKENS, STOP_TOKENS
from adapters.training import corpus

VOCABULARY: Final = 6_144
CONTEXT: Final = 2_048
STOPS: Final = STOP_TOKENS
_PIECES = r"\s+|\p{N}|[가-힣]|[A-Za-z]+|[^\s\p{N}A-Za-z가-힣]"


def _pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    split = pre_tokenizers.Split(Regex(_PIECES), behavior="isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def syllables() -> list[str]:
    """The 2,350 Hangul syllables of KS X 1001."""
    pairs = (bytes([high, low]) for high in range(0xB0, 0xC9) for low in range(0xA1, 0xFF))
    return [text for pair in pairs if "가" <= (text := pair.decode("euc_kr", errors="replace")) <= "힣"]


def _symbols(text: str) -> str:
    """Byte-level BPE's visible character of every byte of ``text``."""
    return "".join(
        piece for piece, _ in pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)
    )


def _english_merges(examples: int, seed: int, wanted: int) -> list[tuple[str, str]]:
    """Merges learned from the ASCII words of the corpus; Hangul takes no part."""
    import json
    import re

    words: Counter[str] = Counter()
    stages: tuple[corpus.Stage, ...] = ("base", "adapter")
    for stage in stages:
        for index in range(examples):
            example = corpus.example_at(seed, index, stage)
            words.update(re.findall(r"[A-Za-z]+", example.prompt() + example.target()))
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    # Square roots: frequent scaffolding must not outvote the words of the documents.
    lines = (" ".join([word] * max(1, round(count**0.5))) for word, count in sorted(words.items()))
    trainer = trainers.BpeTrainer(vocab_size=wanted + 80, show_progress=False, min_frequency=2)
    learner.train_from_iterator(lines, trainer)
    merges = json.loads(learner.to_str())["model"]["merges"]
    return [(a, b) for a, b in merges][:wanted]


def build(*, examples: int = 6_000, seed: int = 0) -> PreTrainedTokenizerFast:
    """Train the tokenizer on generated text. Deterministic."""
    vocabulary = {symbol: i for i, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges: list[tuple[str, str]] = []

    def learn(a: str, b: str) -> None:
        if a + b not in vocabulary:
            vocabulary[a + b] = len(vocabulary)
            merges.append((a, b))

    newline = _symbols("\n")
    learn(newline, newline)
    for syllable in syllables():
        first, second, third = list(_symbols(syllable))
        learn(first, second)
        learn(first + second, third)
    room = VOCABULARY - len(SPECIAL_TOKENS) - len(MARKERS) - len(vocabulary)
    for a, b in _english_merges(examples, seed, room + 400):
        if len(vocabulary) < VOCABULARY - len(SPECIAL_TOKENS) - len(MARKERS):
            learn(a, b)
    while len(vocabulary) < VOCABULARY - len(SPECIAL_TOKENS) - len(MARKERS):
        vocabulary[f"<|unused_{len(vocabulary)}|>"] = len(vocabulary)
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    inner.pre_tokenizer = _pre_tokenizer()
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    inner.add_tokens([AddedToken(token, special=False, normalized=False) for token in MARKERS])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=inner, bos_token=BOS, eos_token=EOT, pad_token=END, chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT, clean_up_tokenization_spaces=False,
    )  # fmt: skip


def load(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a base folder."""
    loaded: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    return loaded


def quiet_ids(tok: PreTrainedTokenizerFast) -> list[int]:
    """Ids of tokens that stand everywhere and tell nothing: white space, signs, special tokens."""
    signs = [*" \n\t.,:;?!()[]{}\"'|=~-_/<>", "\n\n", *SPECIAL_TOKENS]
    found = (tok(sign, add_special_tokens=False).input_ids for sign in signs)
    return sorted({ids[0] for ids in found if len(ids) == 1})
