"""Tables in files, CSV and Parquet, and NumPy archives: lines that read them as annpipe does, with pandas or NumPy."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from glob import glob
from pathlib import Path
from typing import Any

from annpipe.contract import Dataset
from annpipe.eject.layout import Code, Group, call, flat, listed, literal, quoted, statement
from annpipe.eject.refused import refused
from annpipe.eject.writer import Writer
from annpipe.plan.plan import Plan
from annpipe.portable.cell_text import FALSE, MISSING, TRUE
from annpipe.train.parts import Parts

CODES = '''def codes(cells, words):
    """The position of each cell's word in `words`: -1 for another word, NaN where the cell is empty."""
    return cells.map({word: position for position, word in enumerate(words)}).fillna(-1.0).where(cells.notna())'''


@dataclass(frozen=True)
class ScriptTable:
    """Lines that read a table, and an expression for each column."""

    lines: Sequence[str]
    inputs: Mapping[str, str]
    targets: Mapping[str, str]
    aside: Mapping[str, str]
    x: str


def here(writer: Writer, file: str | Path, folder: Path) -> str:
    """The path of a file from the folder of the script."""
    writer.imports.member("pathlib", "Path")
    absolute = os.path.abspath(file)
    try:
        relative = os.path.relpath(absolute, folder.resolve())
    except ValueError:  # on another drive
        return f"Path({quoted(absolute)})"
    return f"Path(__file__).parent / {quoted(Path(relative).as_posix())}"


def table_columns(plan: Plan, parts: Parts, writer: Writer, folder: Path) -> ScriptTable:
    """The columns of a `csv` or `parquet`."""
    assert isinstance(parts.dataset, Dataset)
    options, dataset, train = plan.data.options, parts.dataset, parts.splits.train
    writer.imports.module("pandas", "pd")
    lines = _reading(plan, writer, folder)
    kinds = {name: field.type for name, field in {**plan.fields.inputs, **plan.fields.targets}.items()}
    if dropped := _matching(options["drop_missing"], [*dataset.inputs, *dataset.targets, *dataset.aside]):
        lines += statement("table = ", call("table.dropna", ("subset=", literal(dropped))))

    def cells(name: str, words: Sequence[str]) -> Code:
        kind = kinds.get(name, "category" if words else "number")
        column = f"table[{quoted(name)}]"
        if kind == "category":
            writer.sources.add_text("codes", CODES)
            return call("codes", column, listed(map(quoted, words)))
        return _boolean(column) if kind == "boolean" else f'{_number(column, options)}.astype("float64")'

    def together(variable: str, names: Iterable[str], words: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Adds the columns to the lines, in one mapping; how each of them is called."""
        items = tuple((f"{quoted(name)}: ", cells(name, words.get(name, ()))) for name in names)
        lines.extend(statement(f"{variable} = ", Group("", items, "{}", spread=True)) if items else [])
        return {name: f"torch.tensor({variable}[{quoted(name)}].to_numpy())" for name in names}

    together("columns", dataset.inputs, train.categories)
    lines.append("inputs = torch.tensor(pd.DataFrame(columns).to_numpy())")
    targets = together("answers", dataset.targets, dataset.categories)
    targets = {n: text if dataset.targets[n].is_floating_point() else f"{text}.long()" for n, text in targets.items()}
    wanted = {name for name in (*plan.split.columns, plan.split.stratify) if name and name not in targets}
    aside = together("aside", sorted(wanted), dataset.categories)
    inputs = {name: f"inputs[:, {number}]" for number, name in enumerate(dataset.inputs)}
    return ScriptTable(lines, inputs, targets, aside, "inputs")


def _reading(plan: Plan, writer: Writer, folder: Path) -> list[str]:
    """The lines that make `table`: of a CSV file every cell is text, so that nothing is guessed."""
    options = plan.data.options
    files = _files(options["files"])
    if plan.data.name == "parquet":
        reads = [call("pd.read_parquet", here(writer, file, folder)) for file in files]
        _check_parquet(plan, files)
    else:
        if options["units"]:
            raise refused(plan.data, "`units` has no plain form here")
        reads = [call("pd.read_csv", here(writer, file, folder), *_csv_options(options, files)) for file in files]
    if len(reads) == 1:
        lines = statement("table = ", reads[0])
    else:
        lines = statement("table = ", call("pd.concat", listed(reads, spread=True), ("ignore_index=", "True")))
    if plan.data.name == "csv" and _has_blanks(options, files):
        missing = f"table.isin({flat(literal(list(options['missing'])))})"
        lines += ["table = table.map(str.strip)", f"table = table.mask({missing})"]
    return lines


def _files(value: Any) -> list[str]:
    texts = [str(value)] if isinstance(value, str | Path) else list(map(str, value))
    files: dict[str, None] = {}
    for text in texts:
        files |= dict.fromkeys([text] if os.path.lexists(text) else sorted(glob(text)))
    return list(files)


def _csv_options(options: Mapping[str, Any], files: Sequence[str]) -> list[tuple[str, Any]]:
    arguments: list[tuple[str, Any]] = [("dtype=", "str")]
    if options["delimiter"] != ",":
        arguments.append(("sep=", quoted(options["delimiter"])))
    if options["names"]:
        arguments += [("header=", "None"), ("names=", literal(list(options["names"])))]
    if options["encoding"].lower() not in ("utf-8", "utf8"):
        arguments.append(("encoding=", quoted(options["encoding"])))
    if _has_blanks(options, files):
        arguments.append(("na_filter=", "False"))
    elif tuple(options["missing"]) != MISSING:
        arguments += [("keep_default_na=", "False"), ("na_values=", literal(list(options["missing"])))]
    return arguments


def _has_blanks(options: Mapping[str, Any], files: Sequence[str]) -> bool:
    """Whether cells have blanks around their words, which do not belong to these."""
    pd: Any = importlib.import_module("pandas")
    header = None if options["names"] else 0
    for file in files:
        table = pd.read_csv(
            file, sep=options["delimiter"], dtype=str, na_filter=False, header=header, encoding=options["encoding"]
        )
        if any((table[name] != table[name].str.strip()).any() for name in table):
            return True
    return False


def _check_parquet(plan: Plan, files: Sequence[str]) -> None:
    """Categories of other types than text have a text that annpipe makes of them."""
    pd: Any = importlib.import_module("pandas")
    fields = {**plan.fields.inputs, **plan.fields.targets}
    for file in files:
        table = pd.read_parquet(file)
        for name, field in fields.items():
            if field.type == "category" and not all(isinstance(word, str) for word in table[name].dropna()):
                raise refused(plan.data, f"the categories of '{name}' are no texts in the file")


def _matching(wanted: Any, known: Sequence[str]) -> list[str]:
    patterns = [wanted] if isinstance(wanted, str) else list(wanted or ())
    return [name for name in known if any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)]


def _number(column: str, options: Mapping[str, Any]) -> str:
    """The text of a number as Python reads it."""
    if options.get("thousands"):
        between = "[ \u00a0\u202f]" if options["thousands"] == " " else None
        sign = quoted(between or options["thousands"])
        column += f'.str.replace({sign}, "", regex={between is not None})'
    if options.get("decimal", ".") != ".":
        column += f'.str.replace({quoted(options["decimal"])}, ".", regex=False)'
    return column


def _boolean(column: str) -> str:
    lower = f"{column}.astype(str).str.lower()"
    words = flat(literal([word for word in TRUE if word]))
    assert set(TRUE).isdisjoint(FALSE)
    return f'{lower}.isin({words}).astype("float64").where({column}.notna())'


def npz_columns(
    plan: Plan, parts: Parts, writer: Writer, folder: Path
) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """The arrays of a NumPy archive."""
    assert isinstance(parts.dataset, Dataset)
    options, dataset = plan.data.options, parts.dataset
    writer.imports.module("numpy", "np")
    lines = [f"arrays = np.load({here(writer, options['file'], folder)})"]

    def taken(role: str, tensors: Mapping[str, Any]) -> dict[str, str]:
        names = options[role] if isinstance(options[role], dict) else {name: name for name in options[role]}
        kinds = {name: "float64" if tensor.is_floating_point() else "int64" for name, tensor in tensors.items()}
        return {n: f'torch.from_numpy(arrays[{quoted(names[n])}].astype("{kinds[n]}"))' for n in tensors}

    return lines, taken("inputs", dataset.inputs), taken("targets", dataset.targets)
