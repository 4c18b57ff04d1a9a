"""The description of a run in MLflow: a few lines of Markdown with its headline figure, what was asked, the command."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from annpipe.draft.component import Component
from annpipe.errors.redact import HIDDEN
from annpipe.plan.plan import Plan
from annpipe.record.journal.location import scrub

MOST_LAYERS = 12
MOST_CHARACTERS = 500  # of a command


def run_note(
    plan: Plan, final: Mapping[str, float] | None = None, best: Mapping[str, tuple[float, int]] | None = None
) -> str:
    """The lines of a run's description; `final` and `best`, with their epochs, are there once it is over.

    >>> print(run_note(plan, {"val/loss": 0.12}, {"val/loss": (0.1, 40)}))
    **val/loss 0.12** (best 0.1 after epoch 40)
    <BLANKLINE>
    Linear 16 → ReLU → Linear 1 · MSELoss · Adam, lr 0.01 · 60 epochs
    <BLANKLINE>
        annpipe run spec.yaml
    """
    parts = [plan.head.description or "", _headline(final or {}, best or {}), _asked(plan), f"    {_command(plan)}"]
    return "\n\n".join(part for part in parts if part)


def sweep_note(plan: Plan, axes: str, trials: str, best: str = "") -> str:
    """The same of a sweep: what it varies, how many `trials`, in words, and in the end its `best` one."""
    asked = f"{trials} of {axes}" if axes else trials
    parts = [plan.head.description or "", best, asked, _asked(plan), f"    {_command(plan)}"]
    return "\n\n".join(part for part in parts if part)


def _headline(final: Mapping[str, float], best: Mapping[str, tuple[float, int]]) -> str:
    """The measures on the held-out rows, of the test split before val; of the train split where there are no others."""
    for split in ("test", "val", "train"):
        keys = sorted((key for key in final if key.startswith(f"{split}/")), key=lambda key: key.endswith("loss"))
        if keys:
            return " · ".join(_figure(key, final[key], best.get(key)) for key in keys[:3])
    return ""


def _figure(key: str, value: float, best: tuple[float, int] | None) -> str:
    text = f"**{key} {value:.4g}**"
    return text if best is None else f"{text} (best {best[0]:.4g} after epoch {best[1]})"


def _asked(plan: Plan) -> str:
    """The layers, the loss, the optimizer and how long, in a line."""
    layers = [_layer(component) for component in plan.model_components]
    if len(layers) > MOST_LAYERS:
        layers = [*layers[: MOST_LAYERS - 1], f"… {len(layers)} layers"]
    rate = plan.optimizer.options.get("lr")
    optimizer = plan.optimizer.name if rate is None else f"{plan.optimizer.name}, lr {rate:g}"
    begun = [f"begun from {plan.weights.source}"] if plan.weights else []
    long = f"{plan.train.epochs} epochs" if plan.train.epochs else f"{plan.train.steps} steps"
    return " · ".join([" → ".join(layers), plan.loss.name, optimizer, long, *begun])


def _layer(component: Component) -> str:
    """A layer in a word, with its width where it has one."""
    widths = (component.options.get(name) for name in ("out_features", "out_channels", "hidden_size"))
    width = next((width for width in widths if width is not None), None)
    return component.name if width is None else f"{component.name} {width}"


def _command(plan: Plan) -> str:
    """What was typed, without credentials; or the call, where a program of somebody's own runs annpipe."""
    program = Path(sys.argv[0])
    if program.name.startswith("annpipe") or program.parent.name == "annpipe":
        command = scrub(shlex.join(["annpipe", *_without_storage(sys.argv[1:])]))
    else:
        command = f'annpipe.run("{Path(plan.file).name}")'
    return command if len(command) <= MOST_CHARACTERS else f"{command[: MOST_CHARACTERS - 1]}…"


def _without_storage(words: Sequence[str]) -> list[str]:
    """The words with the address of a sweep's storage hidden: all who read the record need not know where it is."""
    hidden = [f"--storage={HIDDEN}" if word.startswith("--storage=") else word for word in words]
    for position, word in enumerate(words[:-1]):
        if word == "--storage":
            hidden[position + 1] = HIDDEN
    return hidden
