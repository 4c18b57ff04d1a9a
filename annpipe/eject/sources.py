"""Copies the source of classes and functions, with what it needs of its own file and of annpipe, and nothing more."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass, field
from typing import Any

from annpipe.eject.imports import Imports
from annpipe.eject.modules import Module, TopStatement, module_named, module_of
from annpipe.eject.refused import NotEjected
from annpipe.eject.source_edits import Edits, stripped_comments

ENGINE = "annpipe"
STAND_INS = {
    "OptionError": '''class OptionError(ValueError):
    """An option has a value that does not fit."""

    def __init__(self, option, message, help=None):
        super().__init__(f"{option}: {message}")''',
    "did_you_mean": "def did_you_mean(name, known):\n    return None",
    "check_memory": "def check_memory(n_values, option=None):\n    return None",
    "SplitError": '''class SplitError(ValueError):
    """The rows do not fit the split."""

    def __init__(self, option, message, help=None):
        super().__init__(f"{option}: {message}")''',
    "check_bound": "def check_bound(name, value, option=None):\n    return None",
}
"""What takes the place of names of annpipe that only serve its error reports."""
PLAIN = {"MetricKey": "str", "Loss": "nn.Module"}
"""Names of annpipe that stand in annotations alone, with what they are called in plain PyTorch."""
FOR_THE_ENGINE = frozenset({"terms", "divisor", "partial_fit", "finish"})
"""Methods that annpipe alone calls: left out where the class does not call them itself."""


@dataclass
class Sources:
    """The definitions that a script copies, in an order in which each comes after what it needs.

    `taken` are the names that the script has itself: a definition of such a name gets another one.
    """

    imports: Imports
    taken: set[str]
    has_tuples: bool = False
    texts: list[str] = field(default_factory=list)
    _names: dict[tuple[str, str], str] = field(default_factory=dict)

    def of(self, thing: Any) -> str:
        """Copies a class or function; its name in the script."""
        file = inspect.getsourcefile(thing)
        if file is None:
            raise NotEjected(f"'{thing.__qualname__}'", "its source is not at hand")
        if "." in thing.__qualname__:
            raise NotEjected(f"'{thing.__qualname__}'", "it is not defined at the top of its file")
        return self._copy(module_of(file, thing.__module__), thing.__name__)

    def _copy(self, module: Module, name: str) -> str:
        key = (module.file, name)
        if key in self._names:
            return self._names[key]
        definition = module.definitions[name]
        for other in definition.names:
            self._names[module.file, other] = self._free(other)
        self.imports.has_future |= module.has_future
        text = self._text(module, definition)
        self.texts.append(text)
        return self._names[key]

    def _free(self, name: str) -> str:
        """The name itself, or with a number where it is taken."""
        used = {*self._names.values(), *self.taken, *self.imports.modules, *self.imports.members}
        number = 2
        free = name
        while free in used:
            free, number = f"{name}_{number}", number + 1
        return free

    def _text(self, module: Module, definition: TopStatement) -> str:
        edits = Edits(module.source, definition.node)
        edits.drop_methods(FOR_THE_ENGINE)
        edits.drop_decorators(lambda root: self._is_mark(module, root))
        edits.plain_annotations(module.name_of("typing", "Annotated"))
        for use in edits.uses():
            new = self._resolved(module, use.name, use.attribute)
            if new is not None and new != use.text:
                edits.replace(use, new)
        return stripped_comments(edits.result())

    def _is_mark(self, module: Module, root: str) -> bool:
        origin = module.imported.get(root)
        return origin is not None and origin.module.partition(".")[0] == ENGINE

    def _resolved(self, module: Module, name: str, attribute: str | None) -> str | None:
        """What a name, or an attribute of a module by its name, is called in the script; None where it stays."""
        if name == "__file__":
            raise NotEjected(f"'{module.name}'", "it reads its own `__file__`")
        if name in module.definitions:
            copied = self._copy(module, name)
            return copied if attribute is None else f"{copied}.{attribute}"
        origin = module.imported.get(name)
        if origin is None:
            return None
        root = origin.module.partition(".")[0]
        if root != ENGINE and root != module.root:
            return self._imported(name, origin.module, origin.member, attribute)
        if origin.member is None:  # a module of annpipe or of the same package: `annpipe.Stack`
            if attribute is None:
                raise NotEjected(f"'{module.name}'", f"it uses the module '{origin.module}' itself")
            return self._own(origin.module, attribute)
        name_here = self._own(origin.module, origin.member)
        return name_here if attribute is None else f"{name_here}.{attribute}"

    def _imported(self, name: str, module: str, member: str | None, attribute: str | None) -> str:
        suffix = "" if attribute is None else f".{attribute}"
        if member is None:
            known = self.imports.modules.get(name)
            alias = name if known in (None, module) and name not in self.taken - {"torch", "nn"} else self._free(name)
            return self.imports.module(module, None if alias == module else alias) + suffix
        known_member = self.imports.members.get(name)
        is_free = known_member in (None, (module, member)) and name not in {*self._names.values(), *self.taken - {"nn"}}
        return self.imports.member(module, member, name if is_free else self._free(name)) + suffix

    def _own(self, module_name: str, member: str) -> str:
        """A name of annpipe's, or of the package that a definition comes from."""
        if module_name.partition(".")[0] == ENGINE:
            if member == "Stack" and not self.has_tuples:
                return "nn.Sequential"
            if member in PLAIN:
                return PLAIN[member]
            if member in STAND_INS:
                return self._stand_in(member)
        try:
            value = getattr(importlib.import_module(module_name), member)
        except AttributeError as error:
            raise NotEjected(f"'{module_name}.{member}'", "there is no such name") from error
        if isinstance(value, type) or inspect.isfunction(value):
            return self.of(value)
        module = module_named(module_name)
        if member in module.definitions:
            return self._copy(module, member)
        resolved = self._resolved(module, member, None)
        if resolved is None:
            raise NotEjected(f"'{module_name}.{member}'", "where it comes from is not written in that file")
        return resolved

    def _stand_in(self, name: str) -> str:
        return self.add_text(name, STAND_INS[name])

    def add_text(self, name: str, text: str) -> str:
        """Adds a definition that is written here, once; its name in the script."""
        key = ("", name)
        if key not in self._names:
            self._names[key] = free = self._free(name)
            self.texts.append(text.replace(f" {name}(", f" {free}(", 1))
        return self._names[key]
