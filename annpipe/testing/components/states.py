"""Compares states: nested values with tensors, the plain attributes of objects, and the global random generators."""

from __future__ import annotations

import math
import pickle
import random
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.optim.lr_scheduler import LRScheduler

GENERATORS = ("torch", "NumPy", "Python")
_BASES = (torch.nn.Module, torch.optim.Optimizer, LRScheduler)
_KEPT_ELSEWHERE = frozenset(
    {
        *vars(torch.nn.Module()),
        *("state", "param_groups", "defaults", "optimizer", "_step_count", "_get_lr_called_within_step", "_is_initial"),
    }
)
"""Attributes of torch's own base classes: their content is in a `state_dict`, or counts calls."""


def first_difference(left: Any, right: Any, path: str = "") -> str | None:
    """The path to the first value that differs, as `optimizer.state.0.step`; None where all are equal, bit for bit."""
    if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
        return None if _equal_tensors(left, right) else path or "the tensor"
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        if left.keys() != right.keys():
            return ".".join(filter(None, (path, str(next(iter(left.keys() ^ right.keys()))))))
        pairs = ((key, left[key], right[key]) for key in left)
    elif isinstance(left, list | tuple | deque) and isinstance(right, list | tuple | deque):
        if len(left) != len(right):
            return path
        pairs = ((str(n), *pair) for n, pair in enumerate(zip(left, right, strict=True)))
    else:
        return None if _equal(left, right) else path
    differences = (first_difference(a, b, f"{path}.{key}" if path else str(key)) for key, a, b in pairs)
    return next((difference for difference in differences if difference is not None), None)


def _equal_tensors(left: torch.Tensor, right: torch.Tensor) -> bool:
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    if left.is_sparse:
        left, right = left.to_dense(), right.to_dense()
    if not left.is_floating_point():
        return left.equal(right)
    return bool(((left == right) | (left.isnan() & right.isnan())).all())


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    return bool(left == right)


def plain_state(owner: object) -> dict[str, Any]:
    """The attributes of an object that are numbers, words, tensors and collections of these; not torch's own."""
    skipped = _KEPT_ELSEWHERE if isinstance(owner, _BASES) else frozenset()
    return {name: value for name, value in vars(owner).items() if name not in skipped and _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple | deque):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    return value is None or isinstance(value, bool | int | float | str | torch.Tensor)


def random_states() -> dict[str, bytes]:
    """The states of the global generators."""
    numpy = pickle.dumps(np.random.get_state())
    return dict(
        zip(GENERATORS, (torch.get_rng_state().numpy().tobytes(), numpy, pickle.dumps(random.getstate())), strict=True)
    )


@contextmanager
def seeded_globally(seed: int) -> Iterator[None]:
    """Inside, the global generators begin with a seed; afterwards they are as before."""
    numpy, python = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy)
            random.setstate(python)
