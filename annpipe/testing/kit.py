"""The checks of components as pytest cases: `pytest --pyargs annpipe.testing.kit --component layer/Swish`.

`--component` is what `annpipe plugins check` takes, and may be repeated; left out, the folder `plugins` is checked. The
option itself is in `annpipe.testing.pytest_options`, which pytest finds by an entry point.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from annpipe.testing.cases import component_cases, run_case

if TYPE_CHECKING:
    from annpipe.testing.components.verdicts import Verdict


def pytest_generate_tests(metafunc: Any) -> None:
    """A case for each check of each component that the command line names."""
    cases: dict[str, Callable[[], Verdict]] = {}
    for component in metafunc.config.getoption("components") or [None]:
        cases |= component_cases(component)
    metafunc.parametrize("case", list(cases.values()), ids=list(cases))


def test_component(case: Callable[[], Verdict]) -> None:
    """One check of one component."""
    run_case(case)
