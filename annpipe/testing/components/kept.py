"""Checks of what is kept of a component: its state, and the saved model that is loaded without annpipe."""

from __future__ import annotations

import shutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from annpipe.errors import RunError
from annpipe.export.model import export_model
from annpipe.portable.network import SavedNetwork
from annpipe.saved.check import check_saved_model
from annpipe.saved.model import sources_only
from annpipe.testing.components.blame import line_of_attribute
from annpipe.testing.components.forward import first_tensor, method_line
from annpipe.testing.components.states import first_difference, plain_state
from annpipe.testing.components.subject import Subject
from annpipe.testing.components.trains import live_objects
from annpipe.testing.components.verdicts import ComponentFault, NotApplicable, last_line

PACKAGES = ("annpipe", "annpipe_std")
BUFFERS = "keep what it learns or draws in parameters or, by `register_buffer`, in buffers"


def check_saving(subject: Subject) -> str:
    """The state of a trained module, loaded into a new one of another seed, gives the same answers."""
    if subject.kind == "transform":
        raise NotApplicable("what it learns is saved with the model: see `export`")
    if subject.kind not in ("layer", "loss"):
        raise NotApplicable("it is not saved by itself: where it has a state, `resume` takes it through a checkpoint")
    trained = subject.trained
    other_plan = subject.planned(seed=trained.plan.head.seed + 1)
    with subject.built(other_plan) as other:
        for to, of in ((other.model, trained.parts.model), (other.loss, trained.parts.loss)):
            to.load_state_dict(of.state_dict())
        first, inputs = subject.module(trained.plan, trained.parts)
        second, _ = subject.module(other_plan, other)
        with torch.no_grad(), torch.random.fork_rng(devices=()):
            answers = []
            for module in (first.eval(), second.eval()):
                torch.default_generator.manual_seed(0)
                answers.append(first_tensor(module(*inputs)))
    if first_difference(answers[0], answers[1]) is None:
        return "the state that was saved and loaded gives the same answers"
    attribute = _attribute(subject, first, second)
    message = "loaded from its saved state it gives other answers"
    shown = f": `{attribute}` is not in its state" if attribute else ""
    raise ComponentFault(message + shown, BUFFERS, line_of_attribute(subject.entry, attribute) or method_line(subject))


def _attribute(subject: Subject, first: torch.nn.Module, second: torch.nn.Module) -> str:
    """The attribute outside of the state in which the two differ."""
    for a, b in zip(first.modules(), second.modules(), strict=True):
        if (path := first_difference(plain_state(a), plain_state(b))) is not None:
            return path.partition(".")[0]
    return ""


def check_export(subject: Subject) -> str:
    """The saved model loads where annpipe cannot be imported, and gives the answers of the run."""
    if subject.kind not in ("layer", "transform"):
        raise NotApplicable("it is no part of a saved model")
    folder = subject.folder / "model"
    shutil.rmtree(folder, ignore_errors=True)
    trained = subject.trained
    export_model(trained.plan, trained.parts, folder)
    try:
        with without_annpipe(), sources_only(), torch.random.fork_rng(devices=()):
            SavedNetwork(folder)
    except Exception as error:  # the code of the plugin runs there, and may raise anything
        line = _line_of_copy(subject, error)
        message = f"its saved model does not load without annpipe: {type(error).__name__}: {error}"
        raise ComponentFault(message, "let its file import nothing of annpipe but marks and words", line) from error
    try:
        check_saved_model(trained.parts, folder)
    except RunError as error:
        attribute = next((name for first in live_objects(subject, trained) for name in tensors_outside(first)), "")
        reason = str(error).partition("; ")[0].replace(str(folder), "its folder")
        raise ComponentFault(
            reason, BUFFERS, line_of_attribute(subject.entry, attribute) or method_line(subject)
        ) from None
    return "its saved model loads without annpipe and gives the same answers"


def tensors_outside(owner: object) -> list[str]:
    """The attributes that hold tensors outside of parameters and buffers."""
    return [name for name, value in plain_state(owner).items() if isinstance(value, torch.Tensor)]


def _line_of_copy(subject: Subject, error: BaseException) -> int:
    """The line in the copy beside the model, which has the lines of the plugin file."""
    name = Path(subject.entry.file).name
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).name == name]
    return (frames[-1].lineno or 0) if frames else last_line(error.__traceback__, subject.entry)


@contextmanager
def without_annpipe() -> Iterator[None]:
    """Inside, `import annpipe` and imports of what belongs to it fail; what runs already goes on."""
    hidden: dict[str, Any] = {name: sys.modules[name] for name in list(sys.modules) if name.split(".")[0] in PACKAGES}
    blocked: dict[str, Any] = dict.fromkeys({*hidden, *PACKAGES})
    sys.modules.update(blocked)
    try:
        yield
    finally:
        for name in blocked:
            del sys.modules[name]
        sys.modules.update(hidden)
