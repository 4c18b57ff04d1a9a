"""The checks as pytest cases: one line in a test file, and `pytest --pyargs annpipe.testing.kit --component …`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from annpipe.errors import NotFound
from annpipe.testing import check_component
from annpipe.testing.cases import component_cases
from annpipe.testing.components.checks import CHECKS

BROKEN = Path(__file__).parent / "broken_plugins"
FILE = """
from pathlib import Path
from annpipe.testing import component_tests
test_it = component_tests(Path({file!r}))
"""


def run_pytest(folder: Path, *arguments: str) -> tuple[int, list[str]]:
    """The exit code of a pytest of its own, and the last words of each of its lines."""
    options = ["-q", "-rA", "-p", "no:cacheprovider", "-p", "annpipe.testing.pytest_options"]
    command = [sys.executable, "-m", "pytest", *options, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    return done.returncode, done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["file", "option"])
def test_pytest_shows_each_check_as_a_case(tmp_path: Path, way: str) -> None:
    """With the line and the remedy where one fails, and the reason where it says nothing."""
    plugin = BROKEN / "ignored_option.py"
    (tmp_path / "test_plugin.py").write_text(FILE.format(file=str(plugin)), encoding="utf-8")
    arguments = {"file": ["test_plugin.py"], "option": ["--pyargs", "annpipe.testing.kit", "--component", str(plugin)]}
    code, lines = run_pytest(tmp_path, *arguments[way])
    assert code == 1, lines
    assert lines[-1].startswith(f"1 failed, {len(CHECKS) - 1} passed"), lines
    assert any(f"{plugin}:14: signature: the option 'slope' is ignored" in line for line in lines)


def test_cases_have_names_and_are_run_one_at_a_time() -> None:
    """One of them alone, as `pytest -k` does."""
    cases = component_cases("metric/R2Score")
    assert list(cases) == [f"metric/R2Score-{check}" for check in CHECKS]
    assert cases["metric/R2Score-batches"]().outcome == "passed"
    assert cases["metric/R2Score-export"]().outcome == "not applicable"


def test_what_is_not_one_component_is_refused(tmp_path: Path) -> None:
    """A class without a mark, and a distribution of many."""
    with pytest.raises(NotFound, match="carries no mark"):
        check_component(dict)
    with pytest.raises(ValueError, match=r"annpipe is \d+ components"):
        check_component("annpipe")


def test_reading_the_option_imports_no_torch() -> None:
    """Pytest imports it at each start, in projects that have nothing to do with annpipe, too."""
    code = "import sys, annpipe.testing.pytest_options; print({'torch', 'pytest'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
