"""Which values of a model begin with the weights that `model.from` names, and what does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from annpipe.backend.instantiate import named_modules
from annpipe.backend.weights import digest_of, read_weights
from annpipe.draft.parameter_groups import means
from annpipe.draft.sections import Draft
from annpipe.draft.weight_files import KEPT, find_weights
from annpipe.draft.weights import InitialWeights
from annpipe.errors import Place, Problem
from annpipe.errors.suggest import did_you_mean
from annpipe.files.named import NamedFault, problem_of
from annpipe.files.run_ids import is_run_id
from annpipe.plan.plan import Layer

MOST_TOLD = 4  # misfits in one message
REMEDY = "name those to take with `layers:`, or say `else: init` for the others to begin as they would"


def with_weights(drafted: Draft, layers: Sequence[Layer]) -> tuple[Draft, list[Problem]]:
    """The draft that knows the weights which its model begins with, and what is wrong with them."""
    weights, call = drafted.weights, drafted.spec.weights
    if weights is None or call is None:
        return drafted, []
    try:
        values, weights = _read(weights, drafted)
    except NamedFault as fault:
        return drafted, [problem_of("weights", fault, call.weights.place)]
    state = _own_values(layers)
    problems = [
        _nothing_meant(str(node.value), node.place, list(state))
        for node in call.patterns
        if not any(means(str(node.value), name) for name in state)
    ]
    wanted = [name for name in state if _is_meant(weights, name)]
    fitting = [name for name in wanted if name in values and values[name].shape == state[name].shape]
    misfits = [_misfit(name, values, state) for name in wanted if name not in fitting]
    misfits += [f"'{name}' is not in the model" for name in values if name not in state and _is_meant(weights, name)]
    if not problems and (not fitting or (misfits and not weights.or_init)):
        problems.append(_does_not_fit(weights, misfits, call.place, nothing=not fitting))
    digest = digest_of({name: values[name] for name in fitting})
    if not problems and weights.digest not in (None, digest):
        problems.append(_others(weights, digest, (call.digest or call).place))
    left = tuple(name for name in state if name not in fitting)
    return replace(drafted, weights=replace(weights, digest=digest, taken=tuple(fitting), left=left)), problems


def _read(weights: InitialWeights, drafted: Draft) -> tuple[dict[str, torch.Tensor], InitialWeights]:
    """The values, from the copy that a run keeps where it is the run's plan that is read; raises NamedFault."""
    kept = Path(drafted.file).parent / KEPT
    if weights.digest is not None and kept.is_file():
        values = read_weights(kept)
        if digest_of(values) == weights.digest:
            return values, replace(weights, file=kept, run=weights.source if is_run_id(weights.source) else None)
    file, run = find_weights(weights.source, drafted.spec.folder, weights.project)
    return read_weights(file), replace(weights, file=file, run=run, source=run or weights.source)


def _own_values(layers: Sequence[Layer]) -> Mapping[str, torch.Tensor]:
    """The parameters and buffers of the model on the meta device, by name."""
    with torch.device("meta"):
        return dict(torch.nn.Sequential(named_modules([layer.component for layer in layers])).state_dict())


def _is_meant(weights: InitialWeights, name: str) -> bool:
    return not weights.patterns or any(means(pattern, name) for pattern in weights.patterns)


def _misfit(name: str, values: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor]) -> str:
    if name not in values:
        return f"'{name}' is not among the weights"
    return f"'{name}' is {_shape(values[name])} there and {_shape(state[name])} here"


def _shape(tensor: torch.Tensor) -> str:
    return f"({', '.join(map(str, tensor.shape))}{',' * (tensor.ndim == 1)})"


def _does_not_fit(weights: InitialWeights, misfits: Sequence[str], place: Place, *, nothing: bool) -> Problem:
    more = f", and {len(misfits) - MOST_TOLD} more" if len(misfits) > MOST_TOLD else ""
    message = "; ".join(misfits[:MOST_TOLD]) + more
    what = "nothing of the model fits" if nothing else "the model does not fit"
    return Problem("weights", f"{what} the weights of {weights.source}: {message}", place, REMEDY)


def _others(weights: InitialWeights, digest: str, place: Place) -> Problem:
    message = f"the weights of {weights.source} are not those of this plan (digest {digest}, was {weights.digest})"
    return Problem("weights", message, place, "leave `digest` out to begin with these")


def _nothing_meant(pattern: str, place: Place, names: Sequence[str]) -> Problem:
    parts = dict.fromkeys([*names, *(name.split(".")[0] for name in names)])
    help_ = did_you_mean(pattern, parts) or f"there is {', '.join(names[:6])}{', …' if len(names) > 6 else ''}"
    return Problem("wrong-value", f"no parameter of the model is meant by '{pattern}'", place, help_)
