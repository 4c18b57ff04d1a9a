"""Names of new components and distributions: what each may be, and the names of class, module and mark made of it."""

from __future__ import annotations

import builtins
import keyword
import re
import sys
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from annpipe.errors import AnnpipeError
from annpipe.registry.entry import normal_name
from annpipe.registry.kinds import with_article
from annpipe.registry.place import defined_at
from annpipe.registry.registry import Registry
from annpipe.spec.yaml.nodes import core_value

MAX_LENGTH = 60  # of a name: files, folders and tables stay readable
_DISTRIBUTION = re.compile(r"[A-Za-z][A-Za-z0-9]*([-_.][A-Za-z0-9]+)*\Z")
PREFIX = "annpipe"  # with which the names of distributions and their modules begin


class NewError(AnnpipeError):
    """`annpipe new` refuses: a name that cannot be used, or something that stands already; nothing was written."""

    exit_code = 3


@dataclass(frozen=True)
class ComponentName:
    """The name of a component in specs, and what is called by it: its class or function, and its module."""

    spec: str
    identifier: str
    module: str

    @property
    def needs_mark(self) -> bool:
        """Whether the mark must say the name, since the class or function has another."""
        return self.spec != self.identifier


def component_name(kind: str, name: str, *, is_class: bool, used: Collection[str]) -> ComponentName:
    """The names made of one; raises NewError. `used` are the identifiers that the component's file needs itself."""
    what = f"'{name}' cannot be the name of {with_article(kind)}"
    if not name.isidentifier() or unicodedata.normalize("NFKC", name) != name:
        raise NewError(f"{what}: it must be letters, digits and `_`, as in RadialBasis or radial_basis")
    if name.startswith("_") or len(name) > MAX_LENGTH:
        raise NewError(f"{what}: it must begin with a letter and have {MAX_LENGTH} characters at most")
    if keyword.iskeyword(name) or core_value(name) != name:
        raise NewError(f"{what}: in Python or YAML the word means something else; take another")
    in_python = ComponentName(name, pascal(name) if is_class else snake(name), snake(name))
    if in_python.identifier in used or in_python.identifier in dir(builtins):
        raise NewError(f"{what}: its file needs '{in_python.identifier}' for something else; take another")
    if in_python.module.startswith("test_") or in_python.module == "conftest":
        raise NewError(f"{what}: pytest would take its file for one of tests; take another")
    if keyword.iskeyword(in_python.module) or keyword.iskeyword(in_python.identifier):
        raise NewError(f"{what}: a word of Python would be the name of its file or class; take another")
    return in_python


def check_not_taken(kind: str, name: ComponentName, registry: Registry, files: Collection[Path] = ()) -> None:
    """Raises NewError where an installed component of the kind has the name, or one of `files` defines it."""
    if taken := registry.find(kind, name.spec):
        raise NewError(f"the {kind} '{name.spec}' exists already: it comes from {taken.origin}; take another name")
    places = (place for file in files for word in (name.spec, name.identifier) if (place := defined_at(file, word)))
    if (place := next(places, None)) is not None:
        raise NewError(f"'{name.spec}' is defined already, at {place}; take another name")


def check_module(module: str, what: str) -> None:
    """Raises NewError where Python has a module of this name, or an installed package does."""
    if module in sys.stdlib_module_names or find_spec(module) is not None:
        whose = "Python's own" if module in sys.stdlib_module_names else "an installed package's"
        raise NewError(f"{what} would hide the module '{module}', which is {whose}; take another name")


def distribution_name(name: str) -> str:
    """`annpipe-NAME` in lower case with single hyphens; raises NewError for a name that packages cannot have."""
    if not _DISTRIBUTION.match(name) or len(name) > MAX_LENGTH:
        raise NewError(
            f"'{name}' cannot be the name of a distribution: it must be of Latin letters and digits, with single "
            f"hyphens between, of {MAX_LENGTH} characters at most, as in radial-basis"
        )
    words = normal_name(name)
    return words if words.startswith(f"{PREFIX}-") else f"{PREFIX}-{words}"


def snake(name: str) -> str:
    """`RadialBasis` as the name of a module.

    >>> [snake(name) for name in ("RadialBasis", "LSTMCell", "max_abs", "Conv2d")]
    ['radial_basis', 'lstm_cell', 'max_abs', 'conv2d']
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def pascal(name: str) -> str:
    """`radial_basis` as the name of a class; what has capitals stays as it is.

    >>> [pascal(name) for name in ("radial_basis", "Swish", "signs_")]
    ['RadialBasis', 'Swish', 'Signs']
    """
    return name if name[0].isupper() else "".join(word[:1].upper() + word[1:] for word in re.split("[-_]+", name))
