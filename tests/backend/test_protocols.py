"""Components are held against what their kind must do: those that are there pass, one that lacks a part does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from annpipe.backend import protocols
from annpipe.backend.instantiate import instantiate
from annpipe.backend.protocols import PROTOCOLS, RETURNS, Method, check_class
from annpipe.draft.component import Component
from annpipe.registry.discovery import PluginFault
from annpipe.registry.kinds import KINDS
from annpipe.registry.registry import Registry

BASES = {
    "transform": "torch.nn.Module",
    "layer": "torch.nn.Module",
    "loss": "torch.nn.Module",
    "optimizer": "torch.optim.Optimizer",
    "average": "torch.optim.swa_utils.AveragedModel",
    "distribution": "torch.distributions.Distribution",
}
INHERITED = {"average": {"update_parameters"}}
"""Methods that a base class has already."""


def source(kind: str, methods: list[str], base: str | None = None) -> str:
    """A plugin file with one component of a kind."""
    base = BASES.get(kind, "object") if base is None else base
    body = [f"    {line}: return None or 1" for line in methods] or ["    ..."]
    supplied = KINDS[kind].needs
    init = [f"    def __init__(self, {supplied or 'size: int = 1'}) -> None: self.kept = 1"]
    head = ["from __future__ import annotations", "import torch, torch.optim.swa_utils", f"from annpipe import {kind}"]
    return "\n".join([*head, f"@{kind}", f"class Own({base}):", *init, *body, ""])


def faults(tmp_path: Path, kind: str, text: str) -> list[str]:
    """What is wrong with the component of a file."""
    file = tmp_path / "own.py"
    file.write_text(text, encoding="utf-8")
    (entry,) = Registry().add_file(file)
    try:
        check_class(Component(kind, entry.name, {}, entry=entry))
    except PluginFault as fault:
        assert fault.problem.code == "plugin-protocol"
        assert fault.problem.place is not None
        assert fault.problem.place.file == str(file)
        assert fault.problem.help
        return [fault.problem.message]
    return []


def required() -> Iterator[tuple[str, Method]]:
    """Every method that a component of some kind must have."""
    for kind, protocol in PROTOCOLS.items():
        yield from ((kind, m) for m in protocol.methods if not m.is_optional and m.name not in INHERITED.get(kind, ()))


REQUIRED = list(required())


def lines(kind: str, change: Method | None = None, line: str = "") -> list[str]:
    """The methods of a component as the advice of the errors says them, one of them changed."""
    return [line if method == change else method.line for owner, method in REQUIRED if owner == kind]


def test_all_components_that_are_there_pass(registry_entries: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of annpipe and of torch, which are not looked at when they are used, of every kind."""
    monkeypatch.setattr(protocols, "TESTED", ())
    entries = [entry for kind in KINDS for entry in registry_entries.entries(kind)]
    assert len(entries) > 200
    for entry in entries:
        check_class(Component(entry.kind, entry.name, {}, entry=entry))


def test_every_kind_is_looked_at() -> None:
    """An initializer fills what it is given, which is tried on the parameters."""
    assert set(PROTOCOLS) | set(RETURNS) | {"initializer"} == set(KINDS)


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_what_the_advice_says_is_right(kind: str, tmp_path: Path) -> None:
    """A class of just these lines passes."""
    assert faults(tmp_path, kind, source(kind, lines(kind))) == []


@pytest.mark.parametrize(("kind", "method"), REQUIRED, ids=lambda value: getattr(value, "name", value))
def test_a_method_that_is_missing_is_named(kind: str, method: Method, tmp_path: Path) -> None:
    text = source(kind, [line for line in lines(kind, method) if line])
    assert faults(tmp_path, kind, text)[0].startswith(f"the {kind} 'Own' has no method `{method.name}(")


TAKING = [(kind, method) for kind, method in REQUIRED if method.arguments is not None]


@pytest.mark.parametrize(("kind", "method"), TAKING, ids=lambda value: getattr(value, "name", value))
def test_a_method_that_takes_something_else_is_shown(kind: str, method: Method, tmp_path: Path) -> None:
    """Another required argument, of a method or of a static one; defaults and `*args` are nothing else."""
    for arguments, fits in (("self, *args", True), ("self, a, b, c, d", False), ("self, a=1, b=2, c=3", True)):
        text = source(kind, lines(kind, method, f"def {method.name}({arguments})"))
        assert len(faults(tmp_path, kind, text)) == (not fits), (arguments, text)


@pytest.mark.parametrize("kind", BASES)
def test_a_class_of_another_base_is_refused(kind: str, tmp_path: Path) -> None:
    (message,) = faults(tmp_path, kind, source(kind, lines(kind), base="object"))
    assert message == f"the {kind} 'Own' is no {BASES[kind]}"


FORGETFUL = {
    "layer": "torch.nn.Module",
    "transform": "torch.nn.Module",
    "loss": "torch.nn.Module",
    "optimizer": "torch.optim.Optimizer",
    "scheduler": "torch.optim.lr_scheduler.LRScheduler",
    "distribution": "torch.distributions.Distribution",
}


@pytest.mark.parametrize("kind", FORGETFUL)
def test_an_init_that_does_not_call_its_base_is_refused(kind: str, tmp_path: Path) -> None:
    base = FORGETFUL[kind]
    (tmp_path / "own.py").write_text(source(kind, lines(kind), base), encoding="utf-8")
    (entry,) = Registry().add_file(tmp_path / "own.py")
    with pytest.raises(PluginFault, match=rf"{kind} 'Own' does not call the `__init__` of {base}"):
        instantiate(Component(kind, entry.name, {}, entry=entry), **{KINDS[kind].needs or "size": 1})


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ("...", True),
        ("return", True),
        ("return None", True),
        ("def inner(): return 1", True),
        ("return 1", False),
        ("raise ValueError", False),
        ("if view: return 1", False),
        ("return None or view", False),
    ],
)
def test_a_plot_that_is_sure_to_return_nothing_is_refused(body: str, refused: bool, tmp_path: Path) -> None:
    text = f"from annpipe import plot\n@plot\ndef drawn(view):\n    {body}\n"
    assert faults(tmp_path, "plot", text) == ["the plot 'drawn' returns nothing"] * refused


def test_a_function_that_builds_a_component_is_held_against_what_it_gives(tmp_path: Path) -> None:
    """A layer may be made by a function; what that gives must be one."""
    text = "from annpipe import layer\nimport torch\n@layer\ndef made(size: int = 1): return size or torch.nn.Tanh()\n"
    (tmp_path / "own.py").write_text(text, encoding="utf-8")
    (entry,) = Registry().add_file(tmp_path / "own.py")
    component = Component("layer", "made", {"size": 0}, entry=entry)
    assert type(instantiate(component)).__name__ == "Tanh"
    with pytest.raises(PluginFault, match=r"the layer 'made' gives an int, and no torch.nn.Module"):
        instantiate(component.with_options(size=1))
