"""The checks of a component as one call, and as pytest cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from annpipe.registry.entry import Entry
from annpipe.registry.registry import Registry
from annpipe.testing.components.checks import CHECKS, check_entry, checking, verdict
from annpipe.testing.components.find import Checkable, find_components
from annpipe.testing.components.subject import Subject
from annpipe.testing.components.verdicts import FAILED, NOT_APPLICABLE, ComponentReport, Verdict


def check_component(
    component: Checkable, *, registry: Registry | None = None, spec: Mapping[str, Any] | None = None
) -> ComponentReport:
    """Tests one component of any kind, as `annpipe plugins check` does::

        check_component(Swish).check()
        check_component("layer/Swish").check()

    `component` is a marked class or function, a plugin file that marks one, or the kind and name of an installed one;
    its code is run. `registry` holds further components that it needs. `spec` has sections of a spec to try it in,
    where the ones that annpipe makes do not fit it. Raises NotFound for what is not there, and ValueError for several.
    """
    registry = (registry or Registry.installed()).copy()
    entries = find_components(component, registry)
    if len(entries) != 1:
        names = ", ".join(f"{entry.kind}/{entry.name}" for entry in entries)
        raise ValueError(f"{component} is {len(entries)} components, {names}: say which one")
    return check_entry(entries[0], registry, spec)


def component_tests(component: Checkable, *, spec: Mapping[str, Any] | None = None) -> Callable[..., None]:
    """A test function that pytest runs once for each check of each component: a test file needs one line::

        test_swish = component_tests(Swish)
        test_file = component_tests("swish.py")

    `component` and `spec` are as in `check_component`; a file, a folder or a distribution may have several components.
    """
    import pytest

    cases = component_cases(component, spec)

    @pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])
    def test_component(case: Callable[[], Verdict]) -> None:
        run_case(case)

    return test_component


def component_cases(
    component: Checkable | None, spec: Mapping[str, Any] | None = None, registry: Registry | None = None
) -> dict[str, Callable[[], Verdict]]:
    """A function for each check of each component, by names such as `layer/Swish-batches`."""
    registry = (registry or Registry.installed()).copy()
    cases: dict[str, Callable[[], Verdict]] = {}
    for entry in find_components(component, registry):
        subject = _SharedSubject(entry, registry, spec)
        cases |= {f"{entry.kind}/{entry.name}-{check}": partial(subject.verdict, check) for check in CHECKS}
    return cases


def run_case(case: Callable[[], Verdict]) -> None:
    """Fails or skips the running test by the verdict of one check."""
    import pytest

    result = case()
    if result.outcome == NOT_APPLICABLE:
        pytest.skip(result.reason)
    if result.outcome == FAILED:
        pytest.fail(str(result), pytrace=False)


class _SharedSubject:
    """A component whose checks are run one at a time: what they have in common is made once."""

    def __init__(self, entry: Entry, registry: Registry, spec: Mapping[str, Any] | None) -> None:
        self._open = partial(checking, entry, registry, spec)
        self._stack = ExitStack()  # its folder is deleted with this object
        self._subject: Subject | None = None

    def verdict(self, check: str) -> Verdict:
        """The verdict of one check."""
        if self._subject is None:
            self._subject = self._stack.enter_context(self._open())
        result = verdict(self._subject, check)
        if check == list(CHECKS)[-1]:
            self._stack.close()
            self._subject = None
        return result
