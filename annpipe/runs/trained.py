"""Opens a finished run again with its data made anew and its trained weights in the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from annpipe.backend.device import computing
from annpipe.backend.torch_globals import torch_defaults
from annpipe.errors import NotFound, RunError
from annpipe.export.model import saved_model
from annpipe.files.whole import Damaged
from annpipe.observer import SILENT, Observer
from annpipe.plan.plan import Plan
from annpipe.portable.network import DamagedModel, check_sums
from annpipe.record.journal import journal as journals
from annpipe.record.journal.events import DatasetUsed
from annpipe.record.journal.seal import MODEL, PLAN, check_own
from annpipe.runs.further import facts_with_present_plan
from annpipe.runs.plans import plan_of
from annpipe.runs.provenance import DataDigests, check_facts, run_facts
from annpipe.train.parts import Parts, build


@dataclass(frozen=True)
class TrainedRun:
    """A finished run: its folder and plan, and its parts on the CPU, the model in evaluation mode."""

    folder: Path
    plan: Plan
    parts: Parts


@contextmanager
def trained_run(folder: Path, observer: Observer = SILENT, *, trust: bool = False) -> Iterator[TrainedRun]:
    """The finished run in `folder`; inside, new float tensors have its precision.

    Its data are made again, and must be those that it was trained on. Raises NotFound where it has no model, RunError
    where its plan, plugins or data are not what they were, Damaged where its weights do not fit, SpecError, DataError,
    and NotTrusted where the run is not known as the user's own, unless `trust` says that it is.
    """
    if not (folder / MODEL / "weights.safetensors").is_file():
        raise NotFound(f"the run {folder.name} has no model: it did not finish; `annpipe resume {folder.name}` goes on")
    check_own(folder, PLAN, trusted=trust)
    check_own(folder, MODEL, trusted=trust)
    if damaged := journals.damaged_lines(folder):
        observer.event(f"warning: {journals.damage_text(damaged)}")
    with torch_defaults():
        plan = plan_of(folder, SILENT)  # whose warnings were shown when the run began
        with computing(plan.device.precision, deterministic=plan.device.deterministic) as dtype:
            parts = build(plan, torch.device("cpu"), dtype, observer)
            for doubt in check_facts(run_facts_of(folder), run_facts(plan, DataDigests.of(parts.dataset))):
                observer.event(f"warning: {doubt}")
            _load(folder, parts)
            yield TrainedRun(folder, plan, parts)


def run_facts_of(folder: Path) -> Mapping[str, Any]:
    """What decided the results of the run in `folder`, as its journal has it; raises RunError where it has none."""
    for event in journals.read(folder):
        if isinstance(event, DatasetUsed) and event.facts:
            return facts_with_present_plan(folder, event.facts)
    raise RunError(f"the journal of {folder.name} does not say what it was trained on: run its spec again")


def _load(folder: Path, parts: Parts) -> None:
    """Loads the trained weights into model, transforms and loss."""
    try:
        check_sums(folder / MODEL)
        saved_model(parts).load_state_dict(load_file(folder / MODEL / "weights.safetensors"))
        if (folder / MODEL / "loss.safetensors").is_file():
            parts.loss.load_state_dict(load_file(folder / MODEL / "loss.safetensors"))
    except DamagedModel as error:
        raise Damaged(str(error)) from error
    except Exception as error:  # files that were changed or cut may hold anything
        reason = " ".join(str(error).split())[:200]
        raise Damaged(f"the weights of {folder.name} do not fit its plan: {type(error).__name__}: {reason}") from error
    parts.model.eval()
    parts.loss.eval()
