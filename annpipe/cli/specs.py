"""The options of commands that read one spec."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def spec_options(function: F) -> F:
    """--set and --device."""
    set_ = click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Replace a value of the spec.")
    device = click.option("--device", metavar="WORD", help="auto, cpu, cuda, cuda:1 or mps, instead of the spec's.")
    return set_(device(function))
