"""The data of a script: lines that make the rows of all splits, and how to name their columns afterwards."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from annpipe.backend.streams import generator, stream_seed
from annpipe.contract import ChunkedDataset, Dataset
from annpipe.eject.formulas import formula_source
from annpipe.eject.layout import Code, call, flat, listed, literal, number, quoted, statement
from annpipe.eject.refused import refused
from annpipe.eject.tables import ScriptTable, npz_columns, table_columns
from annpipe.eject.writer import RESERVED, Writer
from annpipe.plan.plan import Plan
from annpipe.train.parts import Parts


@dataclass(frozen=True)
class DataColumns:
    """Lines that make columns, and an expression for each, (rows, …): inputs, targets and those for the split alone.

    `x` and `y` are all inputs and all targets in one tensor, where the data come so.
    """

    lines: Sequence[str]
    inputs: Mapping[str, str]
    targets: Mapping[str, str]
    aside: Mapping[str, str] = field(default_factory=dict)
    x: str | None = None
    y: str | None = None

    def column(self, name: str) -> str:
        """The expression for a column that the split needs."""
        return {**self.inputs, **self.targets, **self.aside}[name]


def data_columns(plan: Plan, parts: Parts, writer: Writer, folder: Path) -> DataColumns:
    """The columns of a plan's data; `folder` is where the script will stand, for the paths of files."""
    dataset = parts.dataset
    if isinstance(dataset, ChunkedDataset):
        raise refused(plan.data, "its rows are read in chunks; say `in_memory: true`")
    make = MAKERS.get(plan.data.entry.target, _called)
    return make(plan, parts, writer, folder)


def joined(columns: Mapping[str, str], tensors: Mapping[str, torch.Tensor]) -> Code:
    """Columns side by side as one expression, as `annpipe.datasets.steps.tensors.joined` does it."""
    (name, first), *others = tensors.items()
    if not others and (first.ndim > 1 or not first.is_floating_point()):
        return columns[name] if first.ndim > 1 else f"{columns[name]}.unsqueeze(1)"
    if not others:
        return f"{columns[name]}.unsqueeze(1)"
    if all(tensor.ndim == 1 for tensor in tensors.values()):
        texts = [_double(columns[name], tensor) for name, tensor in tensors.items()]
        return call("torch.stack", listed(texts), ("dim=", "1"))
    texts = [f"{_double(columns[name], tensor)}.reshape(len({columns[name]}), -1)" for name, tensor in tensors.items()]
    return call("torch.cat", listed(texts), ("dim=", "1"))


def _double(text: str, tensor: torch.Tensor) -> str:
    return text if tensor.dtype == torch.float64 else f"{text}.double()"


def variable(name: str, taken: set[str], stem: str = "column") -> str:
    """A name of Python's for a column: its own where it can be one and is free."""
    is_plain = name.isascii() and name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("__")
    free, count = name, 0
    while not is_plain or free in taken or keyword.issoftkeyword(free) or free in vars(builtins):
        count, is_plain = count + 1, True
        free = f"{stem}_{count}"
    taken.add(free)
    return free


def _taken(writer: Writer) -> set[str]:
    """The names that no column can have in the script."""
    return {*(RESERVED - {"x", "y"}), *dir(torch.distributions), *writer.imports.modules, *writer.imports.members}


def _formula(plan: Plan, parts: Parts, writer: Writer, folder: Path) -> DataColumns:
    """Each column is drawn, with a seed of its own, or computed; noise comes last."""
    options, taken = plan.data.options, _taken(writer)
    names = {name: variable(name, taken) for name in (*options["inputs"], *options["targets"])}
    writer.sources.taken.update(names.values())
    seeds, rows = generator(plan.head.seed, "data"), number(options["rows"])
    lines = ["# Each column that is drawn has a seed of its own, so that it does not depend on the others."]

    def drawn(name: str, source: Any, before: str) -> list[str]:
        seed = int(torch.randint(2**63 - 1, (), generator=seeds))
        sample = f"{flat(writer.call(source))}.sample(({rows},))"
        return [f"torch.manual_seed({seed})", f"{names[name]} = {before}{sample}"]

    for name, source in options["inputs"].items():
        lines += drawn(name, source, "")
    for name, formula in options["targets"].items():
        lines.append(f"{names[name]} = {formula_source(formula, names, rows)}")
    for name, source in (options["noise"] or {}).items():
        lines += drawn(name, source, f"{names[name]} + ")
    inputs = {name: names[name] for name in options["inputs"]}
    return DataColumns(lines, inputs, {name: names[name] for name in options["targets"]})


def _table(plan: Plan, parts: Parts, writer: Writer, folder: Path) -> DataColumns:
    """The rows that the spec itself gives."""
    assert isinstance(parts.dataset, Dataset)
    options, taken = plan.data.options, _taken(writer)
    repeat = f".repeat({options['repeat']})" if options["repeat"] > 1 else ""
    n_rows = parts.dataset.rows // options["repeat"]
    names: dict[str, str] = {}
    lines: list[str] = []
    for name, tensor in {**parts.dataset.inputs, **parts.dataset.targets}.items():
        names[name] = variable(name, taken)
        words = parts.dataset.categories.get(name)
        if words:
            lines.append(f"# The classes are {', '.join(f'{n}: {quoted(word)}' for n, word in enumerate(words))}")
        lines += statement(f"{names[name]} = ", call("torch.tensor", literal(tensor[:n_rows].tolist())), repeat)
    dataset = parts.dataset
    return DataColumns(lines, {n: names[n] for n in dataset.inputs}, {n: names[n] for n in dataset.targets})


