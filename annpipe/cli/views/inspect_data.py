"""What `annpipe inspect` found as JSON: every number, of large arrays the shape and the first thousand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from annpipe.cli.problems import strict

if TYPE_CHECKING:
    import torch

    from annpipe.inspection.passes import LayerPass, RowPass
    from annpipe.runs.inspect import Importance, Inspected

MOST_NUMBERS = 1_000


def as_data(inspected: Inspected) -> dict[str, Any]:
    """A member for each section that was looked at; `left_out` has the reasons for the others."""
    data: dict[str, Any] = {"run": inspected.run, "rows_of": inspected.rows_name, "rows": inspected.rows}
    if inspected.importance is not None:
        data["importance"] = _importance(inspected.importance)
    if inspected.dependence:
        data["dependence"] = [
            {"column": d.column, "values": d.labels, "mean": {name: _list(mean) for name, mean in d.mean.items()}}
            for d in inspected.dependence
        ]
    if inspected.units is not None:
        layers = [
            {
                "layer": layer.name,
                "class": layer.layer,
                "units": layer.units,
                "dead": layer.dead,
                "almost_dead": layer.almost_dead,
                "saturated": strict(float(layer.saturated.mean())),
                "always_saturated": layer.always_saturated,
            }
            for layer in inspected.units.layers
        ]
        data["units"] = {"rows": inspected.units_rows, "layers": layers, "not_looked_at": list(inspected.units.closed)}
    if inspected.gradients is not None:
        norms = {
            layer: {"epochs": epochs, "norms": [strict(norm) for norm in values]}
            for layer, (epochs, values) in inspected.gradients.layers.items()
        }
        data["gradients"] = {"source": inspected.gradients.source, "rows": inspected.gradients.rows, "layers": norms}
    if inspected.row is not None:
        data["row"] = {"number": inspected.row_number, "cells": inspected.row_values, **_row(inspected.row)}
    if inspected.attributions:
        data["attributions"] = [
            {
                "target": a.target,
                "method": a.method,
                "columns": list(a.columns),
                "rows": len(a.values),
                "mean": _tensor(a.values.mean(0)),
                "mean_absolute": _tensor(a.strength),
                "largest_gap": None if a.gaps is None else strict(a.largest_gap),
                "largest_difference": strict(a.largest_difference),
            }
            for a in inspected.attributions
        ]
    return data | {"left_out": inspected.left_out}


def _importance(importance: Importance) -> dict[str, Any]:
    columns = [
        {
            "column": column.column,
            "mean": strict(column.spread.mean),
            "deviation": strict(column.spread.deviation),
            "half_width": strict(column.spread.half_width),
            "values": [strict(value) for value in column.values],
        }
        for column in importance.columns
    ]
    return {
        "metric": importance.metric,
        "higher_is_better": importance.higher_is_better,
        "value": strict(importance.value),
        "rows": importance.rows,
        "repeats": importance.repeats,
        "columns": columns,
    }


def _row(row: RowPass) -> dict[str, Any]:
    differences = row.differences
    return {
        "features": _tensor(row.features),
        "gradient": None if row.gradient is None else _tensor(row.gradient),
        "loss_name": row.loss_name,
        "loss": strict(row.loss),
        "layers": [_layer(layer) for layer in row.layers],
        "finite_differences": {
            "largest": strict(differences.largest),
            "relative": strict(differences.relative),
            "checked": differences.checked,
            "total": differences.total,
            "kinks": differences.kinks,
        },
    }


def _layer(layer: LayerPass) -> dict[str, Any]:
    parameters = {
        name: {"value": _tensor(value), "gradient": None if gradient is None else _tensor(gradient)}
        for name, (value, gradient) in layer.parameters.items()
    }
    gradient = None if layer.gradient is None else _tensor(layer.gradient)
    return {
        "layer": layer.name,
        "class": layer.layer,
        "output": _tensor(layer.output),
        "gradient": gradient,
        "parameters": parameters,
    }


def _list(tensor: torch.Tensor) -> list[Any]:
    return [strict(value) for value in tensor.flatten()[:MOST_NUMBERS].tolist()]


def _tensor(tensor: torch.Tensor) -> dict[str, Any]:
    return {"shape": list(tensor.shape), "values": _list(tensor)}
