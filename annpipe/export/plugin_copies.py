"""Copies of plugin files beside a saved model, in which stand-ins take the place of annpipe.

A copy imports from `stand_ins_of_annpipe.py`, which goes beside it, so that it needs neither annpipe nor, for the
bounds of its options, pydantic.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

from annpipe.export.network_source import plugin_modules
from annpipe.plan.plan import Plan
from annpipe.portable import stand_ins_of_annpipe
from annpipe.portable.stack import Stack, passed
from annpipe.portable.taps import Taps

STAND_INS = stand_ins_of_annpipe.__name__.rpartition(".")[2]
Import = ast.Import | ast.ImportFrom


def copy_plugins(plan: Plan, folder: Path) -> frozenset[str]:
    """Writes each plugin file that the model needs into `folder`; returns the libraries that the copies import."""
    copies = {f"{name}.py": standalone(_read(file)) for file, name in plugin_modules(plan).items()}
    if any(STAND_INS in source for source in copies.values()):
        copies[f"{STAND_INS}.py"] = stand_ins()
    for name, source in copies.items():
        (folder / name).write_text(source, encoding="utf-8", newline="\n")
    return frozenset(library for source in copies.values() for library in _libraries(source))


def standalone(source: str) -> str:
    """A plugin file's source that imports stand-ins where it imported annpipe, wherever in the file that is.

    >>> print(standalone("from annpipe import layer\\n@layer\\nclass A: ..."))
    from stand_ins_of_annpipe import layer
    @layer
    class A: ...
    """
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, Import)]
    taken = {alias.name for node in imports if _is_of(node, "pydantic") for alias in node.names}
    bounds_only = taken == {"Field"}
    lines = source.encode().splitlines(keepends=True)  # offsets of the syntax tree count bytes
    for node in sorted(imports, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        if _is_of(node, "annpipe") or (bounds_only and _is_of(node, "pydantic")):
            _replace(lines, node, "; ".join(_stand_ins_for(node)))
    return b"".join(lines).decode()


def _is_of(node: Import, package: str) -> bool:
    """Whether the statement imports the package, or anything from it."""
    if isinstance(node, ast.ImportFrom):
        return node.level == 0 and (node.module or "").partition(".")[0] == package
    return any(alias.name.partition(".")[0] == package for alias in node.names)


def _stand_ins_for(node: Import) -> Iterator[str]:
    """The statements that take the place of an import of annpipe, or of pydantic's `Field`."""
    if isinstance(node, ast.ImportFrom):
        if _is_of(node, "pydantic"):
            names = ", ".join(f"option_bounds as {alias.asname or alias.name}" for alias in node.names)
        else:
            names = ", ".join(map(ast.unparse, node.names))
        yield f"from {STAND_INS} import {names}"
        return
    for alias in node.names:
        if alias.name.partition(".")[0] == "annpipe":
            yield f"import {STAND_INS} as {alias.asname or 'annpipe'}"
        else:
            yield f"import {ast.unparse(alias)}"


def _replace(lines: list[bytes], node: Import, text: str) -> None:
    """Puts `text` where the statement stood; what shares its lines stays."""
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    before = lines[node.lineno - 1][: node.col_offset]
    after = lines[node.end_lineno - 1][node.end_col_offset :]
    lines[node.lineno - 1 : node.end_lineno] = [before + text.encode() + after]


@cache
def stand_ins() -> str:
    """The source of the stand-ins, with annpipe's real `Stack` and `Taps` and the list of its public names."""
    real = "\n\n".join(inspect.getsource(item) for item in (Stack, passed, Taps))
    public = sys.modules["annpipe"].__all__  # an import of it would be one of every layer above this one
    names = "".join(f'    "{name}",\n' for name in public)
    head = _read(stand_ins_of_annpipe.__file__).replace(
        "from typing import Any\n", "import threading\nfrom typing import Any\n\nimport torch\n", 1
    )
    return f"{head}\n\n{real}\n\n__all__ = [\n{names}]\n"


def _read(file: str) -> str:
    return Path(file).read_text(encoding="utf-8")


def _libraries(source: str) -> Iterator[str]:
    """The packages outside Python's own library that a file imports, wherever it does."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
        for name in names:
            package = name.partition(".")[0]
            if package not in sys.stdlib_module_names and package != STAND_INS:
                yield package


@cache
def distributions(library: str) -> tuple[str, ...]:
    """The installed distributions that bring a package, none for one that is no distribution's."""
    if library in {"torch", "numpy", "pandas", "safetensors", "pydantic", "matplotlib"}:
        return (library,)  # known without reading every installed distribution, which takes a tenth of a second
    return tuple(metadata.packages_distributions().get(library, ()))
