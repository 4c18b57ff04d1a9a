"""Entries of the registry: what the index keeps of them, and where a component comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import pytest
import torch
from pydantic import Field

from annpipe.registry.entry import Entry, Origin, Parameter, from_json, installed_version, to_json
from annpipe.registry.signature import Typing, describe
from annpipe.registry.traits import LayerTraits, LossTraits


class Stretch(torch.nn.Module):
    """Stretches what arrives."""

    def __init__(
        self,
        out_features: Annotated[int, Field(gt=0, description="width of what leaves")],
        sizes: tuple[int, int] = (1, 2),
        *,
        in_features: int,
    ) -> None:
        super().__init__()


def test_an_entry_is_read_back_from_its_json() -> None:
    entry = describe("layer", Stretch, traits={"linear": True})
    root = Path(__file__).parent
    row = to_json(entry, root)
    assert row["file"] == "test_entry.py"
    assert from_json(row, entry.origin, root) == entry


def test_an_entry_of_another_distribution_carries_its_name_and_version() -> None:
    entry = describe(
        "layer",
        torch.nn.Linear,
        target="torch.nn:Linear",
        typing_=Typing(hidden=frozenset({"device", "dtype"})),
        distribution="torch",
    )
    again = from_json(to_json(entry), entry.origin)
    assert (again.origin.distribution, again.origin.version) == ("torch", torch.__version__.partition("+")[0])
    assert (again.file, again.where) == ("", "torch.nn:Linear")


def test_only_what_differs_from_the_usual_is_written() -> None:
    """Each parameter has its name and type; a required one has no default."""
    parameters = (
        Parameter("a", "int", required=True),
        Parameter("b", "float | None"),
        Parameter("c", "int", 3, supplied=True, bounds={"gt": 0}, description="how many"),
    )
    entry = Entry("layer", "own", "own:Own", parameters, "Its own.", Origin(file="/plugins/own.py"))
    assert to_json(entry) == {
        "kind": "layer",
        "name": "own",
        "target": "own:Own",
        "summary": "Its own.",
        "parameters": [
            {"name": "a", "type": "int", "required": True},
            {"name": "b", "type": "float | None", "default": None},
            {
                "name": "c",
                "type": "int",
                "default": 3,
                "supplied": True,
                "bounds": {"gt": 0},
                "description": "how many",
            },
        ],
    }


@pytest.mark.parametrize(
    ("file", "written", "restored"),
    [
        ("/work/plugins/own/layers.py", "own/layers.py", "/elsewhere/own/layers.py"),
        ("/other/layers.py", "/other/layers.py", "/other/layers.py"),
    ],
)
def test_a_file_below_the_root_moves_with_it(file: str, written: str, restored: str) -> None:
    """The index of a package holds wherever the package is installed."""
    entry = Entry("layer", "own", "own:Own", (), "", Origin(), file=file, line=7)
    row = json.loads(json.dumps(to_json(entry, Path("/work/plugins"))))
    assert (row["file"], row["line"]) == (written, 7)
    read = from_json(row, Origin("own", "1.0"), Path("/elsewhere"))
    assert (Path(read.file), read.line, read.origin) == (Path(restored), 7, Origin("own", "1.0"))


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        (Origin("torch", "2.9.0"), "torch 2.9.0"),
        (Origin("torch"), "torch"),
        (Origin(file="plugins/own.py"), "plugins/own.py"),
        (Origin(), ""),
    ],
)
def test_an_origin_in_words(origin: Origin, text: str) -> None:
    """A distribution with its version, or a file."""
    assert str(origin) == text


def test_options_are_the_parameters_that_a_spec_gives() -> None:
    """Those that the engine fills are found by name, too."""
    entry = describe("layer", Stretch)
    assert [option.name for option in entry.options] == ["out_features", "sizes"]
    supplied = entry.parameter("in_features")
    assert supplied is not None
    assert supplied.supplied
    assert entry.parameter("width") is None
    assert entry.parameters[0].words == "a whole number greater than 0"


def test_the_place_of_an_entry_is_its_source_or_else_its_target() -> None:
    """Where the source is not at hand."""
    assert describe("layer", Stretch).where.startswith(f"{__file__}:")
    assert Entry("layer", "own", "own:Own", (), "", Origin()).where == "own:Own"


def test_the_loaded_callable_counts_in_no_comparison() -> None:
    """An entry that Python gave equals the one that was read from the index."""
    entry = describe("layer", Stretch)
    given = Entry(**{**vars(entry), "loaded": Stretch})
    assert given == entry
    assert given.traits_as(LayerTraits) == LayerTraits()
    assert given.traits_as(LossTraits) == LossTraits()


def test_the_version_of_what_is_not_installed_is_empty() -> None:
    """And that of a build for an accelerator is the public one."""
    assert installed_version("no-such-distribution") == ""
    assert installed_version("torch") == torch.__version__.partition("+")[0]
