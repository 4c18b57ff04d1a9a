"""What the source tree is held to: findings about docstrings, names and imports, read from the syntax trees."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from annpipe.registry.kinds import KINDS

ROOT = Path(__file__).parents[1]

FILLERS = "said given found own one every told share"
METAPHORS = """
    grown laid laid_out lay_out Laid learnt Recalling turned memories arriving ends with_ends seen Seen see reach
    out_of_reach REACH REACHES Survey Wanted Teller Tell tell Watcher Historian Judge FOLLOWING ALONE Link Way
"""
TOO_MANY_SENSES = "Made Work Team Listed Swept Shaped Outline"
BANNED = frozenset(f"{FILLERS} {METAPHORS} {TOO_MANY_SENSES}".split())
"""Identifiers that the vocabulary of docs/glossary.md replaces."""
ALIASES = {"annpipe/contract.py": frozenset({"Outline"})}
"""Old public names that plugins may use: each is an alias with its reason."""
MARKS = frozenset(KINDS)
"""The decorators of components: their parameters are options, words of the spec, which the vocabulary does not bind."""
SOURCE_LOCATION = re.compile(r"\bPlace\b|\.place\b")
"""What a module has that speaks of places in a source file; elsewhere a `place` is a buffer or an index."""


def modules(*folders: str) -> list[Path]:
    """The Python files of these folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def questions() -> list[str]:
    """Modules whose docstring begins with a question."""
    return [
        name_of(path) for path in modules("annpipe", "plugins") if is_question(ast.get_docstring(parsed(path)) or "")
    ]


def is_question(docstring: str) -> bool:
    """Whether its first sentence is one."""
    end = re.search(r"[.?!:](?=\s|$)", docstring)
    return end is not None and end.group() == "?"


def defined_twice() -> list[str]:
    """Public classes and type aliases that stand in more than one module, with these modules."""
    homes = defaultdict(set)
    for path in modules("annpipe"):
        for name in _types_of(parsed(path)):
            homes[name].add(name_of(path))
    return [f"{name}: {', '.join(sorted(paths))}" for name, paths in sorted(homes.items()) if len(paths) > 1]


def _types_of(module: ast.Module) -> Iterator[str]:
    for statement in module.body:
        names: list[str] = []
        match statement:
            case ast.ClassDef(name=name):
                names = [name]
            case ast.Assign(targets=targets):
                names = [target.id for target in targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name), annotation=ast.Name(id="TypeAlias")):
                names = [name]
        yield from (name for name in names if re.fullmatch(r"[A-Z]\w*[a-z]\w*", name))


def banned_identifiers() -> list[str]:
    """Banned words that a module defines as a name, a parameter, an attribute, a function or a class."""
    found = []
    for path in modules("annpipe", "plugins"):
        file = name_of(path)
        words = BANNED - ALIASES.get(file, frozenset())
        if not SOURCE_LOCATION.search(path.read_text(encoding="utf-8")):
            words |= {"place"}
        found += [f"{file}: {name}" for name in sorted(words & set(_defined(parsed(path))))]
    return found


def _defined(module: ast.Module) -> Iterator[str | None]:
    options = set(_options(module))
    for node in ast.walk(module):
        if node in options:
            continue
        if isinstance(node, ast.Name | ast.Attribute):
            if isinstance(node.ctx, ast.Store):
                yield node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            yield node.name
        elif isinstance(node, ast.alias):
            yield node.asname


def _options(module: ast.Module) -> Iterator[ast.arg | ast.Attribute]:
    """The parameters of marked components, and the attributes of their names in which classes hold them."""
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and any(map(_is_mark, node.decorator_list)):
            methods = [part for part in [node, *node.body] if isinstance(part, ast.FunctionDef)]
            made = [method.args for method in methods if method.name in ("__init__", node.name)]
            parameters = [parameter for arguments in made for parameter in [*arguments.args, *arguments.kwonlyargs]]
            names = {parameter.arg for parameter in parameters}
            yield from parameters
            yield from (part for part in ast.walk(node) if isinstance(part, ast.Attribute) and part.attr in names)


