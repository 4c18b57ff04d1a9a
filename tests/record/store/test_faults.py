"""MLflow's errors are sorted: refused for good, or to be tried again."""

from __future__ import annotations

import pytest
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE

from annpipe.record.store.faults import ItemRefused, first_line, is_page, refusals


def test_a_refusal_of_mlflows_is_for_good_and_has_no_credentials() -> None:
    """Whoever reads it may print it."""
    with pytest.raises(ItemRefused) as caught, refusals():
        raise MlflowException("bad http://ann:s3cret@host", INVALID_PARAMETER_VALUE)
    assert str(caught.value) == "bad http://***@host"


@pytest.mark.parametrize(
    "error",
    [
        MlflowException("try later", INTERNAL_ERROR),
        MlflowException("API request failed with error code 404", INVALID_PARAMETER_VALUE),
        ConnectionError("away"),
    ],
)
def test_all_else_may_be_tried_again(error: Exception) -> None:
    """A proxy's page is no word of MLflow's."""
    with pytest.raises(type(error)), refusals():
        raise error


def test_a_page_is_told_from_an_answer() -> None:
    """A server of MLflow's says what it refuses, with a code of its own."""
    answer = RestException({"error_code": "NOT_FOUND", "message": "API request failed with error code 404"})
    assert not is_page(answer)
    assert is_page(MlflowException("API request failed with error code 404"))


def test_an_error_is_told_in_one_line() -> None:
    """With its kind, and alone where it has no words."""
    assert first_line(ValueError("a\nb")) == "ValueError: a"
    assert first_line(TimeoutError()) == "TimeoutError"
    assert len(first_line(ValueError("x" * 9999))) < 500
