"""The failures of a store: refused for good, the run deleted or gone, or to be tried again (all else)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from mlflow.exceptions import MlflowException, RestException
from mlflow.utils.rest_utils import MlflowHostCreds, http_request

from annpipe.record.journal.location import scrub

_REFUSALS: Final = {
    "INVALID_PARAMETER_VALUE",
    "BAD_REQUEST",
    "INVALID_STATE",
    "RESOURCE_ALREADY_EXISTS",
    "ALREADY_EXISTS",
    "RESOURCE_DOES_NOT_EXIST",
    "NOT_FOUND",
    "NOT_IMPLEMENTED",
    "ENDPOINT_NOT_FOUND",
}


class ItemRefused(Exception):
    """The store will not take this item, however often it is offered."""


class RunDeleted(Exception):
    """Somebody put the run into MLflow's bin: nothing more can be written to it, and it is left there."""


class RunGone(Exception):
    """The store does not know the run: it was deleted for good, or the store is another one now."""


@contextmanager
def refusals() -> Iterator[None]:
    """Turns MLflow's word for `never` into ItemRefused; everything else passes and may be tried again."""
    try:
        yield
    except MlflowException as error:
        if error.error_code in _REFUSALS and not is_page(error):
            raise ItemRefused(scrub(str(error))) from error
        raise


def is_page(error: MlflowException) -> bool:
    """Whether a status such as 404 came without a word of MLflow's: a proxy's page, perhaps gone in a moment."""
    return not isinstance(error, RestException) and "failed with error code" in str(error)


def is_old_server(uri: str) -> bool:
    """Whether a server says that it is from before logged models."""
    answer = http_request(MlflowHostCreds(uri), "/version", "GET")  # type: ignore[no-untyped-call]  # MLflow's own
    return answer.ok and re.match(r"[012]\.\d", answer.text) is not None


def first_line(error: BaseException) -> str:
    """An error in one line, fit to be printed: no credentials, no page of SQL."""
    text = scrub(str(error)).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text[:400]}" if text else type(error).__name__
