"""Small inputs that an exported file is tried on before it is taken: other numbers of rows, other lengths."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from annpipe.interchange.program import Program, TensorsByName, of_length

CLOSE = 1e-3  # relative to the largest answer: rounding passes here, another result does not
ROWS = (1, 2, 7)


def first_fault(
    program: Program, lengths: Sequence[int], example: TensorsByName, run: Callable[[TensorsByName], TensorsByName]
) -> str | None:
    """In what `run`, an exported program, differs from the program itself; None where it does not."""
    for columns, what in _probes(example, lengths):
        expected, got = program(columns), run(columns)
        for name, values in expected.items():
            if values.shape != got[name].shape:
                return f"for {what}, {name} has the shape {tuple(got[name].shape)} and not {tuple(values.shape)}"
            if not _are_close(values.double(), got[name].double()):
                return f"for {what}, {name} has other values than the model's"
    return None


def _probes(example: TensorsByName, lengths: Sequence[int]) -> Iterator[tuple[TensorsByName, str]]:
    for n in ROWS:
        yield {name: of_length(column, 0, n) for name, column in example.items()}, f"{n} row{'s' * (n > 1)}"
    for dim in lengths:
        ((name, column),) = example.items()
        usual = column.shape[dim]
        for length in (usual + usual // 2 + 5, max(2, usual // 2)):
            yield {name: of_length(column, dim, length)}, f"rows of length {length} (the run's own have {usual})"


def _are_close(expected: torch.Tensor, got: torch.Tensor) -> bool:
    finite = expected[expected.isfinite()].abs()
    size = float(finite.max()) if len(finite) else 1.0
    return torch.allclose(got, expected, rtol=0, atol=CLOSE * max(size, 1e-30), equal_nan=True)