def _is_mark(decorator: ast.expr) -> bool:
    name = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(name, ast.Name) and name.id in MARKS


def imports_of_tests() -> list[str]:
    """Imports of one test module by another."""
    return [
        f"{name_of(path)}: {name}"
        for path in modules("tests")
        for name in _imported(parsed(path))
        if name.startswith(("tests.", ".")) and re.search(r"\btest_\w+", name)
    ]


def _imported(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ("." * node.level + f"{node.module or ''}.{alias.name}" for alias in node.names)


CALLS_OF_ONE_HOME = {
    "os.open": "annpipe/files/descriptors.py",
    "os.replace": "annpipe/files/descriptors.py",
    "os.rename": "annpipe/files/descriptors.py",
    "os.link": "annpipe/files/descriptors.py",
    "symlink_to": "annpipe/files/descriptors.py",
    "rename": "annpipe/files/descriptors.py",
    "os.kill": "annpipe/files/processes.py",
    "os.killpg": "annpipe/files/processes.py",
    "fcntl.flock": "annpipe/files/lock.py",
}
"""Calls that Windows has not, or means otherwise; all modules use the functions of these homes. A null device is one
of every system."""


def calls_of_one_system() -> list[str]:
    """Calls that only POSIX has as they are meant, outside the module that knows both systems."""
    return [
        f"{name_of(path)}:{call.lineno}: {name}"
        for path in modules("annpipe", "plugins")
        for call in _calls(parsed(path))
        for name in {ast.unparse(call.func), ast.unparse(call.func).rpartition(".")[2]} & CALLS_OF_ONE_HOME.keys()
        if name_of(path) != CALLS_OF_ONE_HOME[name] and "os.devnull" not in ast.unparse(call)
    ]


def texts_without_encoding() -> list[str]:
    """Files read or written as text without an encoding, and written without saying what ends a line."""
    return [
        f"{name_of(path)}:{call.lineno}: {lacking}"
        for path in modules("annpipe", "plugins")
        for call in _calls(parsed(path))
        if (lacking := lacks_for_text(call))
    ]


def lacks_for_text(call: ast.Call) -> str:
    """What a call lacks that reads or writes text: `encoding`, `newline`, both or nothing."""
    name = ast.unparse(call.func).rpartition(".")[2]
    given = {keyword.arg for keyword in call.keywords}
    wanted: set[str] = set()
    if name in ("open", "fdopen") and ast.unparse(call.func) != "os.open":
        mode = _mode(call)
        if mode is not None and "b" not in mode:
            wanted = {"encoding"} if mode.strip("t") == "r" else {"encoding", "newline"}
    elif name == "read_text" and isinstance(call.func, ast.Attribute) and not call.args:
        wanted = {"encoding"}
    elif name == "write_text":
        wanted = {"encoding", "newline"}
    elif name in ("FileHandler", "TextIOWrapper") or given & {"text", "universal_newlines"}:
        wanted = {"encoding"}
    return " and ".join(sorted(wanted - given))


def _mode(call: ast.Call) -> str | None:
    """The mode in which a call opens; None where it opens no file, such as a member of an archive."""
    is_function = isinstance(call.func, ast.Name) or ast.unparse(call.func) == "os.fdopen"
    stated = [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    stated += call.args[1:2] if is_function else call.args[:1]
    if stated:
        return stated[0].value if isinstance(stated[0], ast.Constant) and isinstance(stated[0].value, str) else None
    return "r" if is_function or ast.unparse(call.func).startswith("Path(") else None


def _calls(module: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(module) if isinstance(node, ast.Call))


def findings() -> dict[str, list[str]]:
    """What breaks a rule, by the name of the rule."""
    return {
        "QUESTIONS": questions(),
        "DEFINED_TWICE": defined_twice(),
        "BANNED_IDENTIFIERS": banned_identifiers(),
        "CALLS_OF_ONE_SYSTEM": calls_of_one_system(),
        "TEXTS_WITHOUT_ENCODING": texts_without_encoding(),
    }
