"""The imports of a script, in the order that formatters ask for."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field


@dataclass
class Imports:
    """Modules by the names they have in the script, and what is taken out of modules."""

    modules: dict[str, str] = field(default_factory=dict)  # name in the script -> module
    members: dict[str, tuple[str, str]] = field(default_factory=dict)  # name in the script -> module, name in it
    has_future: bool = False

    def module(self, name: str, alias: str | None = None) -> str:
        """`import name`, or `import name as alias`; the name to use."""
        self.modules[alias or name] = name
        return alias or name

    def member(self, module: str, name: str, alias: str | None = None) -> str:
        """`from module import name`; the name to use."""
        self.members[alias or name] = (module, name)
        return alias or name

    def lines(self) -> list[str]:
        """The statements: Python's own library first, then the others."""
        lines = ["from __future__ import annotations", ""] if self.has_future else []
        for is_std in (True, False):
            section = [*self._whole(is_std), *self._members(is_std)]
            lines += [*section, ""] if section else []
        return lines

    def _whole(self, is_std: bool) -> list[str]:
        pairs = sorted((module, name) for name, module in self.modules.items() if _is_std(module) is is_std)
        return [f"import {module}" + (f" as {name}" if name != module else "") for module, name in pairs]

    def _members(self, is_std: bool) -> list[str]:
        by_module: dict[str, list[str]] = {}
        for name, (module, original) in self.members.items():
            if _is_std(module) is is_std:
                by_module.setdefault(module, []).append(original + (f" as {name}" if name != original else ""))
        return [
            f"from {module} import {', '.join(sorted(names, key=_rank))}" for module, names in sorted(by_module.items())
        ]


def _is_std(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names


def _rank(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return kind, name
