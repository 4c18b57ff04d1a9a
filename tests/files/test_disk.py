"""Errors of the disk are told with a remedy; those that are no fault of the disk are left to others."""

from __future__ import annotations

import errno
import os

import pytest

from annpipe.files.disk import fault_of_disk


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.ENOSPC, "free some space"), (errno.EROFS, "can be written to"), (errno.EMFILE, "ulimit -n")],
)
def test_an_error_has_its_file_and_a_remedy(number: int, remedy: str) -> None:
    text = fault_of_disk(OSError(number, os.strerror(number), "runs/a\x1b"))
    assert text is not None
    assert text.startswith(f"'runs/a\\u001b': {os.strerror(number)}; ")
    assert remedy in text


def test_the_second_name_is_where_a_file_was_to_go() -> None:
    text = fault_of_disk(OSError(errno.EACCES, "Permission denied", "from", None, "to"))
    assert text is not None
    assert text.startswith("'to': Permission denied; ")


def test_a_missing_file_is_told_by_whoever_looks_for_it() -> None:
    assert fault_of_disk(FileNotFoundError(errno.ENOENT, "No such file", "a")) is None
    assert fault_of_disk(OSError("no number")) is None
