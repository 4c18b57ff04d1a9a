"""Overrides: values replaced from the command line, by the same YAML rules."""

from __future__ import annotations

import pytest

from annpipe.errors import SpecError
from annpipe.spec.nodes import plain
from annpipe.spec.overrides import override
from annpipe.spec.reader import read_text

SPEC = "loss: L1Loss\ndevice: cpu\nmodel: [Linear: 3, ReLU]\noptimizer: {Adam: {lr: 0.1}}\n"


@pytest.mark.parametrize(
    ("text", "section", "value"),
    [
        ("optimizer.Adam.lr=1e-3", "optimizer", {"Adam": {"lr": 1e-3}}),
        ("optimizer.Adam.amsgrad=true", "optimizer", {"Adam": {"lr": 0.1, "amsgrad": True}}),
        ("optimizer=SGD", "optimizer", "SGD"),
        ("model.1=Tanh", "model", [{"Linear": 3}, "Tanh"]),
        ("model.0.Linear=no", "model", [{"Linear": "no"}, "ReLU"]),
        ("model.1.ReLU.inplace=true", "model", [{"Linear": 3}, {"ReLU": {"inplace": True}}]),
        ("loss.L1Loss.reduction=sum", "loss", {"L1Loss": {"reduction": "sum"}}),
        ("device.threads=1", "device", {"type": "cpu", "threads": 1}),
        ("tracking.wait_seconds=0", "tracking", {"wait_seconds": 0}),
        ("seed=7", "seed", 7),
    ],
)
def test_an_override_replaces_one_value(text: str, section: str, value: object) -> None:
    """Also inside a bare name, a device's word, and a section that the spec lacks."""
    assert plain(override(read_text(SPEC, "s.yaml"), text))[section] == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("optimizer", "not an override"),
        ("optimizr.Adam.lr=1", "there is no 'optimizr'"),
        ("model.7=ReLU", "no position"),
        ("optimizer.Adam.lr.x=1", "plain value"),
    ],
)
def test_an_override_that_leads_nowhere_is_refused(text: str, words: str) -> None:
    """With its own text as the excerpt."""
    with pytest.raises(SpecError, match=words) as caught:
        override(read_text(SPEC, "s.yaml"), text)
    assert str(caught.value.problems[0].place) == "the command line"


def test_places_inside_an_override_count_in_the_command_line() -> None:
    """The caret stands under the value."""
    root = override(read_text(SPEC, "s.yaml"), "optimizer.Adam.lr=fast")
    place = root.get("optimizer").get("Adam").get("lr").place  # type: ignore[union-attr]
    assert place.file[place.column - 1 :][: place.length] == "fast"