def _sklearn(plan: Plan, parts: Parts, writer: Writer, folder: Path) -> DataColumns:
    """A bundled set of scikit-learn, or one of its generators."""
    assert isinstance(parts.dataset, Dataset)
    options, dataset = plan.data.options, parts.dataset
    names = list(dataset.inputs)
    lines: list[str] = []
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in (options["options"] or {}).items()}
    arguments = [(f"{name}=", literal(value)) for name, value in values.items()]
    if options["make"]:
        seed = int(torch.randint(2**32 - 1, (), generator=generator(plan.head.seed, "data")))
        function = writer.imports.member("sklearn.datasets", f"make_{options['make']}")
        made = call(function, *arguments, ("random_state=", str(seed)))
        lines += statement("points, labels = " if len(_made(plan)) == 2 else "points, labels, *_ = ", made)
        x, y = "torch.from_numpy(points)", "torch.from_numpy(labels)"
    else:
        function = writer.imports.member("sklearn.datasets", f"load_{options['load']}")
        lines += statement("bunch = ", call(function, *arguments))
        x, y = "torch.from_numpy(bunch.data)", "torch.from_numpy(bunch.target)"
        if options["images"]:
            x = "torch.from_numpy(bunch.images).unsqueeze(1)"
    lines += [f"inputs = {x}.double()"]
    first = next(iter(dataset.targets.values()))
    lines += [f"targets = {y}.{'double' if first.is_floating_point() else 'long'}()"]
    single = dataset.inputs[names[0]].ndim > 1
    inputs = {names[0]: "inputs"} if single else {name: f"inputs[:, {n}]" for n, name in enumerate(names)}
    several = len(dataset.targets) > 1
    targets = {name: f"targets[:, {n}]" if several else "targets" for n, name in enumerate(dataset.targets)}
    return DataColumns(lines, inputs, targets, x="inputs", y="targets" if several else None)


def _made(plan: Plan) -> tuple[Any, ...]:
    """What a generator of scikit-learn returns: some give more than inputs and targets when asked."""
    return (None, None) if not (plan.data.options["options"] or {}).get("coef") else (None, None, None)


def _from_table(plan: Plan, parts: Parts, writer: Writer, folder: Path) -> DataColumns:
    assert isinstance(parts.dataset, Dataset)
    table: ScriptTable = table_columns(plan, parts, writer, folder)
    return DataColumns(table.lines, table.inputs, table.targets, table.aside, table.x)


def _from_npz(plan: Plan, parts: Parts, writer: Writer, folder: Path) -> DataColumns:
    lines, inputs, targets = npz_columns(plan, parts, writer, folder)
    return DataColumns(lines, inputs, targets)


def _called(plan: Plan, parts: Parts, writer: Writer, folder: Path) -> DataColumns:
    """A plugin's own function, which is copied and called."""
    assert isinstance(parts.dataset, Dataset)
    if plan.data.entry.target.startswith("annpipe_std."):
        raise refused(plan.data, "there is no plain form of it")
    seed = stream_seed(plan.head.seed, "data")
    supplied: dict[str, Code] = {"generator": f"torch.Generator().manual_seed({seed})"}
    if plan.data.entry.parameter("aside"):
        supplied["aside"] = literal(tuple(plan.split.columns))
    made = writer.call(plan.data, supplied=supplied)
    lines = [*seeding(writer, seed), *statement("data = ", made)]
    dataset = parts.dataset
    inputs = {name: f"data.inputs[{quoted(name)}]" for name in dataset.inputs}
    targets = {name: f"data.targets[{quoted(name)}]" for name in dataset.targets}
    aside = {name: f"data.aside[{quoted(name)}]" for name in dataset.aside}
    return DataColumns(lines, inputs, targets, aside)


def seeding(writer: Writer, seed: int) -> list[str]:
    """The lines that set the global generators: torch's, and others that copied code draws from."""
    lines = [f"torch.manual_seed({seed})"]
    text = "\n".join(writer.sources.texts)
    if "random" in writer.imports.modules and "random." in text:
        lines.append(f"random.seed({seed})")
    if "numpy" in writer.imports.modules.values() and ".random." in text:
        name = next(name for name, module in writer.imports.modules.items() if module == "numpy")
        lines.append(f"{name}.random.seed({seed} % 2**32)")
    return lines


Maker = Callable[[Plan, Parts, Writer, Path], DataColumns]
MAKERS: Mapping[str, Maker] = {
    "annpipe_std.formula:formula": _formula,
    "annpipe_std.table:table": _table,
    "annpipe_std.sklearn_data:sklearn_data": _sklearn,
    "annpipe_std.csv_data:csv": _from_table,
    "annpipe_std.csv_data:parquet": _from_table,
    "annpipe_std.npz:npz": _from_npz,
}
"""The components of the built-in library that have a form of their own; those of plugins are copied."""
