"""A stand-in for a CUDA graph on the CPU: operations are recorded once, and replayed on the very same tensors.

As a graph does, it runs no Python again: a number that was read at the capture stays what it was, and memory is read
where it lay. What a capture refuses, it refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
WAITING = (aten._local_scalar_dense, aten.nonzero, aten.equal, aten.is_nonzero, aten.masked_select, aten._unique2)
"""Operations that give the host what the device has computed."""
FROM_HOST = (aten.lift_fresh, aten.lift_fresh_copy)
"""Operations that take a tensor out of Python's numbers."""


def _tensors(value: Any) -> list[torch.Tensor]:
    return [one for one in tree_leaves(value) if isinstance(one, torch.Tensor)]


class _Recording(TorchDispatchMode):
    """Takes down each operation with its tensors and what it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket in (*WAITING, *FROM_HOST):
            raise RuntimeError(f"operation not permitted when stream is capturing: {func}")
        given = func(*args, **(kwargs or {}))
        self.taken.append((func, args, kwargs or {}, given))
        return given


@dataclass
class Recorder:
    """Calling it captures; `captures` and `replays` are counted."""

    captures: int = 0
    replays: int = 0
    operations: list[str] = field(default_factory=list)

    def __call__(self, function: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        with _Recording() as recording:
            result = function()
        self.captures += 1
        self.operations = [str(func) for func, *_ in recording.taken]

        def replay() -> torch.Tensor:
            self.replays += 1
            for func, args, kwargs, given in recording.taken:
                _put(given, func(*args, **kwargs), _tensors((args, kwargs)))
            return result

        return replay


def _put(given: Any, now: Any, taken: list[torch.Tensor]) -> None:
    """Writes what an operation gives now to where it gave it; a view of what it took is there already."""
    theirs = {one.untyped_storage().data_ptr() for one in taken}
    for old, new in zip(_tensors(given), _tensors(now), strict=True):
        if old.untyped_storage().data_ptr() not in theirs:
            old.copy_(new)
