"""Every torch component is built as the engine builds it, from options that its entry allows, and does its work."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from annpipe.backend.instantiate import instantiate
from annpipe.draft.component import Component
from annpipe.portable.stack import passed
from annpipe.registry.discovery import discover_package
from annpipe.registry.entry import Entry, Parameter
from annpipe.registry.registry import Registry
from annpipe.registry.traits import OptimizerTraits, SchedulerTraits
from annpipe.registry.types import TupleOf, alternatives
from tests.plugins.torch_examples import meta_input, minimal

ENTRIES = [entry for entry in discover_package("annpipe_std") if entry.origin.distribution == "torch"]
REGISTRY = Registry()
REGISTRY._add_all(ENTRIES)


def of_kind(kind: str) -> pytest.MarkDecorator:
    found = [entry for entry in ENTRIES if entry.kind == kind]
    assert found
    return pytest.mark.parametrize("entry", found, ids=lambda entry: entry.name)


def build(entry: Entry, options: dict[str, Any], **supplied: Any) -> Any:
    """Built as the engine does it: the defaults of the index are passed, too."""
    defaults = {p.name: p.default for p in entry.parameters if not (p.required or p.supplied)}
    return instantiate(Component(entry.kind, entry.name, {**defaults, **options}, entry=entry), **supplied)


@of_kind("layer")
def test_a_layer_is_built_and_takes_the_shape_it_says_it_needs(entry: Entry) -> None:
    """Minimal options, the meta device, rows first in and out."""
    with torch.device("meta"):
        layer = build(entry, minimal(entry)).eval()
        output = passed(layer, meta_input(entry))
    first = output[0] if isinstance(output, tuple) else output
    assert first.shape[0] == 3


@of_kind("layer")
def test_sizes_may_be_given_for_each_dimension(entry: Entry) -> None:
    """A list typed as a tuple reaches torch as one that it takes."""
    tuples = {
        p.name: [1 if p.name != "kernel_size" else 2] * len(member.items)
        for p in entry.parameters
        for member in alternatives(p.option_type)
        if isinstance(member, TupleOf) and not {"size", "output_padding", "scale_factor"} & {p.name}
    }
    tuples.pop("output_ratio", None)
    if not tuples or entry.name == "Fold":
        return
    with torch.device("meta"):
        layer = build(entry, {**minimal(entry), **tuples}).eval()
        assert len(layer(meta_input(entry))) == 3


@of_kind("loss")
def test_a_loss_is_built(entry: Entry) -> None:
    """From its defaults, and without weights that no optimizer would see."""
    loss = build(entry, minimal(entry))
    assert isinstance(loss, torch.nn.Module)
    assert not list(loss.parameters())


# Limits that torch does not check and without which a step makes no sense.
UNCHECKED = {
    *(("LBFGS", name) for name in ("max_iter", "max_eval", "tolerance_grad", "tolerance_change", "history_size")),
    *(("Muon", name) for name in ("eps", "ns_steps")),
    ("ASGD", "lambd"),
    ("Rprop", "step_sizes"),
}


def beyond(parameter: Parameter) -> list[Any]:
    """Values just outside each bound; of a pair only the second is wrong."""
    numbers = [{"ge": -0.5, "gt": 0.0, "le": 0.5, "lt": 0.0}[key] + limit for key, limit in parameter.bounds.items()]
    if not isinstance(parameter.default, list):
        return list(numbers)
    return [[*parameter.default[:1], number] for number in numbers]


@of_kind("optimizer")
def test_an_optimizer_is_built_and_refuses_what_its_bounds_refuse(entry: Entry) -> None:
    """Where torch checks a number itself, the index has the same limit."""
    parameters = [torch.nn.Parameter(torch.ones(2, 2))]
    assert isinstance(build(entry, minimal(entry), params=parameters), torch.optim.Optimizer)
    for parameter in entry.parameters:
        if (entry.name, parameter.name) in UNCHECKED or not parameter.bounds:
            continue
        for outside in beyond(parameter):
            with pytest.raises(ValueError, match=r"(?i)invalid|should be|should not"):
                build(entry, {parameter.name: outside}, params=parameters)


@of_kind("optimizer")
def test_an_optimizer_steps_as_its_traits_say(entry: Entry) -> None:
    """With a closure where it needs one, and fused on the CPU where the index says so."""
    parameter = torch.nn.Parameter(torch.ones(2, 2))
    parameter.grad = torch.ones(2, 2).to_sparse() if entry.name == "SparseAdam" else torch.ones(2, 2)
    fused = {"fused": True} if entry.traits_as(OptimizerTraits).fused else {}
    assert (entry.parameter("fused") is not None) == bool(fused)
    optimizer = build(entry, {**minimal(entry), **fused}, params=[parameter])
    if entry.traits_as(OptimizerTraits).closure:
        optimizer.step(lambda: parameter.sum())
    else:
        optimizer.step()
    assert not torch.equal(parameter.detach(), torch.ones(2, 2))


@of_kind("scheduler")
def test_a_scheduler_is_built_and_steps(entry: Entry) -> None:
    """On an optimizer with momentum; with a metric where the traits say so."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1, momentum=0.9)
    scheduler = build(entry, minimal(entry), optimizer=optimizer)
    optimizer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # SequentialLR warns of its own call
        scheduler.step(1.0) if entry.traits_as(SchedulerTraits).steps_on == "metric" else scheduler.step()


LIMITS = {"positive": {"gt": 0}, "nonnegative": {"ge": 0}, "unit_interval": {"ge": 0, "le": 1}, "simplex": {"ge": 0}}


@of_kind("distribution")
def test_a_distribution_samples_and_has_torchs_own_limits(entry: Entry) -> None:
    """Minimal options give numbers; the bounds are those of torch's `arg_constraints`."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Singular sample")  # Wishart says so of every sample that is not
        sample = build(entry, minimal(entry)).sample()
    assert isinstance(sample, torch.Tensor)
    assert torch.isfinite(sample).all()
    names = {getattr(torch.distributions.constraints, name): name for name in LIMITS}
    constraints: Any = REGISTRY.load(entry).arg_constraints  # type: ignore[attr-defined]  # a distribution class
    for name, constraint in constraints.items() if isinstance(constraints, dict) else ():
        parameter = entry.parameter(name)
        if parameter and constraint in names and (entry.name, name) != ("Geometric", "probs"):
            assert parameter.bounds == LIMITS[names[constraint]], name
