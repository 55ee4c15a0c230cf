"""The tokenizer: byte-level BPE over words, single Hangul syllables, single digits and single signs.

A word, syllable, digit or sign takes the space before it along; ``adapters.prompt.spaced`` puts one before every word.
So a name is the same tokens in the request and in the call, and the token before a word is the word before it.

Vocabulary (8,192): 256 bytes, the 2,350 common syllables of KS X 1001 with their two-byte stems, digits, signs and
frequent syllables with their space, English pieces learned from the generated text, Llama-3's special tokens, and one
token for each evidence number ``[0]`` … ``[16]``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from adapters.prompt import BOS, CHAT_TEMPLATE, END, EOT, MARKERS, SPECIAL_TOKENS, STOP_TOKENS
from adapters.training import corpus

VOCABULARY: Final = 8_192
CONTEXT: Final = 2_048
STOPS: Final = STOP_TOKENS
SPACED_SYLLABLES: Final = 1_600
_PIECES = r"\n+| ?[A-Za-z]+| ?[가-힣]| ?\p{N}| ?[^\s\p{N}A-Za-z가-힣]|\s"
_SIGNS: Final = "()[]{}<>\"'.,:;?!-_/~=+|*&@#%"


def _bytes() -> pre_tokenizers.ByteLevel:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def _pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"), _bytes()])


def syllables() -> list[str]:
    """The 2,350 Hangul syllables of KS X 1001."""
    pairs = (bytes([high, low]) for high in range(0xB0, 0xC9) for low in range(0xA1, 0xFF))
    return [text for pair in pairs if "가" <= (text := pair.decode("euc_kr", errors="replace")) <= "힣"]


def _symbols(text: str) -> str:
    """Byte-level BPE's visible character of every byte of ``text``."""
    return "".join(piece for piece, _ in _bytes().pre_tokenize_str(text))


def _english_merges(words: Counter[str], wanted: int) -> list[tuple[str, str]]:
    """Merges learned from ASCII words, each with or without its space; Hangul takes no part."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    # Square roots: frequent scaffolding must not outvote the words of the documents.
    lines = (" ".join([_symbols(word)] * max(1, round(count**0.5))) for word, count in sorted(words.items()))
    trainer = trainers.BpeTrainer(vocab_size=wanted + 80, show_progress=False, min_frequency=2)
    learner.train_from_iterator(lines, trainer)
    return [(a, b) for a, b in json.loads(learner.to_str())["model"]["merges"]][:wanted]


def build(texts: Iterable[str] | None = None, *, examples: int = 20_000, seed: int = 0) -> PreTrainedTokenizerFast:
    """Train the tokenizer on generated text, or on ``texts``. Deterministic."""
    words: Counter[str] = Counter()
    spaced: Counter[str] = Counter()
    for text in texts or (text for i in range(examples) for text in corpus.texts_of(corpus.item_at(seed, i))):
        words.update(re.findall(r" ?[A-Za-z]+", text))
        spaced.update(re.findall(r" ([가-힣])", text))
    vocabulary = {symbol: i for i, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges: list[tuple[str, str]] = []

    def learn(a: str, b: str) -> None:
        if a + b not in vocabulary:
            vocabulary[a + b] = len(vocabulary)
            merges.append((a, b))

    space, newline = _symbols(" "), _symbols("\n")
    learn(newline, newline)
    for syllable in syllables():
        first, second, third = list(_symbols(syllable))
        learn(first, second)
        learn(first + second, third)
    for syllable, _ in sorted(spaced.items(), key=lambda found: (-found[1], found[0]))[:SPACED_SYLLABLES]:
        if _symbols(syllable) in vocabulary:
            learn(space, _symbols(syllable))
    for sign in "0123456789" + _SIGNS:
        learn(space, sign)
    limit = VOCABULARY - len(SPECIAL_TOKENS) - len(MARKERS)
    for a, b in _english_merges(words, limit - len(vocabulary) + 400):
        if len(vocabulary) < limit:
            learn(a, b)
    while len(vocabulary) < limit:
        vocabulary[f"<|unused_{len(vocabulary)}|>"] = len(vocabulary)
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    inner.pre_tokenizer = _pre_tokenizer()
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    inner.add_tokens([AddedToken(token, special=False, normalized=False) for token in MARKERS])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token=BOS, eos_token=EOT, pad_token=END, chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT, clean_up_tokenization_spaces=False,
    )  # fmt: skip


def load(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a base folder."""
    loaded: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    return loaded
