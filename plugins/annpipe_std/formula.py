"""The data generator `formula`: inputs drawn from distributions, targets computed by formulas, noise on top."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import pydantic
import torch
from torch.distributions import Distribution

from annpipe import Dataset, Expression, OptionError, check_memory, data
from annpipe_std.columns import formula_fields


@data(fields=formula_fields)
def formula(
    *,
    rows: Annotated[int, pydantic.Field(gt=0, description="How many rows to draw.")],
    inputs: Annotated[
        dict[str, Distribution], pydantic.Field(description="Each input column by name, with what it is drawn from.")
    ],
    targets: Annotated[
        dict[str, Expression],
        pydantic.Field(description="Each target column by name, as a formula of inputs and of the targets before it."),
    ],
    noise: Annotated[
        dict[str, Distribution] | None, pydantic.Field(description="What is added to a target, drawn for each row.")
    ] = None,
    generator: torch.Generator,
) -> Dataset:
    """Draws inputs from distributions and computes targets by formulas.

    Targets are computed without noise, which is added last: `truth` keeps what they were before. Each column has a
    seed of its own, drawn from `generator` in the order of inputs, then noise; so the inputs do not depend on the
    noise, nor a column on those after it.

    **Shape:** every column is (rows,), float64. Raises OptionError for a distribution of anything but single
    numbers, and for a formula that gives nan or infinity in some row.
    """
    formula_fields(rows=rows, inputs=inputs, targets=targets, noise=noise)
    check_memory(rows * (len(inputs) + len(targets)), option="rows")
    drawn = {name: _draw(f"inputs.{name}", source, rows, generator) for name, source in inputs.items()}
    columns = dict(drawn)
    for name, expression in targets.items():
        columns[name] = expression.evaluate(columns)
        _check_finite(name, columns, drawn)
    truth = {name: columns[name] for name in targets}
    added = {name: _draw(f"noise.{name}", source, rows, generator) for name, source in (noise or {}).items()}
    noisy = {name: truth[name] + added[name] if name in added else truth[name] for name in targets}
    return Dataset(drawn, noisy, truth)


def _draw(option: str, source: Distribution, rows: int, generator: torch.Generator) -> torch.Tensor:
    """(rows,) doubles; torch's distributions know only the global generator, which is lent and put back."""
    shape = tuple(source.batch_shape + source.event_shape)
    if shape:
        message = f"each draw must be one number; found draws of shape {shape}"
        raise OptionError(option, message, help="give each column a distribution of its own")
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return source.sample((rows,)).to("cpu", torch.float64)


def _check_finite(target: str, columns: Mapping[str, torch.Tensor], inputs: Mapping[str, torch.Tensor]) -> None:
    wrong = ~columns[target].isfinite()
    if wrong.any():
        row = int(wrong.nonzero()[0, 0])
        where = ", ".join(f"{name} = {float(column[row]):.6g}" for name, column in inputs.items())
        message = f"is {float(columns[target][row])} in {int(wrong.sum())} of {len(wrong)} rows, as at {where}"
        raise OptionError(f"targets.{target}", message, help="draw the inputs from where the formula is defined")
