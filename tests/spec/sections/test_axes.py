"""Which values a sweep tries: lists, counts and ranges, as a spec and the command line write them."""

from __future__ import annotations

import numpy as np
import pytest

from annpipe.errors import Place, SpecError
from annpipe.spec.sections.axes import Axis, AxisFault, Span, axis_of, read_over
from annpipe.spec.sections.sweep import even
from annpipe.spec.yaml.composer import compose
from annpipe.spec.yaml.nodes import plain


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("optimizer.Adam.lr=1e-3,0.01", (1e-3, 0.01)),
        ("model.1=ReLU, Tanh", ("ReLU", "Tanh")),
        ("seed=3..5", (3, 4, 5)),
        ("seed=-1..-1", (-1,)),
        ("train.batch_size=all,32", ("all", 32)),
        ("optimizer={SGD: {lr: 0.1}},Adam", ({"SGD": {"lr": 0.1}}, "Adam")),
        ("optimizer.Adam.betas=[0.9, 0.99],[0.5, 0.9]", ([0.9, 0.99], [0.5, 0.9])),
        ("train.shuffle=true,false", (True, False)),
        ("average=null,EMA", (None, "EMA")),
    ],
)
def test_values_are_read_as_in_a_spec(text: str, values: tuple[object, ...]) -> None:
    """Numbers, words, lists and mappings; a range of whole numbers has both ends."""
    axis = read_axis(text)
    assert (axis.path, axis.values, axis.span) == (text.partition("=")[0], values, None)
    assert [plain(axis.node(value)) for value in axis.values] == list(values)


def read_axis(text: str) -> Axis:
    """As `--over` is read."""
    key, node = read_over(text)
    return axis_of(str(key.value), node, key.place)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optimizer.Adam.lr", "names no path and values"),
        ("=1,2", "names no path and values"),
        ("seed=", "names no path and values"),
        ("model.1=[ReLU", "cannot be read"),
    ],
)
def test_text_that_cannot_be_read(text: str, message: str) -> None:
    """The place is in the command line."""
    with pytest.raises(SpecError, match=message.replace("[", r"\[")) as caught:
        read_over(text)
    assert all(problem.place and problem.place.on_command_line for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed=5..3", "the range 5..3 of `seed` has no values"),
        ("seed=0..99999", "over 10,000 values"),
        ("seed=1,2,1", "`seed` takes 1 twice"),
        ("model.1={a: 1},{a: 1}", '`model.1` takes {"a": 1} twice'),
        ("lr={log_uniform: [0, 1]}", "begins at 0, which has no logarithm"),
        ("lr={uniform: [2, 1]}", "goes from 2 to 1"),
        ("lr={uniform: 3}", "`uniform` takes a list; found the number 3"),
        ("lr={uniform: [1, 2, 3]}", "takes the smallest and the largest number"),
        ("lr={range: [1, fast]}", "goes from number to number; found the word 'fast'"),
        ("lr={range: [1, 2, 0]}", "the step of a range must be greater than 0"),
        ("lr={choice: []}", "an empty list of values"),
    ],
)
def test_values_that_lead_nowhere(text: str, message: str) -> None:
    """What a list or a form says wrong."""
    with pytest.raises(AxisFault) as caught:
        read_axis(text)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("[1, 2]", (1, 2)),
        ("8", tuple(range(8))),
        ("2..4", (2, 3, 4)),
        ("{choice: [3, 1]}", (3, 1)),
        ("{range: [8, 32, 8]}", (8, 16, 24, 32)),
        ("{range: [8, 31, 8]}", (8, 16, 24)),
        ("{range: [0, 0.3, 0.1]}", (0.0, 0.1, 0.2, pytest.approx(0.3))),
    ],
)
def test_seeds_in_a_spec(text: str, values: tuple[object, ...]) -> None:
    """All forms that list their values; a number alone counts where repetitions are meant."""
    node = compose(text, "spec.yaml")
    assert node is not None
    assert axis_of("seed", node, Place("spec.yaml", 1, 1)).values == values


def test_a_number_alone_is_no_list_elsewhere() -> None:
    """A single value is set, not swept."""
    node = compose("3", "spec.yaml")
    assert node is not None
    with pytest.raises(AxisFault, match="must have values to try; found the number 3"):
        axis_of("model.0.Linear", node, Place("spec.yaml", 1, 1))


def test_points_of_a_range() -> None:
    """Even steps from end to end, or even ratios: numpy's own."""
    assert Span(1.0, 2.0).points(5) == pytest.approx(np.linspace(1, 2, 5))
    assert Span(1e-4, 1e-1, is_log=True).points(4) == pytest.approx(np.geomspace(1e-4, 1e-1, 4))
    assert Span(1e-4, 1e-1, is_log=True).points(4)[0] == 1e-4
    assert Span(1.0, 100.0, is_log=True).points(1) == pytest.approx([10.0])
    axes = (Axis("a", (1, 2, 3)), Axis("lr", span=Span(0.0, 1.0)), Axis("w", span=Span(1.0, 4.0)))
    assert [len(axis.values) for axis in even(axes, 64)] == [3, 4, 4]  # 3 * 4 * 4 <= 64 < 3 * 5 * 5
    assert even(axes[:1], None) == axes[:1]
