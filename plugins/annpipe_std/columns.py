"""The columns that data components make, computed without torch: those of `formula`, `table` and arrays.

Kept apart from the components, so that a spec can be checked before torch is imported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from annpipe import Expression, Field, Fields, OptionError, Remark, check_bound, did_you_mean

if TYPE_CHECKING:
    import numpy as np

Numbers = list[float]
Words = list[str]


def formula_fields(
    *,
    rows: int,
    inputs: Mapping[str, object],
    targets: Mapping[str, Expression],
    noise: Mapping[str, object] | None = None,
) -> Fields:
    """The columns that `formula` would make; raises OptionError where names do not fit together."""
    for option, columns in (("inputs", inputs), ("targets", targets)):
        if not columns:
            raise OptionError(option, "names no column", help=f"as in `{option}: {_FORMULA_EXAMPLES[option]}`")
        for name in columns:
            if not Expression.can_name(name):
                help_ = "it has a meaning of its own" if name in Expression.reserved else "use letters, digits and _"
                raise OptionError(f"{option}.{name}", f"'{name}' cannot name a column of a formula", help=help_)
    check_bound("values", rows * (len(inputs) + len(targets)), option="rows")
    known = list(inputs)
    for name, expression in targets.items():
        if name in inputs:
            raise OptionError(f"targets.{name}", f"'{name}' is an input already", help="give the target another name")
        if fault := expression.unknown_name(known, later=targets):
            raise OptionError(f"targets.{name}", fault.message, help=fault.help) from fault
        known.append(name)
    for name in noise or {}:
        if name not in targets:
            help_ = did_you_mean(name, targets) or f"the targets are {', '.join(targets)}"
            raise OptionError(f"noise.{name}", f"there is no target '{name}' to add noise to", help=help_)
    return Fields({name: Field() for name in inputs}, {name: Field() for name in targets}, rows)


_FORMULA_EXAMPLES = {"inputs": "{x: {Uniform: [-1, 1]}}", "targets": "{y: x**2}"}


def table_fields(*, inputs: Mapping[str, Numbers], targets: Mapping[str, Numbers | Words], repeat: int = 1) -> Fields:
    """The columns of the table; raises OptionError where they do not have the same number of rows."""
    columns: dict[str, Numbers | Words] = {f"inputs.{name}": column for name, column in inputs.items()}
    columns |= {f"targets.{name}": column for name, column in targets.items()}
    for option, named in (("inputs", inputs), ("targets", targets)):
        if not named:
            raise OptionError(option, "names no column", help=f"as in `{option}: {{a: [0, 1]}}`")
    _check_rows(columns)
    for name in targets:
        if name in inputs:
            raise OptionError(f"targets.{name}", f"'{name}' is an input already", help="give the target another name")
    rows = repeat * len(next(iter(inputs.values())))
    check_bound("values", rows * len(columns), option="repeat")
    described = {name: _target_field(name, column) for name, column in targets.items()}
    return Fields({name: Field() for name in inputs}, described, rows)


def _check_rows(columns: Mapping[str, Numbers | Words]) -> None:
    first, *others = columns
    if not columns[first]:
        raise OptionError(first, "has no rows", help="write its values as a list: [0, 1]")
    for option in others:
        if len(columns[option]) != len(columns[first]):
            message = f"has {len(columns[option])} rows; '{first}' has {len(columns[first])}"
            raise OptionError(option, message, help="every column needs a value for each row")


def _target_field(name: str, column: Numbers | Words) -> Field:
    if not are_words(column):
        return Field()
    names = classes(column)
    remarks = _remarks(name, column) if any(sign.isdigit() for word in names for sign in word) else ()
    return Field(dtype="int", classes=len(names), type="category", categories=names, remarks=remarks)


def _remarks(name: str, column: Numbers | Words) -> tuple[Remark, ...]:
    from annpipe import MOSTLY, CellFormat  # with NumPy, which most specs that are only looked at do without
    from annpipe_std.tables.doubts import Unread

    unread = Unread(name, CellFormat(), has_cell_options=False, has_types=False)
    unread.count(Counter(map(str, column)))
    remark = unread.remark(MOSTLY)
    return (remark,) if remark else ()


def classes(column: Numbers | Words) -> tuple[str, ...]:
    """The words of a column in alphabetical order, as which they are numbered."""
    return tuple(sorted({str(word) for word in column}))


def are_words(column: Numbers | Words) -> bool:
    return isinstance(column[0], str)


def array_fields(inputs: Mapping[str, np.ndarray[Any, Any]], targets: Mapping[str, np.ndarray[Any, Any]]) -> Fields:
    """The columns that arrays become; whole numbers are class labels among the targets, tokens among the inputs."""
    rows = len(next(iter(inputs.values())))
    described = {name: _array_field(array) for name, array in inputs.items()}
    return Fields(described, {name: _array_field(array, target=True) for name, array in targets.items()}, rows)


def _array_field(array: np.ndarray[Any, Any], *, target: bool = False) -> Field:
    if array.dtype.kind != "i":
        return Field(array.shape[1:])
    return Field(array.shape[1:], "int", int(array.max()) + 1 if target else None)
