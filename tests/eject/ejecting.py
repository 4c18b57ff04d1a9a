"""Ejects specs in this process, and holds what their scripts train against the eager gear."""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from pathlib import Path

import torch

from annpipe.backend.device import computing, one_thread
from annpipe.backend.torch_globals import torch_defaults
from annpipe.eject.check import KEYS, losses_of_run, parting
from annpipe.eject.script import eject
from annpipe.observer import SILENT
from annpipe.plan.plan import Plan
from annpipe.train.parts import build


def script_of(plan: Plan, folder: Path) -> str:
    """The text of a plan's script, for a file in `folder`."""
    with torch_defaults(), computing(plan.device.precision, deterministic=False) as dtype:
        return eject(plan, build(plan, torch.device("cpu"), dtype), folder).text


def losses_here(text: str, folder: Path) -> Mapping[str, list[float]]:
    """The losses of a script, whose training alone is run, in this process: what it needs of annpipe would be found,
    but its text must not name it."""
    assert "import annpipe" not in text
    assert "from annpipe" not in text
    file = folder / "training_only.py"
    file.write_text(text[: text.index("# Evaluation")], encoding="utf-8")
    with torch_defaults(), torch.random.fork_rng(devices=[]), one_thread():
        kept = runpy.run_path(str(file))
    return {key: [float(value) for value in kept.get(name, [])] for key, name in KEYS.items()}


def assert_equal(plan: Plan, folder: Path) -> str:
    """Holds each loss of the script against the run's, bit for bit; returns the text of the script."""
    text = script_of(plan, folder)
    run, own = losses_of_run(plan, SILENT), losses_here(text, folder)
    assert run["train/loss"]
    for key in KEYS:
        assert parting(own[key], run[key]) is None, f"{key}: {parting(own[key], run[key])}\n{text}"
    return text
