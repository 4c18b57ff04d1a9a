"""The torch components, held against the installed torch: every class, every option, every default."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from annpipe.registry.entry import Entry, Origin, from_json
from annpipe.registry.index import made_with
from annpipe.registry.kinds import KINDS
from annpipe.registry.regenerate import fresh_index
from annpipe.registry.registry import Registry
from annpipe.registry.traits import LayerTraits, LossTraits, OptimizerTraits
from annpipe.registry.types import Named, alternatives
from annpipe_std import torch_outputs, torch_schedules, torch_table
from annpipe_std.torch_words import SUMMARIES

SHIPPED = Path(torch_table.__file__).parent / "annpipe_index.json"
FRESH = json.loads(fresh_index("annpipe_std"))
ENTRIES = [from_json(row, Origin("annpipe")) for row in FRESH["entries"] if row.get("distribution") == "torch"]
REGISTRY = Registry()
REGISTRY._add_all(ENTRIES)


def entry_of(name: str) -> Entry:
    return next(entry for entry in ENTRIES if entry.name == name)


def of_kind(*kinds: str) -> pytest.MarkDecorator:
    found = [entry for entry in ENTRIES if entry.kind in kinds]
    assert found
    return pytest.mark.parametrize("entry", found, ids=lambda entry: entry.name)


def public(module: Any, base: type) -> Iterator[type]:
    """The public classes of a module, walked without the plugin's own code."""
    for name in dir(module):
        value = getattr(module, name)
        if not name.startswith("_") and inspect.isclass(value) and issubclass(value, base):
            yield value


def signature_of(entry: Entry) -> dict[str, inspect.Parameter]:
    """Torch's own parameters; a recurrent network's are in its overloads."""
    cls: Any = REGISTRY.load(entry)
    overloads = typing.get_overloads(cls.__init__) if isinstance(cls, type) else []
    parameters = inspect.signature(overloads[0] if overloads else cls).parameters
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {name: p for name, p in parameters.items() if name != "self" and p.kind not in variadic}


def test_the_shipped_index_is_what_discovery_finds_now() -> None:
    """The committed file is never behind the sources; the message says how to make it again."""
    shipped = json.loads(SHIPPED.read_text(encoding="utf-8"))
    if shipped["made_with"] != made_with():
        pytest.skip(f"the index is made with {shipped['made_with']}, here is {made_with()}")
    remedy = "run `python -m annpipe.registry.regenerate annpipe_std` and commit the result"
    assert SHIPPED.read_text(encoding="utf-8") == fresh_index("annpipe_std"), remedy


@pytest.mark.slow
def test_the_index_is_the_same_in_every_process() -> None:
    """Hash seeds and folders leave no trace, and no absolute path gets in."""
    code = "from annpipe.registry.regenerate import fresh_index; print(fresh_index('annpipe_std'), end='')"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONIOENCODING": "utf-8"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", check=True
    )
    assert json.loads(run.stdout) == FRESH
    files = [row["file"] for row in FRESH["entries"] if "file" in row]
    assert files
    assert not any(Path(file).is_absolute() for file in files)
    assert str(SHIPPED.parent.parent) not in run.stdout


@pytest.mark.parametrize(
    ("module", "base"),
    [
        (torch.nn, torch.nn.Module),
        (torch.optim, torch.optim.Optimizer),
        (torch.optim.lr_scheduler, torch.optim.lr_scheduler.LRScheduler),
        (torch.distributions, torch.distributions.Distribution),
    ],
)
def test_every_public_class_is_there_or_excluded_for_a_reason(module: Any, base: type) -> None:
    """No class of torch is forgotten."""
    names = {cls.__name__ for cls in public(module, base)}
    assert len(names) > 10
    assert names - {entry.name for entry in ENTRIES} - set(torch_table.EXCLUDED) == set()


def test_nothing_is_excluded_that_does_not_exist_or_is_there() -> None:
    """The list of exceptions holds no stale name, and each has its reason."""
    if json.loads(SHIPPED.read_text(encoding="utf-8"))["made_with"] != made_with():
        pytest.skip("another torch has other classes")
    modules = (torch.nn, torch.optim, torch.optim.lr_scheduler, torch.distributions)
    assert {name for name in torch_table.EXCLUDED if not any(hasattr(module, name) for module in modules)} == set()
    assert {entry.name for entry in ENTRIES} & set(torch_table.EXCLUDED) == set()
    assert all(torch_table.EXCLUDED.values())


def test_the_tables_hold_no_stale_rows() -> None:
    """Each row of the tables is used by a class."""
    if json.loads(SHIPPED.read_text(encoding="utf-8"))["made_with"] != made_with():
        pytest.skip("another torch has other classes")
    names = {entry.name for entry in ENTRIES}
    outputs = (torch_outputs.GIVES, torch_outputs.EXPECTS, torch_outputs.RANGES)
    tables = (
        *outputs,
        SUMMARIES,
        torch_table.OF_CLASS,
        torch_table.DEFAULTS,
        torch_table.NEEDS_BY_NAME,
        torch_table.FUSED,
    )
    assert [name for table in tables for name in table if name not in names] == []
    for kind, rows in torch_table.TABLE.items():
        kinds = ("layer", "loss") if kind == "layer" else (kind,)
        used = {p.name for entry in ENTRIES if entry.kind in kinds for p in entry.parameters}
        assert set(rows) - used == set()
    for name, row in torch_table.OF_CLASS.items():
        assert set(row) <= {p.name for p in entry_of(name).parameters}, name


