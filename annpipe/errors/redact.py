"""Finds and hides the secrets in a text: credentials of URIs, of database connection strings and of HTTP headers.

These are the user info of a URI, its query values called token, key, password, secret, auth, session and the like, the
password of a connection string (`host=db password=…`), and what follows `Authorization:` or `Bearer`. Everything that
annpipe prints, logs or records goes through here first. A secret that stands alone looks like any other word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

HIDDEN = "***"

# Every repeat is bounded or cannot overlap, so that no text takes long. A password may hold `@` and, in careless hands,
# `/`, `?` and `#` too: what follows `user:` is one unless it is a port.
_WITH_PASSWORD = r'[^\s/?#"@:\[]{0,100}:(?!\d+[/?#])[^\s"]{0,200}'
# `\/` is how JSON may write a slash; two of them become one where a URI was taken for a path.
_USER_INFO = re.compile(rf':\\?/(?:\\?/([^\s/?#"]+|{_WITH_PASSWORD})|({_WITH_PASSWORD}))@')
_NAME = r"[^=&;?#\s]{0,40}"
_SECRET_OPTION = re.compile(
    rf"(?i)[?&;]{_NAME}(?:passw|pwd|token|secret|key|credential|odbc_connect|jwt|session|authoriz|bearer|oauth"
    rf"|(?<![a-z])(?:pass|sig|signature|auth|pat|sid)(?![a-z]))"
    # A comma, a bracket or an apostrophe belongs to the value only where the value goes on behind it.
    rf"""{_NAME}=((?:[^&\s"'`,;)\]}}]|['`,;)\]}}]+(?=[\w%+/=.~-]))+)"""
)
# A connection string of libpq or ODBC: words and values with `=` between, apart by blanks or semicolons.
_DSN = re.compile(
    r"(?i)(?<![\w?&;])(?:\w{0,20}password|passwd|pwd|sslkey)\s{0,3}=\s{0,3}"
    r"(?:'((?:[^'\\\n]|\\.){1,400})'|\{([^}\n]{1,400})\}|((?!['{])[^\s;&\"']{1,400}))"
)
_HEADER = re.compile(
    r"(?i)(?<![\w-])(?:proxy-)?authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?"
    r"(?:(?:basic|bearer|digest|negotiate|token|apikey)\s{1,3}([^\s\"',;]{1,4000})|((?=[^\s\"',;]{0,400}\d)[^\s\"',;]{1,4000}))"
)
_BEARER = re.compile(r"(?i)(?<![\w-])bearer\s{1,3}((?=[^\s\"',;]{0,400}\d)[\w.~+/=-]{8,4000})")
_SIGNS = re.compile(r"[@=]|(?i:authorization|bearer)")  # no secret is without one of them


def scrub(text: str) -> str:
    """Takes user names, passwords and tokens out of every URI in `text`.

    >>> scrub("https://ann:secret@host/x?token=abc")
    'https://***@host/x?token=***'
    """
    if _SIGNS.search(text) is None:
        return text
    return _hidden(text, list(_secrets(text)))


def scrub_marked(text: str, start: int, end: int) -> tuple[str, int, int]:
    """`text` without its secrets, and where the stretch from `start` to `end` then lies.

    >>> scrub_marked("uri: http://ann:secret@host # here", 28, 34)
    ('uri: http://***@host # here', 21, 27)
    """
    spans = list(_secrets(text))
    return _hidden(text, spans), _moved(start, spans, to_end=False), _moved(end, spans, to_end=True)


def scrubbed(value: Any) -> Any:
    """Plain data with every text in it scrubbed, keys too."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {scrubbed(key): scrubbed(item) for key, item in value.items()}
    return [scrubbed(item) for item in value] if isinstance(value, list | tuple) else value


def has_secret(text: str) -> bool:
    """Whether `text` holds something that may not be written down."""
    return scrub(text) != text


def secret_words(uri: str) -> frozenset[str]:
    """The passwords and tokens of a URI, each by itself: they may have been put together from variables.

    >>> sorted(secret_words("https://ann:secret@host/x?token=abc"))
    ['abc', 'secret']
    """
    secrets = [uri[start:end] for start, end in _secrets(uri)]
    return frozenset(word.partition(":")[2] or word if f"/{word}@" in uri else word for word in secrets)


def _secrets(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each secret, from left to right, none inside another."""
    patterns = (_USER_INFO, _SECRET_OPTION, _DSN, _HEADER, _BEARER)
    matches = (
        match for pattern in patterns for match in pattern.finditer(text) if match[match.lastindex or 0] != HIDDEN
    )
    spans = [match.span(match.lastindex or 0) for match in matches]
    behind = 0
    for start, end in sorted(spans):
        if end > behind:
            yield max(start, behind), end
            behind = end


def _hidden(text: str, secrets: list[tuple[int, int]]) -> str:
    parts, behind = [], 0
    for start, end in secrets:
        parts += [text[behind:start], HIDDEN]
        behind = end
    return "".join([*parts, text[behind:]])


def _moved(position: int, secrets: list[tuple[int, int]], *, to_end: bool) -> int:
    """The position once every secret is as long as HIDDEN; one inside a secret goes to that secret's edge."""
    moved = position
    for start, end in secrets:
        if position >= end:
            moved += len(HIDDEN) - (end - start)
        elif position > start:
            return moved - (position - start) + (len(HIDDEN) if to_end else 0)
    return moved
