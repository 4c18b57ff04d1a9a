"""The folder that `annpipe inspect -o` writes: tables as CSV, arrays as .npz, figures, and all of it as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annpipe.errors import NotFound

if TYPE_CHECKING:
    from annpipe.inspection.attributions import Attributions
    from annpipe.inspection.dependence import Dependence
    from annpipe.inspection.passes import RowPass
    from annpipe.runs.inspect import Inspected

MARK = "inspect.json"  # a folder with this file is one that was written here


def check_output(folder: Path, *, force: bool) -> None:
    """Raises NotFound for a folder that is there, unless it was written here and `force` says to replace it."""
    if not folder.exists() and not folder.is_symlink():
        return
    if not (folder / MARK).is_file() or folder.is_symlink():
        raise NotFound(f"'{folder}' exists, and is no folder of `annpipe inspect`: name a new one")
    if not force:
        raise NotFound(f"'{folder}' exists: name a new folder, or say --force to replace it")


def write_inspected(inspected: Inspected, folder: Path) -> list[str]:
    """Writes the folder, whole or not at all; the names of its files. Raises OSError."""
    from annpipe.cli.views.inspect_data import as_data
    from annpipe.files.figure_style import figure_style
    from annpipe.files.whole import whole_folder

    folder.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(folder.absolute()) as new:
        (new / MARK).write_text(json.dumps(as_data(inspected), indent=1), encoding="utf-8", newline="\n")
        with figure_style(_names_in(inspected)):
            _write_sections(inspected, new)
        return sorted(path.name for path in new.iterdir())


def _names_in(inspected: Inspected) -> Iterator[str]:
    """The texts of the data that figures show."""
    if inspected.importance is not None:
        yield from (column.column for column in inspected.importance.columns)
    for dependence in inspected.dependence:
        yield from (dependence.column, *dependence.words, *dependence.curves)
    for attributions in inspected.attributions:
        yield from (attributions.target, *attributions.columns)


def _write_sections(inspected: Inspected, folder: Path) -> None:
    from annpipe.inspection import figures
    from annpipe.record.store.keys import plain_part
    from annpipe.train.loop.figures import save_figure

    if (importance := inspected.importance) is not None:
        _write_importance(inspected, folder)
        save_figure(figures.importance_figure(importance.columns, importance.metric), folder, "importance")
    for dependence in inspected.dependence:
        name = plain_part(dependence.column)
        _write_dependence(dependence, folder, name)
        save_figure(figures.dependence_figure(dependence), folder, f"dependence_{name}")
    if inspected.units is not None:
        rows = [
            [layer.name, unit, float(layer.flat[unit]), float(layer.saturated[unit])]
            for layer in inspected.units.layers
            for unit in range(layer.units)
        ]
        _write_table(folder / "units.csv", [["layer", "unit", "flat", "saturated"], *rows])
    if inspected.gradients is not None:
        layers = inspected.gradients.layers.items()
        rows = [[layer, *point] for layer, (epochs, norms) in layers for point in zip(epochs, norms, strict=True)]
        _write_table(folder / "gradients.csv", [["layer", "epoch", "norm"], *rows])
        save_figure(figures.gradients_figure(inspected.gradients), folder, "gradients")
    if inspected.row is not None:
        _write_row(inspected.row, folder / f"row_{inspected.row_number}.npz")
    for attributions in inspected.attributions:
        name = plain_part(f"attributions_{attributions.target}")
        _write_attributions(attributions, folder, name)
        save_figure(figures.attributions_figure(attributions), folder, name)


def _write_importance(inspected: Inspected, folder: Path) -> None:
    assert inspected.importance is not None
    repeats = [f"shuffle_{number + 1}" for number in range(inspected.importance.repeats)]
    rows: list[list[Any]] = [["column", "mean", "deviation", "half_width", *repeats]]
    for column in inspected.importance.columns:
        spread = column.spread
        rows.append([column.column, spread.mean, spread.deviation, spread.half_width, *column.values])
    _write_table(folder / "importance.csv", rows)


def _write_dependence(dependence: Dependence, folder: Path, name: str) -> None:
    """The mean answers, and of each row its ICE curve."""
    labels = dependence.labels if dependence.words else dependence.grid.tolist()
    means = zip(labels, *(mean.tolist() for mean in dependence.mean.values()), strict=True)
    _write_table(folder / f"dependence_{name}.csv", [[dependence.column, *dependence.mean], *means])
    rows = [
        [answer, row + 1, *curve]
        for answer, curves in dependence.curves.items()
        for row, curve in enumerate(curves.tolist())
    ]
    _write_table(folder / f"ice_{name}.csv", [["answer", "row", *labels], *rows])


def _write_row(row: RowPass, path: Path) -> None:
    """Every array of both passes under `<layer>/out`, `<layer>/d(out)`, `<layer>/weight`, `<layer>/d(weight)`."""
    import numpy as np

    arrays = {"x": row.features.numpy(), "loss": np.array(row.loss)}
    if row.gradient is not None:
        arrays["d(x)"] = row.gradient.numpy()
    for layer in row.layers:
        arrays[f"{layer.name}/out"] = layer.output.numpy()
        if layer.gradient is not None:
            arrays[f"{layer.name}/d(out)"] = layer.gradient.numpy()
        for name, (value, gradient) in layer.parameters.items():
            arrays[f"{layer.name}/{name}"] = value.numpy()
            if gradient is not None:
                arrays[f"{layer.name}/d({name})"] = gradient.numpy()
    with open(path, "wb") as file:
        np.savez(file, **{name.replace("/", "."): array for name, array in arrays.items()})  # type: ignore[arg-type]  # as in `writing`


def _write_attributions(attributions: Attributions, folder: Path, name: str) -> None:
    import numpy as np

    if attributions.columns:
        rows = [[number + 1, *row] for number, row in enumerate(attributions.values.tolist())]
        _write_table(folder / f"{name}.csv", [["row", *attributions.columns], *rows])
    else:
        with open(folder / f"{name}.npz", "wb") as file:
            np.savez(file, attributions=attributions.values.numpy())


def _write_table(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8", newline="\n")