@of_kind(*KINDS)
def test_options_and_defaults_are_torchs_own(entry: Entry) -> None:
    """Names and order are those of the signature; defaults too, but for the documented ones."""
    expected = {name: p for name, p in signature_of(entry).items() if name not in torch_table.HIDDEN}
    assert [p.name for p in entry.parameters] == list(expected)
    filled = torch_schedules.FILLED.get(entry.name, {})  # by the run, where a spec leaves it out
    overrides = torch_table.DEFAULTS.get(entry.name, filled)
    for parameter in entry.parameters:
        default = expected[parameter.name].default
        is_needed = default is inspect.Parameter.empty and parameter.name not in filled
        assert parameter.required == is_needed
        if not parameter.required and parameter.name not in overrides:
            assert parameter.default == (list(default) if isinstance(default, tuple) else default), parameter.name
    assert overrides.keys() <= expected.keys()


@of_kind(*KINDS)
def test_hidden_parameters_are_never_required(entry: Entry) -> None:
    """What a spec cannot say has a default."""
    hidden = [p for name, p in signature_of(entry).items() if name in torch_table.HIDDEN]
    assert all(p.default is not p.empty for p in hidden)


@of_kind(*KINDS)
def test_an_entry_reads_well(entry: Entry) -> None:
    """One plain sentence on the class, words on each option, a default that its own type allows."""
    assert re.fullmatch(r"[^`:]*(: [^`:]*)*\.", entry.summary), entry.summary
    assert len(entry.summary) <= 100
    assert not re.search(r":\w+:|\\|math|\*\*", entry.summary)
    assert entry.origin.distribution == "torch"
    for parameter in entry.parameters:
        assert parameter.description, parameter.name
        if not parameter.required and parameter.default is None and not parameter.supplied:
            assert Named("None") in alternatives(parameter.option_type), parameter.name


def test_types_that_signatures_do_not_say() -> None:
    """Samples of each kind of row, read off torch's documentation."""
    expected = {
        ("Conv2d", "kernel_size"): "int | tuple[int, int]",
        ("Conv2d", "padding"): "'valid' | 'same' | int | tuple[int, int]",
        ("MaxPool1d", "stride"): "int | tuple[int] | None",
        ("TransformerEncoder", "encoder_layer"): "layer",
        ("MultiheadAttention", "num_heads"): "int",
        ("BCEWithLogitsLoss", "pos_weight"): "tensor | 'balanced' | None",
        ("CrossEntropyLoss", "reduction"): "'none' | 'mean' | 'sum'",
        ("Adam", "lr"): "float",
        ("LambdaLR", "lr_lambda"): "expression[epoch] | list[expression[epoch]]",
        ("SequentialLR", "schedulers"): "list[scheduler]",
        ("Normal", "loc"): "tensor",
        ("MixtureSameFamily", "component_distribution"): "distribution",
    }
    found = {key: parameter.type for key in expected if (parameter := entry_of(key[0]).parameter(key[1]))}
    assert found == expected


def test_traits_that_the_engine_reads() -> None:
    """What a layer, a loss and an optimizer tell beyond their options."""
    assert entry_of("CrossEntropyLoss").traits == LossTraits(target="classes", expects="scores")
    assert entry_of("PoissonNLLLoss").traits == LossTraits(outputs="annpipe_std.output_roles:poisson_outputs")
    assert entry_of("Linear").traits == LayerTraits(linear=True)
    assert entry_of("ReLU").traits == LayerTraits(nonlinear=True, range=(0, None))
    steps_first = LayerTraits(needs="(rows, length, features)", native_defaults={"batch_first": False})
    assert entry_of("MultiheadAttention").traits == steps_first
    assert entry_of("LSTM").traits == steps_first
    assert entry_of("LBFGS").traits == OptimizerTraits(closure=True)
    assert entry_of("L1Loss").traits == LossTraits()


@pytest.mark.parametrize("name", torch_outputs.RANGES)
def test_an_activation_gives_numbers_of_its_range(name: str) -> None:
    """On numbers from -5000 to 5000, which nearly reach the ends of the range."""
    low, high = torch_outputs.RANGES[name]
    layer = REGISTRY.load(entry_of(name))(**torch_table.DEFAULTS.get(name, {}))
    given = layer(torch.linspace(-5000, 5000, 400, dtype=torch.float64).reshape(2, 2, 10, 10))
    assert low is None or (given.min() >= low and given.min() < low + 0.1)
    assert high is None or (given.max() <= high and given.max() > high - 0.1)
    if name in torch_outputs.GIVES:
        assert entry_of(name).traits_as(LayerTraits).gives == torch_outputs.GIVES[name]
