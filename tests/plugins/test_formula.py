"""The data generator `formula`: what it draws, what it promises of its draws, what it refuses."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch.distributions import Categorical, Distribution, MultivariateNormal, Normal, Poisson, Uniform

from annpipe import Dataset, Expression, Field, OptionError
from annpipe_std.columns import formula_fields
from annpipe_std.formula import formula


def wide(low: float, high: float) -> Distribution:
    return Uniform(torch.tensor(low, dtype=torch.float64), torch.tensor(high, dtype=torch.float64))


def made(seed: int = 0, **options: Any) -> Dataset:
    """The quadratic of the tutorial, with some options replaced."""
    usual: dict[str, Any] = {
        "rows": 1000,
        "inputs": {"x": wide(-15.0, 15.0)},
        "targets": {"y": Expression("x**2 + 3")},
    }
    return formula(**(usual | options), generator=torch.Generator().manual_seed(seed))


def test_targets_are_their_formula_and_noise_comes_on_top() -> None:
    """The truth is noiseless; the noise has the spread that was asked for."""
    rows = made(rows=20_000, noise={"y": Normal(torch.tensor(0.0), torch.tensor(5.0))})
    x, y, truth = rows.inputs["x"], rows.targets["y"], rows.truth["y"]
    assert x.dtype == y.dtype == torch.float64
    assert rows.rows == 20_000
    assert x.min() >= -15
    assert x.max() <= 15
    torch.testing.assert_close(truth, x**2 + 3)
    assert float((y - truth).std()) == pytest.approx(5, rel=0.02)
    assert float((y - truth).mean()) == pytest.approx(0, abs=0.15)


def test_draws_are_doubles() -> None:
    """A uniform number drawn in single precision would fall on a grid of 2**24 values."""
    x = made().inputs["x"]
    assert (x != x.to(torch.float32).to(torch.float64)).any()


def test_the_same_seed_gives_the_same_rows() -> None:
    """And another seed gives others."""
    assert torch.equal(made(seed=1).inputs["x"], made(seed=1).inputs["x"])
    assert not torch.equal(made(seed=1).inputs["x"], made(seed=2).inputs["x"])


def test_inputs_depend_neither_on_noise_nor_on_later_inputs() -> None:
    """So two specs that differ in these alone can be compared point by point."""
    alone = made()
    noisy = made(noise={"y": Normal(0.0, 1.0)})
    more = made(inputs={"x": wide(-15.0, 15.0), "z": Poisson(3.0)}, noise={"y": Normal(0.0, 1.0)})
    assert torch.equal(alone.inputs["x"], noisy.inputs["x"])
    assert torch.equal(alone.inputs["x"], more.inputs["x"])
    assert torch.equal(alone.truth["y"], noisy.truth["y"])


def test_the_global_random_stream_is_left_as_it_was() -> None:
    """torch's distributions draw from it; formula puts it back."""
    torch.manual_seed(3)
    before = torch.get_rng_state()
    made()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_target_may_use_those_before_it() -> None:
    """It sees them without their noise."""
    targets = {"y": Expression("x + 1"), "z": Expression("2*y"), "constant": Expression("7")}
    rows = made(targets=targets, noise={"y": Normal(0.0, 1.0)})
    torch.testing.assert_close(rows.targets["z"], 2 * (rows.inputs["x"] + 1))
    assert rows.targets["constant"].shape == (1000,)
    with pytest.raises(OptionError, match="no 'z'") as caught:
        made(targets={"y": Expression("z"), "z": Expression("x")})
    assert caught.value.help == "a target sees only those before it: the names here are x"


def test_whole_numbers_become_doubles() -> None:
    """A column is a column of numbers, whatever it is drawn from."""
    rows = made(inputs={"x": Categorical(torch.ones(3))}, targets={"y": Expression("x / 2")})
    assert rows.inputs["x"].dtype == torch.float64
    assert set(rows.targets["y"].tolist()) == {0.0, 0.5, 1.0}


def test_fields_are_known_from_names_alone() -> None:
    """Before anything is drawn: the distributions may be anything."""
    fields = formula_fields(rows=5, inputs={"a": None, "b": None}, targets={"y": Expression("a*b")}, noise={"y": None})
    assert fields.inputs == {"a": Field(), "b": Field()}
    assert fields.targets == {"y": Field()}
    with pytest.raises(OptionError, match="no 'c'"):
        formula_fields(rows=5, inputs={"a": None}, targets={"y": Expression("c")})


@pytest.mark.parametrize(
    ("options", "option", "message", "remedy"),
    [
        ({"targets": {"y": Expression("widht")}, "inputs": {"width": 0}}, "targets.y", "no 'widht'", "mean 'width'"),
        ({"targets": {"x": Expression("1")}}, "targets.x", "is an input already", "another name"),
        ({"noise": {"z": 0}}, "noise.z", "no target 'z'", "the targets are y"),
        ({"inputs": {"e": 0}}, "inputs.e", "cannot name a column", "meaning of its own"),
        ({"inputs": {"a b": 0}}, "inputs.a b", "cannot name a column", "letters, digits"),
        ({"targets": {"sin": Expression("x")}}, "targets.sin", "cannot name", "meaning of its own"),
        ({"inputs": {}}, "inputs", "names no column", "Uniform"),
        ({"targets": {}}, "targets", "names no column", "x\\*\\*2"),
        ({"inputs": {"x": Uniform(torch.zeros(2), 1.0)}}, "inputs.x", r"\(2,\)", "a distribution of its own"),
        ({"noise": {"y": MultivariateNormal(torch.zeros(3), torch.eye(3))}}, "noise.y", r"\(3,\)", "of its own"),
        ({"targets": {"y": Expression("log(x)")}}, "targets.y", r"nan in \d+ of 1000 rows, as at x = -", "defined"),
    ],
)
def test_what_does_not_fit_together_is_refused_at_its_option(
    options: dict[str, Any], option: str, message: str, remedy: str
) -> None:
    """With the rule and the remedy."""
    with pytest.raises(OptionError, match=message) as caught:
        made(**options)
    assert caught.value.option == option
    assert caught.value.help is not None
    assert re.search(remedy, caught.value.help)


def test_an_unknown_name_keeps_its_place_in_the_formula() -> None:
    """The cause carries the column, for a caret inside the formula."""
    with pytest.raises(OptionError) as caught:
        made(targets={"y": Expression("x + z")})
    assert getattr(caught.value.__cause__, "column", None) == 4
