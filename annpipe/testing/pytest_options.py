"""The option `--component` of pytest, for `annpipe.testing.kit`; imports neither pytest nor torch."""

from __future__ import annotations

from typing import Any


def pytest_addoption(parser: Any) -> None:
    """Adds the option."""
    parser.getgroup("annpipe").addoption(
        "--component",
        action="append",
        dest="components",
        metavar="WHAT",
        help="for `--pyargs annpipe.testing.kit`: the FILE, DISTRIBUTION or KIND/NAME to check; may be repeated",
    )
