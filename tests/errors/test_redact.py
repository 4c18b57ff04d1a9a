"""Secrets are taken out of texts, and nothing else is."""

from __future__ import annotations

import pytest

from annpipe.errors.redact import has_secret, scrub, scrub_marked, scrubbed, secret_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://ann:secret@host/x", "https://***@host/x"),
        ("https://host/x?a=1&token=abc&b=2", "https://host/x?a=1&token=***&b=2"),
        ("host=db password=abc dbname=x", "host=db password=*** dbname=x"),
        ("Authorization: Bearer abc123", "Authorization: Bearer ***"),
        ("postgresql://u:p/w@host/db", "postgresql://***@host/db"),
        ("https://host:8080/path", "https://host:8080/path"),
        ("a@b.example, x=1", "a@b.example, x=1"),
        ("the key is here", "the key is here"),
    ],
)
def test_credentials_are_hidden(text: str, expected: str) -> None:
    assert scrub(text) == expected
    assert scrub(expected) == expected
    assert has_secret(text) == (text != expected)


def test_a_marked_stretch_moves_along() -> None:
    text = "uri: http://ann:secret@host # here"
    hidden, start, end = scrub_marked(text, text.index("here"), len(text))
    assert hidden[start:end] == "here"
    inside = text.index("secret")
    hidden, start, end = scrub_marked(text, inside, inside + 6)
    assert hidden[start:end] == "***"


def test_plain_data_are_scrubbed_with_their_keys() -> None:
    uri = "https://ann:secret@host"
    assert scrubbed({uri: [uri, 1, None]}) == {"https://***@host": ["https://***@host", 1, None]}


def test_the_words_of_a_secret_are_known_by_themselves() -> None:
    assert secret_words("https://ann:secret@host/x?token=abc") == {"secret", "abc"}
