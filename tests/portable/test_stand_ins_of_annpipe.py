"""Stand-ins take whatever a plugin file does with annpipe's names, without doing any of it."""

from __future__ import annotations

from typing import Any

import pytest

from annpipe.portable import stand_ins_of_annpipe as stand_ins


def test_marks_return_what_they_mark() -> None:
    class Layer:
        pass

    assert stand_ins.layer(Layer) is Layer
    assert stand_ins.loss(name="mine", example={})(Layer) is Layer


def test_any_other_name_is_a_class_that_takes_anything() -> None:
    class Mine(stand_ins.Dataset, rows=3):  # type: ignore[misc]  # made when it is asked for
        pass

    assert issubclass(Mine, stand_ins.StandIn)
    assert stand_ins.Field(ge=0).ge == 0
    assert stand_ins.Typing[int] is stand_ins.Typing
    union: Any = stand_ins.Dataset | stand_ins.Blocks
    assert union


def test_an_error_is_caught_under_the_name_that_it_is_raised_under() -> None:
    with pytest.raises(stand_ins.OptionError, match="rows: too many") as caught:
        raise stand_ins.OptionError("rows", "too many", help="take fewer")
    assert caught.value.help == "take fewer"
    assert stand_ins.OptionError is stand_ins.stand_in("OptionError")


def test_names_of_python_s_own_are_not_made_up() -> None:
    with pytest.raises(AttributeError):
        stand_ins.__wrapped__  # noqa: B018  # asking is the test
