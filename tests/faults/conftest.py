"""Fixtures of the faults: a process that forks commands, and a stage with a reference run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.injector import Injector
from tests.faults.scenes import Stage
from tests.faults.zygote import Zygote


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """One for all tests of the file."""
    with Zygote() as one:
        yield one


@pytest.fixture(scope="session")
def stage(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """A stage with its reference run; each test takes an injector of its own."""
    return Stage(tmp_path_factory.mktemp("stage"), zygote, Injector())
