"""How many items MLflow takes in one call, and what people are told of them."""

from __future__ import annotations

import pytest
from mlflow.utils import validation

from annpipe.record.store.items import (
    ITEMS_A_CALL,
    PARAMS_A_CALL,
    TAGS_A_CALL,
    Item,
    Metric,
    Param,
    RunTag,
    first_call,
    item_text,
)

POINT, PARAM, TAG = Metric("m", 0.5, 1, 1), Param("p", "1"), RunTag("t", "1")


def test_the_bounds_are_mlflows() -> None:
    """A call with more would be refused whole."""
    limits = (ITEMS_A_CALL, PARAMS_A_CALL, TAGS_A_CALL)
    assert limits == (
        validation.MAX_ENTITIES_PER_BATCH,
        validation.MAX_PARAMS_TAGS_PER_BATCH,
        validation.MAX_PARAMS_TAGS_PER_BATCH,
    )


@pytest.mark.parametrize(
    ("items", "n"),
    [([], 0), ([POINT] * 5, 5), ([POINT] * 1001, 1000), ([PARAM] * 101, 100), ([TAG] * 100 + [PARAM] * 100, 200)],
)
def test_the_first_items_are_a_call(items: list[Item], n: int) -> None:
    """In their order, so that nothing overtakes anything."""
    assert first_call(items) == n


def test_an_item_is_told_by_kind_and_name() -> None:
    """As `Content` names it."""
    assert [item_text(item) for item in (POINT, PARAM, TAG)] == ["metric m", "param p", "tag t"]
