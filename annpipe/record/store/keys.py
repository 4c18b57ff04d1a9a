"""Keys and paths as MLflow takes them: names with any signs in, readable ones out, never two for one.

A part of a key (between slashes) that MLflow would refuse, or that could be taken for another one, gets `_` for each
sign that is in the way, and a mark made from its true name behind it: `val/price ($)/rmse` is
`val/price ___-xdc99c8fa/rmse`. All other keys stay as they are. The key depends on the name alone, so that runs can be
compared by it, and a shipper that begins again decides the same. `Names` keeps the true names beside.

MLflow's rules are in mlflow/utils/validation.py; a test holds these against them.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from functools import lru_cache

MAX_KEY = 250  # characters
MAX_PARAM_VALUE, MAX_TAG_VALUE = 6000, 8000
MAX_EXPERIMENT_NAME, MAX_RUN_NAME = 500, 250
LENGTH_OF_MARK = 10
MAX_FILE_NAME = 200  # bytes of a part of an artifact's path; file systems take 255
SINGLE_VALUES = ("best", "final", "evaluated", "best_trial")
"""What the keys of a journal begin with that hold one value of a whole run."""
SYSTEM = "system/"
"""What the keys of system metrics begin with, which MLflow shows on a page of their own."""

FILE = "names.json"
TAG = "annpipe.names"
_IN_THE_WAY = re.compile(r"[^\w. :-]")
_IN_THE_WAY_OF_FILES = re.compile(r"[^\w. -]")
_IN_THE_WAY_OF_TABLES = re.compile(r"[^\w. -]|^\.")  # none is hidden
_IN_THE_WAY_OF_PARTS = re.compile(r"[^\w.-]")
_IN_THE_WAY_OF_MODELS = re.compile(r"[/:.%\"']")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # devices of Windows, in any folder
_MARK = re.compile(r".*-x[0-9a-f]{8}", re.DOTALL)
_CUT = "… (cut: all of it is in names.json)"


@lru_cache(maxsize=10_000)
def mlflow_key(name: str) -> str:
    """The key of a metric, param or tag with this name, of at most 250 characters.

    >>> mlflow_key("val/loss"), mlflow_key("val/qual@10/loss")
    ('val/loss', 'val/qual_10-xa6f92846/loss')
    """
    key = "/".join(_part(part, _IN_THE_WAY, MAX_KEY) for part in name.split("/"))
    return key if len(key) <= MAX_KEY else key[: MAX_KEY - LENGTH_OF_MARK].rstrip(" /.") + _mark(name)


def store_name(name: str) -> str:
    """What a series is called in the store: as in the journal, but for the single values of a whole run.

    MLflow shows charts in sections named by what stands before the last slash, in the order of the alphabet, and behind
    them those of keys without a slash. So the curves of `train` and `val` come first, and the bars of single values
    last. A name with a dot gets a mark, so that no two names are one key.

    >>> store_name("val/loss"), store_name("best/val/loss"), store_name("final/val/a.b")
    ('val/loss', 'best.val.loss', 'final.val.a.b-x3c739d68')
    """
    if name.partition("/")[0] not in SINGLE_VALUES:
        return name
    return name.replace("/", ".") + (_mark(name) if "." in name else "")


def is_single_value(key: str) -> bool:
    """Whether a series in the store is of one value of a whole run."""
    return key.partition(".")[0] in SINGLE_VALUES


def artifact_path(path: str) -> str:
    """The path of an artifact in the store: each part one that any file system and URL takes; the ending stays.

    >>> artifact_path("plots/a.svg"), artifact_path("plots/50 %.svg")
    ('plots/a.svg', 'plots/50 _-x97945fd3.svg')
    """
    parts = path.split("/")
    stem, dot, ending = parts[-1].rpartition(".")
    if stem and re.fullmatch(r"\w{1,8}", ending, re.ASCII):
        last = _part(stem, _IN_THE_WAY_OF_FILES, MAX_FILE_NAME) + dot + ending
    else:
        last = _part(parts[-1], _IN_THE_WAY_OF_FILES, MAX_FILE_NAME)
    return "/".join([*(_part(part, _IN_THE_WAY_OF_FILES, MAX_FILE_NAME) for part in parts[:-1]), last])


def file_name(key: str) -> str:
    """A file's name (without an ending) for what has this key; two keys have two, slashes aside."""
    return _part(key.replace("/", "_"), _IN_THE_WAY_OF_TABLES, MAX_FILE_NAME)


def plain_part(name: str) -> str:
    """The name as one part of a key and of a path, without slashes and spaces; two names have two, spaces aside.

    >>> plain_part("of march"), plain_part("50%")
    ('of_march', '50_-x28fdae8d')
    """
    return _part(name.replace(" ", "_"), _IN_THE_WAY_OF_PARTS, MAX_FILE_NAME)


def cut_name(name: str, most: int) -> str:
    """The name of a run or an experiment, in so many characters at most.

    >>> cut_name("a" * 30, 20)
    'aaaaaaaaaa-x3a54fc0c'
    """
    text = _storable(name)
    return text if len(text) <= most else text[: most - LENGTH_OF_MARK] + _mark(name)


def model_name(name: str) -> str:
    """The name of a logged model: that of its run, without the signs that MLflow takes in none.

    >>> model_name("lr=0.01: ReLU")
    'lr=0_01_ ReLU'
    """
    return _IN_THE_WAY_OF_MODELS.sub("_", cut_name(name, MAX_RUN_NAME)) or "model"


@dataclass
class Names:
    """What a run's record holds under other keys, or cut: by key the true name, and by key the whole value."""

    keys: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)

    def key(self, name: str) -> str:
        """The key for a name, noted where it is another."""
        key = mlflow_key(name)
        if key != name:
            self.keys[key] = name
        return key

    def path(self, path: str) -> str:
        """The path for an artifact, noted where it is another."""
        safe = artifact_path(path)
        if safe != path:
            self.keys[safe] = path
        return safe

    def value(self, key: str, value: str, most: int) -> str:
        """A value in so many characters that any store can write; noted whole where something had to go."""
        text = _storable(value)
        if len(text) > most:
            text = text[: most - len(_CUT)] + _CUT
        if text != value:
            self.values[key] = value
        return text

    def to_json(self) -> str:
        """The text of names.json."""
        return json.dumps({"keys": self.keys, "values": self.values}, indent=1)

    def __bool__(self) -> bool:
        return bool(self.keys or self.values)


def _part(name: str, in_the_way: re.Pattern[str], most: int) -> str:
    """One part of a key; as it is where nothing speaks against it."""
    text = in_the_way.sub("_", name)
    if name.strip(" ") != name:  # a space at an end is seen by nobody, and some databases do not see it either
        text = re.sub(r"^ | $", "_", text)
    if text in ("", ".") or text.startswith(".."):  # a path that leads elsewhere
        text = "_" + text.lstrip(".")
    if most == MAX_FILE_NAME and (_RESERVED.fullmatch(text) or text.endswith(".")):
        text = f"_{text.rstrip('.')}"
    if text == name and not _MARK.fullmatch(name) and _length(name, most) <= most:
        return name
    while _length(text, most) > most - LENGTH_OF_MARK:
        text = text[:-1]
    return text + _mark(name)


def _length(text: str, most: int) -> int:
    return len(text.encode("utf-8", "surrogatepass")) if most == MAX_FILE_NAME else len(text)


def _mark(name: str) -> str:
    return f"-x{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _storable(text: str) -> str:
    """The text without what no database takes: half a surrogate pair, a zero."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
