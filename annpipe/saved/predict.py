"""A saved model answers for the rows of a file, block by block: files of any length need the memory of one block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from annpipe.backend.torch_globals import torch_defaults
from annpipe.errors import DataError
from annpipe.portable.predictions import lost_rows, prediction_columns
from annpipe.saved.cells import FileColumn, shown
from annpipe.saved.model import SavedModel
from annpipe.saved.rows import read_blocks
from annpipe.saved.writing import OutputFile, check_ending


@dataclass
class Predicted:
    """What was done: the rows answered for, and what a person should know of them.

    `unknown` counts by column the rows with words that training had not, `lost` those without an answer, of which
    `first_lost` is the first (from 1).
    """

    rows: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    first_lost: int = 0


@torch_defaults()
def predict(
    run: Path, source: str, out: Path | None = None, keep: Sequence[str] = (), *, trust: bool = False
) -> Predicted:
    """Writes the answers of the run's model for the rows of `source` to `out`, or as CSV to standard output.

    Columns named in `keep` are written before them as they are. Raises NotFound, DataError, and RunError where answers
    are no columns; NotTrusted where the run is not known as the user's own, unless `trust` says that it is.
    """
    check_ending(out)
    model = SavedModel(run, trust=trust)
    inputs = model.inputs
    wanted = [*inputs, *(FileColumn(name) for name in keep)]
    done = Predicted()
    with OutputFile(out) as output:
        for block in read_blocks(source, wanted, model.reading):
            columns = model.columns(block[: len(inputs)], source)
            predictions = prediction_columns(model.targets, model.outputs(columns))
            if twice := [name for name in keep if name in predictions]:
                message = f"{shown(source)}: the column '{twice[0]}' is one of the answers' names"
                raise DataError(message, "leave it out of --keep")
            done.unknown.update(model.unknown_words(columns))
            lost = list(lost_rows(predictions))
            done.first_lost = done.first_lost or (done.rows + lost[0] + 1 if lost else 0)
            done.lost += len(lost)
            done.rows += len(block[0])
            output.write({**{name: np.asarray(block[len(inputs) + n]) for n, name in enumerate(keep)}, **predictions})
    return done
