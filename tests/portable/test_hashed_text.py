"""Counts of texts against scikit-learn's HashingVectorizer, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import HashingVectorizer

from annpipe.portable.cell_text import CellFormat
from annpipe.portable.hashed_text import TextCounts, texts_of

WORDS = st.sampled_from(["The", "cat", "SAT", "a", "naïve", "İstanbul", "한국어", "ﬁne", "x_1", "don't", "Straße"])
TEXTS = st.lists(st.one_of(st.text(max_size=20), st.lists(WORDS, max_size=8).map(" ".join)), min_size=1, max_size=4)
OPTIONS = st.fixed_dictionaries(
    {
        "analyzer": st.sampled_from(["word", "char", "char_wb"]),
        "ngram_range": st.sampled_from([(1, 1), (1, 2), (2, 2), (2, 4), (3, 3)]),
        "n_features": st.sampled_from([1, 4, 16, 1024]),
        "lowercase": st.booleans(),
        "strip_accents": st.sampled_from([None, "ascii", "unicode"]),
        "binary": st.booleans(),
        "norm": st.sampled_from([None, "l1", "l2"]),
        "alternate_sign": st.booleans(),
    }
)


@settings(max_examples=100, deadline=None)
@given(TEXTS, OPTIONS)
def test_counts_are_those_of_scikit_learn(texts: list[str], options: dict[str, Any]) -> None:
    """Every option, in every combination: the same columns, signs and norms to the last bit."""
    expected = HashingVectorizer(**options).transform(texts).toarray()
    counts = TextCounts.of({**options, "ngram_range": list(options["ngram_range"])}).counts(texts)
    np.testing.assert_array_equal(counts, expected)


def test_the_defaults_are_those_of_scikit_learn_but_for_the_width() -> None:
    texts = ["The cat sat on the mat.", "", "cat cat dog"]
    expected = HashingVectorizer(n_features=1024).transform(texts).toarray()
    np.testing.assert_array_equal(TextCounts().counts(texts), expected)
    assert not TextCounts().counts([None]).any()


@pytest.mark.parametrize(
    ("options", "name", "rule"),
    [
        ({"analyser": "word"}, "analyser", "there is no option"),
        ({"analyzer": "words"}, "analyzer", "must be one of word, char, char_wb"),
        ({"ngram_range": [2, 1]}, "ngram_range", "must be two whole numbers"),
        ({"n_features": 0}, "n_features", "must be a whole number from 1"),
        ({"norm": "l3"}, "norm", "must be l1, l2 or null"),
        ({"binary": 1}, "binary", "must be true or false"),
    ],
)
def test_an_option_that_does_not_fit_is_named(options: dict[str, Any], name: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule) as refused:
        TextCounts.of(options)
    assert refused.value.args[0] == name


def test_missing_cells_have_no_text() -> None:
    assert texts_of(["a b", None, "NA", float("nan"), 1.0], CellFormat()) == ["a b", None, None, None, "1"]
