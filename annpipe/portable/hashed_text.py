"""Texts → counts of their words or character n-grams, each counted in the column that its hash says. Needs NumPy alone.

The options, and the numbers that they give, are those of scikit-learn's `HashingVectorizer`, but for `n_features`,
which is small here: a row is kept with all its columns. A copy goes beside `answering.py` into every MLflow model.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np

from .cell_text import CellFormat, cell_text, plain

ANALYZERS = ("word", "char", "char_wb")
N_FEATURES = 1024
MOST_FEATURES = 2**20
MOST_NGRAM = 20
MOST_KNOWN = 200_000  # n-grams whose hash is remembered
_WORD = re.compile(r"\b\w\w+\b")
_BLANKS = re.compile(r"\s\s+")


@dataclass(frozen=True)
class TextCounts:
    """How a text is counted: what is counted (`analyzer`, `ngram_range`), into how many columns, and what follows.

    `alternate_sign` counts half of the n-grams downwards, so that those of one column cancel rather than add up;
    `norm` makes the counts of a row one long ("l2") or of the sum 1 ("l1").
    """

    analyzer: str = "word"
    ngram_range: tuple[int, int] = (1, 1)
    n_features: int = N_FEATURES
    lowercase: bool = True
    strip_accents: str | None = None
    binary: bool = False
    norm: str | None = "l2"
    alternate_sign: bool = True

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """From options as a spec and model.json have them; raises ValueError with the option, and what is wrong."""
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                raise ValueError(name, f"there is no option '{name}'", f"the options are {', '.join(known)}")
        values = dict(options)
        if "ngram_range" in values:
            values["ngram_range"] = _ngram_range(values["ngram_range"])
        counts = cls(**values)
        for name, is_right, rule in counts._rules():
            if not is_right:
                raise ValueError(name, f"must be {rule}; found {values[name]!r}", None)
        return counts

    def _rules(self) -> Iterator[tuple[str, bool, str]]:
        yield "analyzer", self.analyzer in ANALYZERS, f"one of {', '.join(ANALYZERS)}"
        is_count = type(self.n_features) is int and 1 <= self.n_features <= MOST_FEATURES
        yield "n_features", is_count, f"a whole number from 1 to {MOST_FEATURES}"
        yield "norm", self.norm in ("l1", "l2", None), "l1, l2 or null"
        yield "strip_accents", self.strip_accents in ("ascii", "unicode", None), "ascii, unicode or null"
        for name in ("lowercase", "binary", "alternate_sign"):
            yield name, type(getattr(self, name)) is bool, "true or false"

    def to_data(self) -> dict[str, Any]:
        """As a JSON object."""
        return {**asdict(self), "ngram_range": list(self.ngram_range)}

    def ngrams(self, text: str) -> Iterator[str]:
        """What is counted in a text."""
        text = text.lower() if self.lowercase else text
        if self.strip_accents:
            text = _without_accents(text, to_ascii=self.strip_accents == "ascii")
        if self.analyzer == "word":
            words = _WORD.findall(text)
            yield from (" ".join(run) for run in _runs(words, self.ngram_range))
        elif self.analyzer == "char":
            yield from _runs(_BLANKS.sub(" ", text), self.ngram_range)
        else:
            for word in _BLANKS.sub(" ", text).split():
                yield from _inside(f" {word} ", self.ngram_range)

    def counts(self, texts: Sequence[str | None]) -> np.ndarray[Any, Any]:
        """(rows,) texts -> (rows, n_features) float64; a missing text has no words, and counts 0 everywhere."""
        known: dict[str, tuple[int, float]] = {}
        out = np.zeros((len(texts), self.n_features))
        for row, text in enumerate(texts):
            places = [self._place(ngram, known) for ngram in self.ngrams(text or "")]
            if places:
                columns, signs = (np.array(part) for part in zip(*places, strict=True))
                np.add.at(out[row], columns, signs)
                if self.binary:  # also where a count fell to 0 again
                    out[row, columns] = 1.0
        if self.norm:
            sizes = np.sqrt((out * out).sum(1)) if self.norm == "l2" else np.abs(out).sum(1)
            out /= np.where(sizes == 0, 1.0, sizes)[:, None]
        return out

    def _place(self, ngram: str, known: dict[str, tuple[int, float]]) -> tuple[int, float]:
        """The column of an n-gram, and whether it counts up or down."""
        column = known.get(ngram)
        if column is None:
            number = murmur3(ngram.encode("utf-8", "surrogatepass"))
            column = abs(number) % self.n_features, -1.0 if self.alternate_sign and number < 0 else 1.0
            if len(known) < MOST_KNOWN:
                known[ngram] = column
        return column


def _ngram_range(value: Any) -> tuple[int, int]:
    is_pair = isinstance(value, list | tuple) and len(value) == 2 and all(type(item) is int for item in value)
    if not is_pair or not 1 <= value[0] <= value[1] <= MOST_NGRAM:
        rule = f"two whole numbers from 1 to {MOST_NGRAM}, the least length and the greatest"
        raise ValueError("ngram_range", f"must be {rule}; found {value!r}", "as in `ngram_range: [1, 2]`")
    return value[0], value[1]


def _runs(items: Any, lengths: tuple[int, int]) -> Iterator[Any]:
    """Items that follow one another, of every length up to all of them."""
    for length in range(lengths[0], min(lengths[1], len(items)) + 1):
        for start in range(len(items) - length + 1):
            yield items[start : start + length]


def _inside(word: str, lengths: tuple[int, int]) -> Iterator[str]:
    """The n-grams of a word; one that is too short for a length counts once, and for no greater one."""
    for length in range(lengths[0], lengths[1] + 1):
        yield from (word[start : start + length] for start in range(max(1, len(word) - length + 1)))
        if len(word) <= length:
            return


def _without_accents(text: str, *, to_ascii: bool) -> str:
    apart = unicodedata.normalize("NFKD", text)
    if to_ascii:
        return apart.encode("ascii", "ignore").decode("ascii")
    return "".join(sign for sign in apart if not unicodedata.combining(sign))


def murmur3(data: bytes) -> int:
    """MurmurHash3, 32 bits for x86 with seed 0 (Austin Appleby, public domain), as a signed number.

    >>> murmur3(b""), murmur3(b"foo")
    (0, -156908512)
    """
    mask, hash_ = 0xFFFFFFFF, 0
    whole = len(data) // 4 * 4
    for start in range(0, whole, 4):
        hash_ ^= _scrambled(int.from_bytes(data[start : start + 4], "little"))
        hash_ = ((hash_ << 13 | hash_ >> 19) * 5 + 0xE6546B64) & mask
    if whole < len(data):
        hash_ ^= _scrambled(int.from_bytes(data[whole:], "little"))
    hash_ ^= len(data)
    hash_ = (hash_ ^ hash_ >> 16) * 0x85EBCA6B & mask
    hash_ = (hash_ ^ hash_ >> 13) * 0xC2B2AE35 & mask
    hash_ ^= hash_ >> 16
    return hash_ - 2**32 if hash_ >= 2**31 else hash_


def _scrambled(block: int) -> int:
    block = block * 0xCC9E2D51 & 0xFFFFFFFF
    return ((block << 15 | block >> 17) & 0xFFFFFFFF) * 0x1B873593 & 0xFFFFFFFF


def texts_of(cells: Sequence[Any], form: CellFormat) -> list[str | None]:
    """The texts of cells, None for a missing one."""
    texts = (cell if type(cell) is str else plain(cell) for cell in cells)
    words = (cell_text(text) for text in texts)
    return [None if word is None or word in form.missing else word for word in words]
