"""The arrays that `npz` takes from an archive, read and checked without torch; nothing is unpickled."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annpipe import Archive, ArchiveError, Fields, OptionError, did_you_mean, open_file
from annpipe_std.columns import array_fields

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

Names = list[str] | dict[str, str]


def npz_arrays(
    *,
    file: str | Path,
    inputs: Names,
    targets: Names,
    labels: bool | list[str] = False,
    tokens: bool | list[str] = False,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """The arrays of an archive by column, checked: float64, or int64 where they are labels or tokens.

    Nothing is unpickled. Raises OptionError at the option that does not fit the archive.
    """
    roles = {"inputs": _by_column(inputs), "targets": _by_column(targets)}
    for role, names in roles.items():
        if not names:
            raise OptionError(role, "names no column", help=f"as in `{role}: [x]`")
    for name in roles["targets"]:
        if name in roles["inputs"]:
            help_ = "give the target another name, as in `targets: {y: x}`"
            raise OptionError("targets", f"'{name}' is an input already", help=help_)
    read = _archived(Path(file), {f"{role}.{name}": array for role in roles for name, array in roles[role].items()})
    _check_joined(read)
    whole = {
        "inputs": _whole("tokens", tokens, roles["inputs"]),
        "targets": _whole("labels", labels, roles["targets"]),
    }
    made = {
        role: {name: _numbers(f"{role}.{name}", read[f"{role}.{name}"], whole=name in whole[role]) for name in names}
        for role, names in roles.items()
    }
    for name, array in made["targets"].items():
        if name in whole["targets"]:
            _check_labels(f"targets.{name}", array)
    return made["inputs"], made["targets"]


def _whole(option: str, chosen: bool | list[str], names: Iterable[str]) -> set[str]:
    """The columns that are whole numbers: all of a role, none, or those that are listed."""
    known = list(names)
    if isinstance(chosen, bool):
        return set(known) if chosen else set()
    for name in chosen:
        if name not in known:
            help_ = did_you_mean(name, known) or f"there is {', '.join(known)}"
            raise OptionError(option, f"there is no column '{name}'", help=help_)
    return set(chosen)


def npz_fields(
    *,
    file: str | Path,
    inputs: Names,
    targets: Names,
    labels: bool | list[str] = False,
    tokens: bool | list[str] = False,
) -> Fields:
    """The columns that `npz` would make; reads the archive, and raises OptionError where it does not fit."""
    return array_fields(*npz_arrays(file=file, inputs=inputs, targets=targets, labels=labels, tokens=tokens))


def _by_column(names: Names) -> Mapping[str, str]:
    return names if isinstance(names, Mapping) else {name: name for name in names}


def _archived(file: Path, wanted: Mapping[str, str]) -> dict[str, Array]:
    """The wanted arrays by option; `wanted` has for each option the name of its array."""
    if not os.path.lexists(file):
        near = did_you_mean(file.name, _beside(file))
        raise OptionError("file", f"there is no file '{file}'", help=near or "paths are relative to the spec")
    with open_file(file, option="file") as stream:
        try:
            archive = Archive(stream)
        except ArchiveError as fault:
            raise OptionError("file", f"'{file}' {fault.message}", help=_WRITE) from fault
        return {option: _array(archive, option, name) for option, name in wanted.items()}


def _beside(file: Path) -> list[str]:
    try:
        return os.listdir(file.parent)
    except (OSError, ValueError):
        return []


_WRITE = "write it with `numpy.savez(file, x=…, y=…)`"


def _array(archive: Archive, option: str, name: str) -> Array:
    if name not in archive.names:
        help_ = did_you_mean(name, archive.names) or f"it has {', '.join(archive.names) or 'no arrays'}"
        raise OptionError(option, f"the archive has no array '{name}'", help=help_)
    try:
        return archive.read(name)
    except ArchiveError as fault:
        raise fault.at("file" if fault.of_file else option) from fault


def _check_joined(arrays: Mapping[str, Array]) -> None:
    """As many rows everywhere; several targets are joined, so each must be one number a row."""
    first = next(iter(arrays))
    for option, array in arrays.items():
        if array.ndim == 0 or not len(array):
            raise OptionError(option, "has no rows", help="the first dimension of an array is its rows")
        if len(array) != len(arrays[first]):
            message = f"has {len(array)} rows; '{first}' has {len(arrays[first])}"
            raise OptionError(option, message, help="every column needs a value for each row")
        is_target = option.startswith("targets.")
        if is_target and array.ndim > 1 and sum(other.startswith("targets.") for other in arrays) > 1:
            message = f"has the shape {array.shape} and cannot be joined with other targets"
            raise OptionError(option, message, help="take one array for the targets, or columns of shape (rows,)")


def _numbers(option: str, array: Array, *, whole: bool) -> Array:
    if array.dtype.kind not in "biuf":
        raise OptionError(option, f"holds {array.dtype}, not numbers", help="save an array of numbers")
    import numpy as np

    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        message = f"is {array[tuple(bad[0])]} in row {bad[0][0]}, and {len(bad)} of its values are not finite"
        raise OptionError(option, message, help="leave such rows out, or fill them in")
    if whole and not (array == np.round(array)).all():
        word = "labels" if option.startswith("targets") else "tokens"
        message = f"has values that are not whole numbers, which {word} must be"
        raise OptionError(option, message, help=f"leave `{word}` out to take them as numbers")
    return array.astype(np.int64 if whole else np.float64)


def _check_labels(option: str, labels: Array) -> None:
    """The numbers 0, 1, … up to the last, each of them in some row."""
    if labels.min() < 0:
        raise OptionError(option, f"has the label {labels.min()}; labels begin at 0", help="number the classes 0, 1, …")
    present = set(labels.ravel().tolist())
    missing = next((label for label in range(len(present)) if label not in present), None)
    if missing is not None:
        message = f"has labels up to {labels.max()}, and none of its rows has {missing}"
        raise OptionError(option, message, help="number the classes 0, 1, … without a gap")
