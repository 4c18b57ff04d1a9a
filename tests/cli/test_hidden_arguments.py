"""Secrets on the command line are hidden from the list of processes by a second start of the program."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pytest

from annpipe.cli import ARGUMENTS, hide_secrets

SECRET = "http://ann:canary@host:5000"


class Started(Exception):
    """What `os.execve` would start."""

    def __init__(self, program: str, arguments: list[str], environment: dict[str, str]) -> None:
        super().__init__(program)
        self.program, self.arguments, self.environment = program, arguments, environment


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the command line."""
    monkeypatch.delenv(ARGUMENTS, raising=False)

    def start(*call: Any) -> None:
        raise Started(*call)

    monkeypatch.setattr(os, "execve", start)

    def set_line(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["annpipe", *arguments])
        monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "annpipe", *arguments])

    return set_line


def test_without_a_secret_nothing_is_started(typed: Any) -> None:
    """The usual case."""
    typed("run", "spec.yaml", "--tracking-uri", "http://host:5000")
    hide_secrets()
    assert sys.argv == ["annpipe", "run", "spec.yaml", "--tracking-uri", "http://host:5000"]


def test_the_second_start_shows_no_secret_and_has_it_back(typed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the environment, which it leaves to no process that it starts."""
    typed("run", "spec.yaml", "--tracking-uri", SECRET)
    with pytest.raises(Started) as caught:
        hide_secrets()
    second = caught.value
    assert second.program == second.arguments[0] == sys.executable
    assert second.arguments[1:] == ["-m", "annpipe", "run", "spec.yaml", "--tracking-uri", "http://***@host:5000"]
    assert json.loads(second.environment[ARGUMENTS]) == ["run", "spec.yaml", "--tracking-uri", SECRET]
    assert second.environment.items() >= os.environ.items()
    monkeypatch.setenv(ARGUMENTS, second.environment[ARGUMENTS])
    typed(*second.arguments[3:])
    hide_secrets()
    assert sys.argv[1:] == ["run", "spec.yaml", "--tracking-uri", SECRET]
    assert ARGUMENTS not in os.environ


@pytest.mark.parametrize("left", ["no JSON", "[1"])
def test_a_variable_that_cannot_be_read_is_dropped(left: str, typed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The arguments stay as they are."""
    typed("run", "http://***@host")
    monkeypatch.setenv(ARGUMENTS, left)
    hide_secrets()
    assert sys.argv[1:] == ["run", "http://***@host"]
    assert ARGUMENTS not in os.environ


def test_a_variable_that_somebody_else_set_changes_no_arguments(typed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a hidden argument it is not that of a first start."""
    typed("run", "spec.yaml")
    monkeypatch.setenv(ARGUMENTS, '["sync", "--delete"]')
    hide_secrets()
    assert sys.argv[1:] == ["run", "spec.yaml"]
    assert ARGUMENTS not in os.environ


def test_where_it_cannot_be_started_anew_the_command_goes_on(typed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the arguments that were typed."""
    typed("run", SECRET)

    def refused(*call: Any) -> None:
        raise OSError("too long")

    monkeypatch.setattr(os, "execve", refused)
    hide_secrets()
    assert sys.argv[1:] == ["run", SECRET]
    monkeypatch.setattr(sys, "executable", "")
    monkeypatch.setattr(os, "execve", pytest.fail)
    hide_secrets()
    assert sys.argv[1:] == ["run", SECRET]
