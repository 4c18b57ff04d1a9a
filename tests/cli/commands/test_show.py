"""`annpipe show`, driven as a user drives it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from annpipe.backend.instantiate import instantiate
from annpipe.cli.commands.show import examples
from annpipe.draft.options import Resolving
from annpipe.registry.discovery import imported
from annpipe.registry.kinds import KINDS
from annpipe.registry.registry import Registry
from annpipe.registry.traits import DataTraits
from annpipe.spec.sections.component import Call, read_call
from annpipe.spec.yaml.nodes import ListNode, MappingNode
from annpipe.spec.yaml.reader import read_text

Cli = Callable[..., subprocess.CompletedProcess[str]]

WAVE = '''"""A layer of one's own."""

from typing import Annotated

import torch
from annpipe import layer
from pydantic import Field


@layer
class Wave(torch.nn.Module):
    """sin(omega x)."""

    def __init__(self, omega: Annotated[float, Field(gt=0, description="angular frequency")] = 1.0) -> None:
        super().__init__()
        self.omega = omega
'''


def test_it_tells_options_types_defaults_origin_and_examples(annpipe: Cli) -> None:
    shown = annpipe("show", "layer", "Linear", COLUMNS="140")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0] == "layer Linear"
    assert any(line.startswith("from torch 2.") for line in lines)
    rows = {line.split()[0]: line.split()[1:3] for line in lines if line.startswith("  ") and len(line.split()) > 2}
    assert rows["in_features"] == ["int", "supplied"]
    assert rows["out_features"] == ["int", "required"]
    assert rows["bias"] == ["bool", "true"]
    assert "  model: [{Linear: 16}]" in lines


def test_the_kind_may_be_left_out(annpipe: Cli) -> None:
    assert annpipe("show", "Adam").stdout == annpipe("show", "optimizer", "Adam").stdout


def test_bounds_are_said_in_words(annpipe: Cli) -> None:
    shown = " ".join(annpipe("show", "Adam").stdout.split())
    assert "at least 0 and less than 1" in shown


def test_json_is_one_object(annpipe: Cli) -> None:
    shown = json.loads(annpipe("show", "scheduler", "StepLR", "--json").stdout)
    options = {option["name"]: option for option in shown["options"]}
    assert (shown["kind"], shown["name"], shown["target"]) == (
        "scheduler",
        "StepLR",
        "torch.optim.lr_scheduler:StepLR",
    )
    assert shown["origin"]["distribution"] == "torch"
    assert options["step_size"]["required"]
    assert options["optimizer"]["supplied"]
    assert not options["optimizer"]["required"]
    assert options["gamma"]["default"] == 0.1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["Linaer"], "there is no component 'Linaer': did you mean 'Linear'"),
        (["optimizer", "Adamm"], "there is no optimizer 'Adamm': did you mean 'Adam'"),
        (["optimizer", "Linear"], "there is no optimizer 'Linear': it is a layer"),
        (["optimiser", "Adam"], "there is no kind 'optimiser': did you mean 'optimizer'?"),
    ],
)
def test_a_name_that_is_not_there_gets_the_nearest(annpipe: Cli, words: list[str], said: str) -> None:
    refused = annpipe("show", *words)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert said in refused.stderr


@pytest.mark.slow
def test_a_local_file_shows_its_file_and_line(annpipe: Cli, tmp_path: Path) -> None:
    (tmp_path / "wave.py").write_text(WAVE)
    shown = annpipe("show", "Wave", "--plugin", "wave.py", XDG_CACHE_HOME=str(tmp_path / "cache"), COLUMNS="120")
    assert shown.returncode == 0, shown.stderr
    assert "from wave.py:11" in shown.stdout
    assert "angular frequency; greater than 0" in shown.stdout


def test_a_local_file_that_is_broken_is_an_error_at_its_line(annpipe: Cli, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import nothing_of_that_name\n")
    refused = annpipe("show", "Linear", "--plugin", "bad.py", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert refused.returncode == 3
    assert "error[plugin-import]" in refused.stderr
    assert "bad.py:1:1" in refused.stderr
    assert "import nothing_of_that_name" in refused.stderr


def test_every_example_of_every_component_is_a_valid_part_of_a_spec(registry_entries: Registry) -> None:
    """The reader and the option checks of the engine take each spelling that `show` prints."""
    n_checked = 0
    for kind in KINDS:
        for entry in registry_entries.entries(kind):
            for example in examples(entry, registry_entries):
                text = f"in: {{{example}}}" if kind == "distribution" else example
                node = read_text(text, "example.yaml").pairs[0][1]
                if kind == "transform":
                    assert isinstance(node, MappingNode)
                    node = node.pairs[0][1]
                call = read_call(node.items[0] if isinstance(node, ListNode) else node, example)
                assert isinstance(call, Call), example
                resolving = Resolving(registry_entries)
                resolving.component(call, kind)
                assert not resolving.problems, (example, resolving.problems)
                n_checked += 1
    assert n_checked > 400


def test_a_component_takes_its_own_examples(registry_entries: Registry) -> None:
    """What only the component can refuse: callbacks are built, data that needs no file tells its fields."""
    n_taken = 0
    for kind in ("callback", "data"):
        for entry in registry_entries.entries(kind):
            if any("path" in option.type for option in entry.options):
                continue
            for example in examples(entry, registry_entries):
                node = read_text(example, "example.yaml").pairs[0][1]
                call = read_call(node.items[0] if isinstance(node, ListNode) else node, example)
                assert isinstance(call, Call)
                component = Resolving(registry_entries).component(call, kind)
                assert component
                told = entry.traits_as(DataTraits).fields
                if isinstance(told, str):
                    assert imported(told)(**component.options).targets
                else:
                    instantiate(component)
                n_taken += 1
    assert n_taken >= 6
