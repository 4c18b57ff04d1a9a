"""Whatever a transform raises becomes a problem at its line, or at that of the option it refuses."""

from __future__ import annotations

import pytest

from annpipe.datasets.steps.faults import faults_at
from annpipe.draft.component import Component
from annpipe.errors import OptionError, Place, SpecError

COMPONENT = Component("transform", "clip", {}, Place("spec.yaml", 4, 7))


def raised(error: Exception) -> SpecError:
    """The error that arrives of one that a transform raises."""
    with pytest.raises(SpecError) as caught, faults_at(COMPONENT, ["a", "b", "c", "d"]):
        raise error
    return caught.value


def test_any_error_is_told_with_the_columns() -> None:
    (problem,) = raised(ValueError("no finite value")).problems
    assert problem.message == "clip cannot be fitted on a, b, c, …: no finite value"
    assert problem.place == COMPONENT.place


def test_a_refused_option_is_told_with_its_help() -> None:
    (problem,) = raised(OptionError("low", "is above high", help="swap them")).problems
    assert (problem.message, problem.help) == ("`clip.low`: is above high", "swap them")
