"""Arrays of an archive are NumPy's own; what is damaged, pickled or too large is refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annpipe.errors import LimitError, OptionError
from annpipe.files.archive import Archive, ArchiveError
from annpipe.files.limits import BOUNDS, Bound, Stance, held_to


def archive(**arrays: Any) -> Archive:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    stream.seek(0)
    return Archive(stream)


def test_arrays_are_those_of_numpy() -> None:
    arrays = {
        "x": np.arange(6.0).reshape(2, 3),
        "f": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "none": np.zeros(0),
    }
    read = archive(**arrays)
    assert list(read.names) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(read.read(name), array)
    with pytest.raises(KeyError):
        read.read("y")


def test_objects_are_never_unpickled() -> None:
    with pytest.raises(ArchiveError, match="holds Python objects") as caught:
        archive(x=np.array([{}], dtype=object)).read("x")
    assert not caught.value.of_file


@pytest.mark.parametrize("data", [b"", b"text", b"\x93NUMPY\x01\x00"])
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    with pytest.raises(ArchiveError, match="archive") as caught:
        Archive(io.BytesIO(data))
    assert not caught.value.of_array


def test_the_archive_of_an_untrusted_spec_unpacks_to_so_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BOUNDS, "unpacked", Bound(1000, "bytes in a file when it is unpacked"))
    with held_to(Stance.below(tmp_path)), pytest.raises(ArchiveError, match="too many bytes") as caught:
        archive(x=np.zeros(200)).read("x")
    assert isinstance(caught.value.at("files"), LimitError)
    assert archive(x=np.zeros(200)).read("x").shape == (200,)


def test_a_fault_is_one_of_the_option_that_names_the_file() -> None:
    error = ArchiveError("is damaged").at("files")
    assert (type(error), error.option, error.help) == (OptionError, "files", "save the file again")
