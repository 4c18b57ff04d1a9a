"""Sets the process-wide settings of torch, NumPy and Python to their defaults inside a plan or a run.

Whoever calls `annpipe.run` in a notebook may have changed any of them. None of them changes what a spec means, and the
caller finds them as they were, after an error too.
"""

from __future__ import annotations

import dataclasses
import os
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from annpipe.backend.device import available_cores
from annpipe.backend.torch_shortcuts import lean_optimizers


@dataclass(frozen=True)
class Setting:
    """A setting of the process: how it is read and written, and the value that torch begins with.

    A plan or a run may set it, too: it is written back where it was changed.
    """

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], object]
    default: Any


def _fp32(backend: str, operation: str, default: str = "none") -> Setting:
    """Which shorter format products in single precision may take, by torch's names of backend and operation."""
    return Setting(
        f"fp32_precision {backend} {operation}",
        lambda: torch._C._get_fp32_precision_getter(backend, operation),
        lambda value: torch._C._set_fp32_precision_setter(backend, operation, value),
        default,
    )


def _of(owner: Any, name: str, default: Any) -> Setting:
    """A setting that is an attribute of a module of torch's."""
    return Setting(name, lambda: getattr(owner, name), lambda value: setattr(owner, name, value), default)


def _autocast(device: str) -> Setting:
    return Setting(
        f"autocast {device}",
        lambda: torch.is_autocast_enabled(device),
        lambda value: torch.set_autocast_enabled(device, value),
        False,
    )


def _flushes_denormals() -> bool:
    """Whether this thread takes numbers next to zero for zero: torch has no word to ask."""
    least = [5e-324]  # in a list: Python would compute a constant beforehand
    return least[0] * 1.0 == 0.0


def _deterministic() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _matmul_precision() -> str | None:
    """Torch's one word for all devices; None where the caller has set them apart, and torch refuses to say."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return None


def _put_matmul_precision(value: str | None) -> None:
    if value is not None:
        torch.set_float32_matmul_precision(value)


def _print_options() -> dict[str, Any]:
    return dataclasses.asdict(torch._tensor_str.PRINT_OPTS)


def _put_print_options(values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(torch._tensor_str.PRINT_OPTS, name, value)


_backends, _sdp = torch.backends, torch.backends.cuda
SETTINGS: tuple[Setting, ...] = (
    Setting("default dtype", torch.get_default_dtype, torch.set_default_dtype, torch.float32),
    Setting("grad mode", torch.is_grad_enabled, torch._C._set_grad_enabled, True),
    Setting(
        "anomaly mode",
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda value: torch.set_anomaly_enabled(*value),
        (False, True),
    ),
    Setting(
        "deterministic algorithms",
        _deterministic,
        lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
        (False, False),
    ),
    Setting(
        "fill uninitialized memory",
        torch._C._get_deterministic_fill_uninitialized_memory,
        torch._C._set_deterministic_fill_uninitialized_memory,
        True,
    ),
    Setting("flush denormal", _flushes_denormals, torch.set_flush_denormal, False),
    _autocast("cpu"),
    _autocast("cuda"),
    Setting("autocast cache", torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled, True),
    _fp32("generic", "all"),
    *(_fp32("cuda", operation) for operation in ("all", "matmul")),
    *(_fp32("cuda", operation, "tf32") for operation in ("conv", "rnn")),
    *(_fp32("mkldnn", operation) for operation in ("all", "matmul", "conv", "rnn")),
    _of(_backends.cudnn, "enabled", True),
    _of(_backends.cudnn, "benchmark", False),
    _of(_backends.cudnn, "deterministic", False),
    _of(_backends.mkldnn, "enabled", True),
    _of(_backends.mkldnn, "deterministic", False),
    Setting("flash attention", _sdp.flash_sdp_enabled, _sdp.enable_flash_sdp, True),
    Setting("attention in blocks", _sdp.mem_efficient_sdp_enabled, _sdp.enable_mem_efficient_sdp, True),
    Setting("attention by formula", _sdp.math_sdp_enabled, _sdp.enable_math_sdp, True),
    Setting("attention of cudnn", _sdp.cudnn_sdp_enabled, _sdp.enable_cudnn_sdp, True),
    Setting("fast path", _backends.mha.get_fastpath_enabled, _backends.mha.set_fastpath_enabled, True),
    _of(torch.distributions.Distribution, "_validate_args", True),  # torch's compiler leaves it off in its process
    Setting("print options", _print_options, _put_print_options, _print_options()),
    # It writes some of the others: they are written after it, both times, since values are written from the last on.
    Setting("float32 matmul precision", _matmul_precision, _put_matmul_precision, "highest"),
)


def usual_threads() -> int:
    """The threads that torch begins with: as `OMP_NUM_THREADS` says, else the cores that this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    return available_cores()


