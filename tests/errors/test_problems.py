"""Exceptions have their exit codes and remedies, and no text of theirs steers a terminal."""

from __future__ import annotations

import pytest
import torch

from annpipe.errors import (
    AnnpipeError,
    OutOfMemory,
    Place,
    RunError,
    SplitError,
    is_out_of_memory,
    one_line,
    steering,
    visible,
)
from annpipe.errors.problems import NonFiniteLoss


def subclasses(kind: type[AnnpipeError]) -> set[type[AnnpipeError]]:
    return {kind}.union(*(subclasses(below) for below in kind.__subclasses__()))


def test_every_error_has_an_exit_code_of_its_kind() -> None:
    assert {kind.exit_code for kind in subclasses(AnnpipeError)} <= {1, 2, 3, 5}, "4 is that of a bug"


def test_a_place_is_shown_as_editors_have_it() -> None:
    assert str(Place("spec.yaml", 3, 5)) == "spec.yaml:3:5"
    assert str(Place("--set a=1", 1, 7)) == "the command line"


def test_text_that_steers_a_terminal_is_escaped() -> None:
    assert visible("red\x1b[31m\n") == "red\\u001b[31m\n"
    assert one_line("two\nlines\t\r") == "two\\nlines\\t\\r"
    assert visible("\U000e0001") == "\\udb40\\udc01", "the two halves of UTF-16"
    assert steering("a\u202eb") == "\u202e"
    assert steering("a\nb", lines=True) is None
    assert steering("plain ä") is None


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB."),
    ],
)
def test_errors_of_memory_are_known(error: BaseException) -> None:
    assert is_out_of_memory(error)
    assert "take a smaller `batch_size`" in str(OutOfMemory(error))
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))


def test_the_amount_of_memory_is_told_where_it_is_known() -> None:
    assert "not enough for 2.50 GiB more" in str(OutOfMemory(RuntimeError("Tried to allocate 2.50 GiB.")))


def test_a_loss_that_is_not_finite_has_a_remedy_for_its_step() -> None:
    assert "look for nan" in str(NonFiniteLoss(1, float("nan"), "checkpoints/last"))
    later = NonFiniteLoss(7, float("inf"), "checkpoints/last")
    assert "the loss became inf at step 7; the last finite checkpoint is kept in checkpoints/last" in str(later)
    assert isinstance(later, RunError)


def test_a_fault_of_the_split_names_its_option() -> None:
    assert str(SplitError("val", "too few rows", "hold out fewer")) == "`data.split.val`: too few rows; hold out fewer"
