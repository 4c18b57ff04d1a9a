"""What calls of torch's exporters have in common: silence, modules, free dimensions, and how reasons are told."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import ModuleType
from typing import Any

import torch

LOGS = ("torch.onnx", "onnxscript", "onnx_ir")


@contextmanager
def own_modules(network: torch.nn.Module) -> Iterator[None]:
    """Inside, the files that a network's classes come from are found by name, as a strict export wants them to be.

    A saved model's files are taken out of Python's modules again when the network is built.
    """
    classes = {type(module) for module in network.modules()}
    lost = {cls.__module__: cls.forward.__globals__ for cls in classes if cls.__module__ not in sys.modules}
    for name, names in lost.items():
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(names)
    try:
        yield
    finally:
        for name in lost:
            del sys.modules[name]


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, exporters neither warn nor log, no gradients are taken, and attention takes its plain path."""
    with ExitStack() as inside:
        inside.enter_context(warnings.catch_warnings(action="ignore"))
        inside.enter_context(torch.no_grad())
        for name in LOGS:
            log = logging.getLogger(name)
            inside.callback(log.setLevel, log.level)
            log.setLevel(logging.CRITICAL)
        inside.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
        torch.backends.mha.set_fastpath_enabled(False)
        yield


@contextmanager
def loops() -> Iterator[None]:
    """Inside, torch.export keeps LSTM and GRU as they are, for rows of any length, where this torch can."""
    operators: Any = (torch.ops.aten.lstm.input, torch.ops.aten.gru.input)
    with ExitStack() as inside:
        with suppress(ImportError, AttributeError):  # a torch without them exports one length, and this is said
            from torch.export import _patches

            for (
                operator
            ) in operators:  # what an operator was last resolved to would be taken again, here and afterwards
                inside.callback(operator._dispatch_cache.clear)
            inside.enter_context(_patches.register_lstm_while_loop_decomposition())
            inside.enter_context(_patches.register_gru_while_loop_decomposition())
            for operator in operators:
                operator._dispatch_cache.clear()
        yield


def reason(error: BaseException) -> str:
    """What an exporter says, on one line: its innermost reason, without traces and advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:200]


def free_dimensions(lengths: Sequence[int]) -> dict[int, Any]:
    """What torch.export is told of an input: any number of rows, and any length where it can."""
    return dict.fromkeys((0, *lengths), torch.export.Dim.AUTO)