@contextmanager
def torch_defaults(*, threads: int | None = None) -> Iterator[None]:
    """Inside, every setting is its default; afterwards the caller's are back, with the states of random generators.

    `threads` are those that torch computes with; left out, as many as it begins with. What is drawn from generators of
    the process is the same each time; a run's own streams are drawn from the seed of its spec.
    """
    with ExitStack() as inside:
        inside.enter_context(_warnings_shown())
        inside.enter_context(_generators_apart())
        inside.enter_context(_numpy_as_usual())
        inside.enter_context(lean_optimizers())
        inside.callback(torch.set_num_threads, torch.get_num_threads())
        inside.enter_context(torch.inference_mode(False))
        for setting in SETTINGS:  # inference mode, once left, says that there is no gradient
            inside.callback(_put, setting, setting.get())
        for setting in reversed(SETTINGS):
            _put(setting, setting.default)
        _onto_cpu(inside)
        wanted = usual_threads() if threads is None else threads
        if wanted != torch.get_num_threads():
            torch.set_num_threads(wanted)
        yield


def _put(setting: Setting, value: Any) -> None:
    """Writes a setting that has another value: to write some of them, as deterministic algorithms, takes time."""
    if setting.get() != value:
        setting.put(value)


def _onto_cpu(inside: ExitStack) -> None:
    """New tensors are the processor's, as long as nothing says otherwise: `torch.set_default_device`, `with device`."""
    before = torch.get_default_device()
    if before.type == "cpu":
        return
    if getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None) is not None:
        torch.set_default_device(None)
        inside.callback(torch.set_default_device, before)
    if torch.get_default_device().type != "cpu":  # one of the caller's contexts: another inside it wins
        inside.enter_context(torch.device("cpu"))


@contextmanager
def _warnings_shown() -> Iterator[None]:
    """Inside, a warning is no error, whatever the caller's filters say: torch warns of much that it then does."""
    with warnings.catch_warnings():
        shown = [("default", *rest) if action == "error" else (action, *rest) for action, *rest in warnings.filters]
        warnings.filters[:] = shown  # type: ignore[index]  # a list; typeshed lets it be read only
        yield


@contextmanager
def _generators_apart() -> Iterator[None]:
    """Inside, the generators of torch, NumPy and Python stand at one beginning, afterwards as before."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    before = torch.get_rng_state()
    try:
        with seeded(0):
            torch.default_generator.manual_seed(0)
            yield
    finally:
        torch.set_rng_state(before)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, what Python and NumPy share with everybody begins with a seed; afterwards as before."""
    numpy_random = _numpy_random()
    before, state = random.getstate(), numpy_random.get_state()
    random.seed(seed)
    numpy_random.seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(before)
        numpy_random.set_state(state)


def _numpy_random() -> Any:
    import numpy.random

    return numpy.random


@contextmanager
def _numpy_as_usual() -> Iterator[None]:
    """NumPy's own settings: no error where a number overflows, and numbers printed as they are by default."""
    import numpy as np

    usual = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
    printed = {"edgeitems": 3, "threshold": 1000, "precision": 8, "suppress": False, "linewidth": 75, "sign": "-"}
    with np.errstate(**usual), np.printoptions(**printed, floatmode="maxprec", nanstr="nan", infstr="inf"):  # type: ignore[arg-type]
        yield
