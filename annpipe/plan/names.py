"""Patterns over the names of parameters, as `optimizer.groups`, `model.init` and `model.freeze` say them."""

from __future__ import annotations

from fnmatch import fnmatchcase


def means(pattern: str, name: str) -> bool:
    """Whether a pattern means the parameter of that name.

    It does where it is the whole name (with `*` and `?` as in file names), or its beginning or end between dots.

    >>> [means(pattern, "0.layers.1.weight") for pattern in ("0", "weight", "0.layers.1.weight", "0.*.weight", "1")]
    [True, True, True, True, False]
    """
    return any(fnmatchcase(name, form) for form in (pattern, f"{pattern}.*", f"*.{pattern}"))
