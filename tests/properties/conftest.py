"""Drawn specs ask for any number of rows: none of them is to fill the machine that tests them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from annpipe.files import memory


@pytest.fixture(scope="module", autouse=True)
def little_memory() -> Iterator[None]:
    """Rows are made as on a machine of one gibibyte."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "machine_memory", lambda: 2**30)
        yield
