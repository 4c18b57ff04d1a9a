"""The rules of names in MLflow's model registry, and the addresses `models:/NAME@alias` and `models:/NAME/3`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from annpipe.errors import visible

SCHEME = "models:/"
MAX_NAME, MAX_ALIAS, MAX_KEY, MAX_VALUE = 250, 250, 250, 5000
_OF_ADDRESSES = "/:?"  # signs that an address of a model has for itself
_ALIAS = re.compile(r"[\w-]+", re.ASCII)
_VERSION = re.compile(r"v?\d+", re.IGNORECASE)
_KEY = re.compile(r"[\w.\- /]+", re.ASCII)


@dataclass(frozen=True)
class ModelAddress:
    """A registered model's version: its name, and an alias or a number."""

    name: str
    alias: str | None = None
    version: str | None = None

    def __str__(self) -> str:
        return f"{SCHEME}{self.name}@{self.alias}" if self.alias else f"{SCHEME}{self.name}/{self.version}"


def checked_name(name: str) -> str:
    """The name of a registered model; raises ValueError for one that MLflow does not take, or no address can say."""
    wrong = next((sign for sign in _OF_ADDRESSES if sign in name), None)
    if wrong:
        raise ValueError(
            f"'{visible(name)}' has the sign '{wrong}', which `models:/NAME` cannot hold: write `-` instead"
        )
    if not name.strip() or name != name.strip() or name.strip(".") == "":
        raise ValueError(f"'{visible(name)}' is no name of a model: it has letters, and no blanks at its ends")
    _check_text("name", name, MAX_NAME)
    return name


def checked_alias(alias: str) -> str:
    """An alias of a version; raises ValueError for one that MLflow does not take."""
    if not _ALIAS.fullmatch(alias):
        raise ValueError(f"the alias '{visible(alias)}' must be made of letters, digits, `_` and `-`")
    if alias.lower() == "latest" or _VERSION.fullmatch(alias):
        raise ValueError(f"the alias '{alias}' means a version by itself: take a word, as `champion`")
    _check_text("alias", alias, MAX_ALIAS)
    return alias


def checked_tag(text: str) -> tuple[str, str]:
    """Key and value of `k=v`; raises ValueError."""
    key, equals, value = text.partition("=")
    if not equals or not _KEY.fullmatch(key) or key.strip("/ .") != key:
        raise ValueError(f"the tag '{visible(text)}' must be KEY=VALUE, its key of letters, digits and any of `_-./`")
    _check_text("key", key, MAX_KEY)
    if len(value) > MAX_VALUE or "\0" in value:
        raise ValueError(f"the value of the tag '{key}' has {len(value):,} characters; there is room for {MAX_VALUE:,}")
    return key, value


def parsed_address(text: str) -> ModelAddress:
    """The address that a text is; raises ValueError."""
    rest = text.removeprefix(SCHEME)
    name, at, alias = rest.rpartition("@")
    if at and "/" not in alias:
        return ModelAddress(checked_name(name), alias=checked_alias(alias))
    name, slash, version = rest.partition("/")
    if not slash or not re.fullmatch(r"\d{1,9}", version, re.ASCII):
        raise ValueError(f"'{visible(text)}' names no version: write models:/NAME@alias or models:/NAME/3")
    return ModelAddress(checked_name(name), version=version)


def _check_text(what: str, text: str, most: int) -> None:
    if visible(text) != text or not text.isprintable():
        raise ValueError(f"the {what} '{visible(text)}' has signs that cannot be seen: leave them out")
    if len(text) > most:
        raise ValueError(f"the {what} '{text[:40]}…' has {len(text):,} characters; there is room for {most}")
