"""The rows of the largest loss: their truth, what the model answered, and their inputs, images and series drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from markupsafe import Markup

from annpipe.contract import Dataset
from annpipe.datasets.profile import in_words
from annpipe.report.answers import ModelAnswers, ReportRows, TargetAnswers
from annpipe.report.pictures import image, sparkline
from annpipe.report.wording import number, short

MOST = 10
MOST_INPUTS = 8
MOST_NUMBERS = 4  # of an array that stand in a cell
COLOURS = (1, 3)  # channels of an image that can be drawn


@dataclass(frozen=True)
class WorstRows:
    """A table: `heads` and, for each row, its cells. `of` is the number of rows that were compared."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str | Markup, ...], ...]
    of: int
    n_left_out: int


def worst_rows(rows: ReportRows, answers: ModelAnswers) -> WorstRows | None:
    """Up to ten rows by their loss, the largest first; None where the loss takes no single row."""
    losses = answers.losses
    if not len(losses):
        return None
    order = np.argsort(-np.where(np.isnan(losses), np.inf, losses), kind="stable")[:MOST]
    targets = answers.targets[:3]
    names = list(rows.rows.inputs)
    heads = ["row", "loss"] if rows.numbers is not None else ["loss"]
    for target in targets:
        heads += [target.target, f"{target.target} predicted"]
    heads += names[:MOST_INPUTS]
    table = []
    for k in order.tolist():
        at = int(answers.at[k])
        cells: list[str | Markup] = [] if rows.numbers is None else [f"{int(rows.numbers[at]):,}"]
        cells.append(number(float(losses[k])))
        for target in targets:
            cells += _of_target(target, at)
        cells += _inputs(rows.rows, names[:MOST_INPUTS], at)
        table.append(tuple(cells))
    return WorstRows(tuple(map(short, heads)), tuple(table), len(losses), max(0, len(names) - MOST_INPUTS))


def _of_target(target: TargetAnswers, at: int) -> list[str | Markup]:
    """The truth of a row and its prediction, with its probability where there is one."""
    truth, predicted = target.truth[at], target.predicted[at]
    if np.ndim(truth):
        return [_array(torch.as_tensor(np.array(part))) for part in (truth, predicted)]
    if target.kind == "numbers":
        return [number(float(truth)), number(float(predicted))]
    words = [_class(target.classes, int(label)) for label in (truth, predicted)]
    if target.probability is not None:
        words[1] = f"{words[1]} ({target.probability[at].max():.0%})"
    return list(words)


def _class(classes: Sequence[str], label: int) -> str:
    return short(classes[label]) if 0 <= label < len(classes) else "–"


def _inputs(dataset: Dataset, names: Sequence[str], at: int) -> Iterator[str | Markup]:
    for name in names:
        cell, words = dataset.inputs[name][at], dataset.categories.get(name, ())
        if cell.ndim:
            yield _array(cell)
            continue
        value = in_words(float(cell), words)
        yield "–" if value is None else number(value) if isinstance(value, float) else short(str(value))


def _array(cell: torch.Tensor) -> str | Markup:
    """An image or a series as a picture, else its first numbers."""
    plain = cell.squeeze()
    if cell.ndim >= 2 and plain.ndim in (2, 3) and min(plain.shape[-2:]) >= 4:
        if plain.ndim == 2:
            return image(plain.double().numpy()[:, :, None])
        if plain.shape[0] in COLOURS:
            return image(plain.double().permute(1, 2, 0).numpy())
    if plain.ndim == 1 and len(plain) > MOST_NUMBERS and plain.is_floating_point():
        return sparkline(plain.double().tolist())
    flat = cell.flatten()[:MOST_NUMBERS].tolist()
    return ", ".join(number(value) for value in flat) + (", …" if cell.numel() > MOST_NUMBERS else "")
