"""annpipe: a YAML file is a training run.

For plugin authors: the marks (`data`, `transform`, `layer`, `initializer`, `loss`, `optimizer`, `scheduler`, `average`,
`metric`, `distribution`, `callback`, `plot`), what passes between engine and components (`Dataset`, `ChunkedDataset`,
`Field`, `Fields`, `Look`, `Loss`, `LossTerm`, `MetricKey`, `Outline`, `OutputRoles`, `Remark`, `RunView`, `Expression`,
`Stack`, `Taps`), `OptionError` to refuse an option's value, `did_you_mean` for its help; `StackedOptimizer` and
`StackedGroup` for optimizers that step as one (their old names, `Stepping` and `Slab`, go on to work); for classes
that cannot carry a mark, `describe`, `Typing` and `Entry`; `CellFormat`, `cell_texts`, `cell_numbers`, `cell_dates`
(with `fault_of_format`) and `TextCounts`, which read cells as a saved model does; `number_format` (of `MOSTLY` of the
words), `guessed_dates` and `guessed_dialect` for how files are written; `open_file` and `named_files` for files that a
spec names; `UTF8`, `check_encoding`, `is_utf8`, `in_utf8` and `undecodable` for how text in them is encoded; `Archive`
(with `ArchiveError`) for arrays in them, `cache_folder` and `move` for files that can be made again; `check_bound` for
what the spec of a stranger may ask for, `check_memory` for rows that are made rather than read; `one_line`, `shortened`
and `text_width` for names and cells that a figure or a message shows, `figure_style` and `fit_figure` for figures that
look like annpipe's own.
For programs: `Registry`, and `run` a spec with one; `load` opens a finished run; `run_sweep` trains a sweep; an
`Observer` is told how it goes on.
For tests: `annpipe.testing`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from annpipe.contract import (
        Blocks,
        ChunkedDataset,
        Dataset,
        Field,
        Fields,
        Look,
        Loss,
        LossTerm,
        MetricKey,
        Outline,
        OutputRoles,
        Remark,
        RunView,
        norms_by_layer,
    )
    from annpipe.datasets.cell_columns import cell_dates, cell_numbers, cell_texts
    from annpipe.datasets.guess.dates import guessed_dates
    from annpipe.datasets.guess.dialect import guessed_dialect
    from annpipe.datasets.guess.numbers import MOSTLY, number_format
    from annpipe.errors import OptionError, one_line, shortened, text_width
    from annpipe.errors.suggest import did_you_mean
    from annpipe.expression import Expression
    from annpipe.files.archive import Archive, ArchiveError
    from annpipe.files.descriptors import move
    from annpipe.files.encodings import UTF8, check_encoding, in_utf8, is_utf8, undecodable
    from annpipe.files.figure_fit import fit_figure
    from annpipe.files.figure_style import figure_style
    from annpipe.files.limits import check_bound
    from annpipe.files.memory import check_memory
    from annpipe.files.named import named_files, open_file
    from annpipe.files.private import cache_folder
    from annpipe.observer import Observer
    from annpipe.portable.cell_dates import fault_of_format
    from annpipe.portable.cell_text import CellFormat
    from annpipe.portable.hashed_text import TextCounts
    from annpipe.portable.stack import Stack
    from annpipe.portable.taps import Taps
    from annpipe.registry.entry import Entry
    from annpipe.registry.marks import (
        average,
        callback,
        data,
        distribution,
        initializer,
        layer,
        loss,
        metric,
        optimizer,
        plot,
        scheduler,
        transform,
    )
    from annpipe.registry.registry import Registry
    from annpipe.registry.signature import Typing, describe
    from annpipe.runs.launch import run
    from annpipe.runs.load import load
    from annpipe.sweep.sweep import run_sweep
    from annpipe.train.gears.stacked.optimizers import Slab, StackedGroup, StackedOptimizer, Stepping

_HOMES = {
    "annpipe.contract": (
        *("Blocks", "ChunkedDataset", "Dataset", "Field", "Fields", "Look", "Loss", "LossTerm", "MetricKey", "Outline"),
        *("OutputRoles", "Remark", "RunView", "norms_by_layer"),
    ),
    "annpipe.errors": ("OptionError", "one_line", "shortened", "text_width"),
    "annpipe.expression": ("Expression",),
    "annpipe.files.archive": ("Archive", "ArchiveError"),
    "annpipe.files.descriptors": ("move",),
    "annpipe.files.encodings": ("UTF8", "check_encoding", "in_utf8", "is_utf8", "undecodable"),
    "annpipe.files.figure_fit": ("fit_figure",),
    "annpipe.files.figure_style": ("figure_style",),
    "annpipe.files.limits": ("check_bound",),
    "annpipe.files.memory": ("check_memory",),
    "annpipe.files.named": ("named_files", "open_file"),
    "annpipe.files.private": ("cache_folder",),
    "annpipe.observer": ("Observer",),
    "annpipe.runs.launch": ("run",),
    "annpipe.runs.load": ("load",),
    "annpipe.datasets.cell_columns": ("cell_dates", "cell_numbers", "cell_texts"),
    "annpipe.datasets.guess.dates": ("guessed_dates",),
    "annpipe.datasets.guess.dialect": ("guessed_dialect",),
    "annpipe.datasets.guess.numbers": ("MOSTLY", "number_format"),
    "annpipe.portable.cell_dates": ("fault_of_format",),
    "annpipe.portable.cell_text": ("CellFormat",),
    "annpipe.portable.hashed_text": ("TextCounts",),
    "annpipe.registry.entry": ("Entry",),
    "annpipe.registry.marks": (
        *("average", "callback", "data", "distribution", "initializer", "layer", "loss", "metric", "optimizer", "plot"),
        *("scheduler", "transform"),
    ),
    "annpipe.registry.registry": ("Registry",),
    "annpipe.registry.signature": ("Typing", "describe"),
    "annpipe.errors.suggest": ("did_you_mean",),
    "annpipe.portable.stack": ("Stack",),
    "annpipe.sweep.sweep": ("run_sweep",),
    "annpipe.portable.taps": ("Taps",),
    "annpipe.train.gears.stacked.optimizers": ("Slab", "StackedGroup", "StackedOptimizer", "Stepping"),
}

__all__ = [
    "MOSTLY",
    "UTF8",
    "Archive",
    "ArchiveError",
    "Blocks",
    "CellFormat",
    "ChunkedDataset",
    "Dataset",
    "Entry",
    "Expression",
    "Field",
    "Fields",
    "Look",
    "Loss",
    "LossTerm",
    "MetricKey",
    "Observer",
    "OptionError",
    "Outline",
    "OutputRoles",
    "Registry",
    "Remark",
    "RunView",
    "Slab",
    "Stack",
    "StackedGroup",
    "StackedOptimizer",
    "Stepping",
    "Taps",
    "TextCounts",
    "Typing",
    "average",
    "cache_folder",
    "callback",
    "cell_dates",
    "cell_numbers",
    "cell_texts",
    "check_bound",
    "check_encoding",
    "check_memory",
    "data",
    "describe",
    "did_you_mean",
    "distribution",
    "fault_of_format",
    "figure_style",
    "fit_figure",
    "guessed_dates",
    "guessed_dialect",
    "in_utf8",
    "initializer",
    "is_utf8",
    "layer",
    "load",
    "loss",
    "metric",
    "move",
    "named_files",
    "norms_by_layer",
    "number_format",
    "one_line",
    "open_file",
    "optimizer",
    "plot",
    "run",
    "run_sweep",
    "scheduler",
    "shortened",
    "text_width",
    "transform",
    "undecodable",
]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for: a command pays only for what it uses."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'annpipe' has no attribute {name!r}")
