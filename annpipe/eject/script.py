"""Puts a script together: data, model, loss, optimizer, scheduler, loop, evaluation, figure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from annpipe.contract import Dataset
from annpipe.datasets.steps.tensors import Rows
from annpipe.eject.data import DataColumns, data_columns, joined
from annpipe.eject.evaluation import evaluation_lines, figure_lines, left_out_plots, save_lines
from annpipe.eject.layout import Code, filled, flat, number, statement, words
from annpipe.eject.loop import LoopPlan, epochs_of, loop_lines, loop_of
from annpipe.eject.metrics import Measuring
from annpipe.eject.model import device_lines, loss_lines, model_lines
from annpipe.eject.optimizer import average_lines, optimizer_lines, scheduler_lines
from annpipe.eject.split import split_lines
from annpipe.eject.transforms import transform_lines
from annpipe.eject.writer import Writer
from annpipe.plan.plan import Plan
from annpipe.train.parts import Parts

NOTE = "Plain PyTorch, written by `annpipe eject`: on one thread, each epoch's loss is that of `annpipe run`."


@dataclass(frozen=True)
class Script:
    """The text of a script, and what of the spec is not in it: figures, callbacks that only write files."""

    text: str
    left_out: tuple[str, ...]


def eject(plan: Plan, parts: Parts, folder: Path) -> Script:
    """The script of a plan, for a file in `folder`; `parts` are the plan's, on the CPU and not trained.

    Raises NotEjected, at its line, for what has no plain form.
    """
    writer = Writer(has_tuples=any(layer.takes_first for layer in plan.layers))
    sections = _Sections(writer)
    device = device_lines(plan)
    loop = loop_of(plan, parts, writer)
    sections.add("Data", _data(plan, parts, writer, folder))
    sections.add("Model", model_lines(plan, parts, writer))
    sections.add("Loss and optimizer", [
        *loss_lines(plan, parts, writer), *optimizer_lines(plan, parts, writer),
        *scheduler_lines(plan, parts, writer), *average_lines(plan, writer),
    ])  # fmt: skip
    measuring = Measuring(plan, parts, writer, exact=loop.end.follows_metric).lines()
    early = [*measuring, "", ""] if loop.end.follows_metric else []
    sections.add("Training", [*early, *loop_lines(loop)])
    sections.add(
        "Evaluation", [*([] if early or not measuring else [*measuring, "", ""]), *evaluation_lines(plan, parts)]
    )
    stem = re.sub(r"[^A-Za-z0-9]+", "_", plan.head.name).strip("_").lower()[:60] or "model"
    sections.add("Figure and weights", [*figure_lines(plan, parts, writer), *save_lines(plan, stem)])
    if any("copy." in line for line in sections.lines):
        writer.imports.module("copy")
    text = "\n".join([*_head(plan), *writer.imports.lines(), *_constants(loop), *device, *sections.lines]) + "\n"
    return Script(_tidy(text), (*left_out_plots(plan), *loop.end.left_out))


class _Sections:
    """The sections so far; what one copies stands before it."""

    def __init__(self, writer: Writer) -> None:
        self._writer, self._n_texts = writer, 0
        self.lines: list[str] = []

    def add(self, title: str, lines: list[str]) -> None:
        copied = self._writer.sources.texts[self._n_texts :]
        self._n_texts = len(self._writer.sources.texts)
        begins_with_def = bool(copied) or (lines[:1] and lines[0].startswith(("def ", "class ")))
        self.lines += ["", f"# {title}", "", *([""] if begins_with_def else [])]
        for text in copied:
            self.lines += ["", *text.split("\n"), "", ""]
        self.lines += lines


def _head(plan: Plan) -> list[str]:
    about = words(plan.head.description, 400) or "A run of annpipe"
    first = filled(f"{words(plan.head.name)}: {about}", 110)
    note = filled(NOTE, 110)
    lines = ["", *first, "", *note] if len(first) > 1 else [*first, "", *note]
    return [f'"""{lines[0]}', *lines[1:], '"""', ""] if lines[0] else ['"""' + lines[1], *lines[2:], '"""', ""]


def _constants(loop: LoopPlan) -> list[str]:
    lines = [f"EPOCHS = {number(epochs_of(loop))}"]
    if loop.plan.train.batch_size != "all" and not (loop.is_one_step and not loop.plan.average):
        lines.append(f"BATCH_SIZE = {number(loop.plan.train.batch_size)}")
    if loop.ends_within:
        lines.append(f"STEPS = {number(loop.schedule.total_steps)}")
    return lines


def _data(plan: Plan, parts: Parts, writer: Writer, folder: Path) -> list[str]:
    """The rows of each split as x and y, as the model and the loss take them."""
    columns = data_columns(plan, parts, writer, folder)
    is_double = plan.device.precision == "float64"
    lines = [] if is_double else ["torch.set_default_dtype(torch.float64)  # the data are made in double precision"]
    lines += columns.lines
    lines += [] if is_double else ["torch.set_default_dtype(torch.float32)"]
    x, y = _whole(parts, columns)
    rows = split_lines(plan, parts, columns, writer, folder)
    if rows:
        pairs = (("inputs", x), ("targets", y))
        lines += [line for name, value in pairs if name != value for line in statement(f"{name} = ", value)]
        lines += ["", *rows]
    train = parts.rows["train"]
    assert isinstance(train, Rows)
    changes = parts.fitted is not None
    floats = ("" if is_double else ".float()") if train.x.is_floating_point() else ""
    y_floats = ("" if is_double else ".float()") if train.y.is_floating_point() else ""
    for name in parts.rows:
        of_x, of_y = (f"inputs[{name}_rows]", f"targets[{name}_rows]") if rows else (x, y)
        lines += statement(f"x_{name} = ", of_x, "" if changes else floats)
        lines += statement(f"y_{name} = ", of_y, "" if changes else y_floats)
    if changes:
        lines += ["", *transform_lines(plan, parts, writer)]
        lines += [f"x_{name} = x_{name}{floats}" for name in parts.rows if floats]
        lines += [f"y_{name} = y_{name}{y_floats}" for name in parts.rows if y_floats]
    return lines


def _whole(parts: Parts, columns: DataColumns) -> tuple[Code, Code]:
    """All inputs and all targets, each in one expression; labels are whole numbers without a second dimension."""
    assert isinstance(parts.dataset, Dataset)
    dataset, y = parts.dataset, parts.rows["train"].y
    x = columns.x or joined(columns.inputs, dataset.inputs)
    if not y.is_floating_point():
        (name, labels), *_ = dataset.targets.items()
        column = columns.targets[name]
        return x, f"{column}.long()" if labels.is_floating_point() else column
    whole = columns.y or joined(columns.targets, dataset.targets)
    single = next(iter(dataset.targets.values()))
    is_double = single.is_floating_point() or len(dataset.targets) > 1
    return x, whole if is_double else f"{flat(whole)}.double()"


def _tidy(text: str) -> str:
    """No more than two blank lines, one before what is further in, none at the ends."""
    return re.sub(r"\n{4,}", "\n\n\n", text).strip("\n") + "\n"
