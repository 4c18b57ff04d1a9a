"""The rows of scikit-learn's bundled sets and generators, without torch and without access to the network.

scikit-learn is an extra of annpipe, so it is imported only where rows are asked for.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from annpipe import Fields, OptionError, check_bound, check_memory, did_you_mean
from annpipe_std.columns import array_fields

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

Options = dict[str, Any]
_OURS = re.compile(r"random_state|as_frame|sparse|return_\w+")  # what a spec leaves to annpipe


@dataclass(frozen=True)
class Rows:
    """Columns by name: inputs (rows,) each, or one of images; targets (rows,) each, int64 where they are labels.

    `class_names` has the words for labels 0, 1, … of a target, where scikit-learn has some.
    """

    inputs: dict[str, Array]
    targets: dict[str, Array]
    class_names: dict[str, tuple[str, ...]] = field(default_factory=dict)


def sklearn_rows(
    *,
    load: str | None = None,
    make: str | None = None,
    options: Mapping[str, Any] | None = None,
    images: bool = False,
    seed: int = 0,
) -> Rows:
    """Calls `load_*` or `make_*` of sklearn.datasets; raises OptionError where they do not take the options."""
    if (load is None) == (make is None):
        fault = "neither is given" if load is None else "both are given"
        option = "load" if load else ""
        raise OptionError(option, f"give either `load` or `make`; {fault}", help="as in `sklearn: {load: iris}`")
    if images and load != "digits":
        raise OptionError("images", "only the digits have images", help="leave it out, or take `load: digits`")
    functions = _functions("load_" if load else "make_")
    function = functions.get(str(load or make)) or _refuse_name(load, make, functions)
    call = _options(function, options or {})
    if make:
        return _made(make, _called(function, {**call, "random_state": seed}, call))
    return _loaded(_called(function, call, call), images=images)


def sklearn_fields(
    *,
    load: str | None = None,
    make: str | None = None,
    options: Mapping[str, Any] | None = None,
    images: bool = False,
) -> Fields:
    """The columns that `sklearn` would make: their names, shapes and classes do not depend on the seed."""
    rows = sklearn_rows(load=load, make=make, options=options, images=images)
    return array_fields(rows.inputs, rows.targets)


def _datasets() -> Any:
    try:
        return importlib.import_module("sklearn.datasets")
    except ModuleNotFoundError as error:
        message = "scikit-learn is not installed"
        raise OptionError("", message, help='install it: `pip install "annpipe[sklearn]"`') from error


def _functions(prefix: str) -> Mapping[str, Callable[..., Any]]:
    """The functions that return inputs and targets, by name without prefix; none reads a user's file or the network."""
    return _functions_of(_datasets(), prefix)


@cache
def _functions_of(datasets: Any, prefix: str) -> Mapping[str, Callable[..., Any]]:
    functions = {
        name.removeprefix(prefix): getattr(datasets, name) for name in dir(datasets) if name.startswith(prefix)
    }
    asks = "return_X_y" if prefix == "load_" else "n_samples"
    return {
        name: function
        for name, function in functions.items()
        if asks in inspect.signature(function).parameters and _is_pair(name)
    }


def _is_pair(name: str) -> bool:
    """Two generators of a matrix without targets take `n_samples` as well."""
    return name not in ("low_rank_matrix", "sparse_coded_signal")


def _refuse_name(load: str | None, make: str | None, known: Iterable[str]) -> Callable[..., Any]:
    option, other, name = ("load", "make", load) if load else ("make", "load", make)
    hint = did_you_mean(str(name), known)
    if name in _functions(f"{other}_"):
        hint = f"write `{other}: {name}`"
    what = "bundled set" if load else "generator"
    raise OptionError(option, f"scikit-learn has no {what} '{name}'", help=hint or f"there are {', '.join(known)}")


def _options(function: Callable[..., Any], options: Mapping[str, Any]) -> Options:
    """The options of the call, lists as the tuples that scikit-learn asks for."""
    known = [name for name in inspect.signature(function).parameters if not _OURS.fullmatch(name)]
    for name in options:
        if name not in known:
            help_ = did_you_mean(name, known) or f"it takes {', '.join(known) or 'no options'}"
            raise OptionError(f"options.{name}", f"{function.__name__} has no option '{name}' here", help=help_)
    return {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}


def _called(function: Callable[..., Any], call: Options, written: Options) -> Any:
    values = _values(function, call)
    check_bound("values", values, option="options")
    check_memory(values, option="options")
    try:
        return function(**call)
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        named = re.search(r"'(\w+)' parameter", str(error))
        option = f"options.{named[1]}" if named and named[1] in written else "options"
        raise OptionError(option, " ".join(str(error).split()), help=f"see {_PAGES}{function.__name__}.html") from error


def _values(function: Callable[..., Any], call: Options) -> int:
    """At least as many values as the function makes at a time: the product of the two largest sizes it is given."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}
    sizes = sorted((_size(value) for value in {**defaults, **call, "random_state": None}.values()), reverse=True)
    return sizes[0] * (sizes[1] if len(sizes) > 1 else 1)


def _size(value: Any) -> int:
    """A whole number itself, of a list its sum, of anything else 1."""
    if isinstance(value, int) and not isinstance(value, bool):
        return max(1, value)
    return max(1, sum(map(_size, value))) if isinstance(value, list | tuple) else 1


_PAGES = "https://scikit-learn.org/stable/modules/generated/sklearn.datasets."


def _made(name: str, made: tuple[Array, ...]) -> Rows:
    x, y = made[0], made[1]
    names = [f"x{position}" for position in range(x.shape[1])]
    _check_rows(name, x)
    return Rows(_columns(names, x), _targets(y, ()))


def _check_rows(name: str, x: Array) -> None:
    if not len(x):
        raise OptionError("options", f"make_{name} returned no rows", help="set a larger number of rows")


def _loaded(bunch: Any, *, images: bool) -> Rows:
    targets = _targets(bunch.target, bunch.get("target_names") or () if bunch.target.ndim > 1 else ())
    if images:  # (rows, 8, 8) -> (rows, 1, 8, 8)
        return Rows({"image": _doubles(bunch.images[:, None])}, targets)
    names = tuple(map(str, bunch.get("target_names", ()))) if targets.get("y", bunch.data).dtype.kind == "i" else ()
    are_words = {"y": names} if any(not name.isdecimal() for name in names) else {}
    return Rows(_columns([_plain(name) for name in bunch.feature_names], bunch.data), targets, are_words)


def _plain(name: str) -> str:
    """`sepal length (cm)` as a name of letters, digits and underlines."""
    return re.sub(r"\W+", "_", name).strip("_")


def _columns(names: Iterable[str], matrix: Array) -> dict[str, Array]:
    return {name: _doubles(matrix[:, position]) for position, name in enumerate(names)}


def _targets(y: Array, names: Iterable[str]) -> dict[str, Array]:
    """`y`, or a column for each of several; one column of whole numbers is one of class labels."""
    if y.ndim > 1:
        return _columns([_plain(name) for name in names] or [f"y{position}" for position in range(y.shape[1])], y)
    return {"y": y.astype("int64") if y.dtype.kind in "iu" else _doubles(y)}


def _doubles(array: Array) -> Array:
    return array.astype("float64")
