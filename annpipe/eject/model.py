"""The model of a script, how its parameters begin and which stay so, and its loss."""

from __future__ import annotations

import copy

import torch
from torch import nn

from annpipe.backend.initialize import assigned
from annpipe.backend.streams import stream_seed
from annpipe.draft.component import Component, transform
from annpipe.draft.parameter_groups import means
from annpipe.eject.data import seeding
from annpipe.eject.layout import Group, statement
from annpipe.eject.refused import NotEjected
from annpipe.eject.writer import Writer
from annpipe.plan.plan import Plan
from annpipe.portable.stack import Stack
from annpipe.portable.taps import TappedStack, Taps
from annpipe.train.losses import with_weights
from annpipe.train.parts import Parts


def model_lines(plan: Plan, parts: Parts, writer: Writer) -> list[str]:
    """The lines that make `model`, with its first weights drawn from the stream `init`."""
    layers = [layer.component for layer in plan.model]
    cls = writer.stack_class
    if plan.has_taps:
        writer.sources.of(Taps)
        cls = writer.sources.of(TappedStack)
    built = writer.stack(layers, cls)
    assert isinstance(built, Group)
    lines = seeding(writer, stream_seed(plan.head.seed, "init"))
    lines[0] += "  # the first weights are drawn from here"
    if plan.has_taps:
        lines.append("taps = Taps()")
    lines += statement("model = ", built)
    lines += _initialized(plan, parts, writer)
    lines += _frozen(plan, parts)
    if parts.fitted and parts.fitted.inside:
        lines.append(f"model = {cls}(columns.to({_dtype(plan)}), *model)")
    return lines


def _dtype(plan: Plan) -> str:
    return f"torch.{plan.device.precision}"


def script_names(parts: Parts) -> dict[str, str]:
    """What each parameter of the run's model is called in the script, where layers have positions and no names."""
    return {name: _script_name(parts.model, name) for name, _ in parts.model.named_parameters()}


def _script_name(model: nn.Module, name: str) -> str:
    module, words = model, list[str]()
    for word in name.split(".")[:-1]:
        children = list(module._modules)
        is_stack = type(module) in (nn.Sequential, Stack, TappedStack)
        words.append(str(children.index(word)) if is_stack else word)
        child = module._modules[word]
        assert child is not None  # the name leads through it
        module = child
    return ".".join([*words, name.rpartition(".")[2]])


def _initialized(plan: Plan, parts: Parts, writer: Writer) -> list[str]:
    """Each parameter that an initializer fills, in the order of the model's own, before transforms stand before it."""
    named = dict(parts.model.named_parameters())
    of_layers = [name for name in named if not (parts.fitted and parts.fitted.inside and name.startswith("columns."))]
    firsts = assigned(plan.init, of_layers)
    if not firsts:
        return []
    names = script_names(parts)
    shift = len(names) != len(of_layers)
    lines = ["with torch.no_grad():"]
    for name, component in firsts.items():
        generator = component.entry.parameter("generator")
        supplied = {"tensor": _parameter(names[name], shift=shift)}
        if generator is not None and generator.required:
            supplied["generator"] = "torch.default_generator"
        lines += statement("", writer.call(component, supplied=supplied), indent=1)
    return lines


def _parameter(name: str, *, shift: bool = False) -> str:
    """`model[3].layers[0].weight`; with `shift` before transforms are put at the front of the model."""
    words = name.split(".")
    if shift:
        words[0] = str(int(words[0]) - 1)
    return "model" + "".join(f"[{word}]" if word.isdecimal() else f".{word}" for word in words)


def parameter(name: str) -> str:
    """The expression for a parameter by its name in the script."""
    return _parameter(name)


def _frozen(plan: Plan, parts: Parts) -> list[str]:
    if not plan.freeze:
        return []
    inside = bool(parts.fitted and parts.fitted.inside)
    names = script_names(parts)
    frozen = [name for name in names if any(means(pattern, name) for pattern in plan.freeze)]
    frozen = [name for name in frozen if not (inside and name.startswith("columns."))]
    return [f"{_parameter(names[name], shift=inside)}.requires_grad_(False)" for name in frozen]


def loss_lines(plan: Plan, parts: Parts, writer: Writer) -> list[str]:
    """The line that makes `loss_function`; weights that the data gave are written as numbers."""
    loss = with_weights(plan, parts.rows["train"].y)
    return statement("loss_function = ", writer.call(_with_targets(loss, list(plan.fields.targets))))


def _with_targets(loss: Component, names: list[str]) -> Component:
    """The loss, and losses inside it, with the names of the targets where they ask for them."""

    def inside(inner: Component) -> Component:
        return _with_targets(inner, names)

    options = {name: transform(value, inside) for name, value in loss.options.items()}
    wanted = loss.entry.parameter("target_names")
    if wanted is not None and wanted.supplied:
        options["target_names"] = names
    return loss.with_options(**options)


def draws_while_training(parts: Parts) -> bool:
    """Whether a pass in training draws random numbers, as dropout does; tried on a few rows of a copy."""
    x, y = parts.rows["train"].x[:8], parts.rows["train"].y[:8]  # type: ignore[union-attr]  # rows on disk are refused
    model, loss = copy.deepcopy(parts.model).train(), copy.deepcopy(parts.loss).train()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        before = torch.get_rng_state()
        try:
            loss(model(x), y)
        except (ValueError, RuntimeError):  # some layers refuse few rows
            return True
        return not torch.equal(before, torch.get_rng_state())


def device_lines(plan: Plan) -> list[str]:
    """What the spec says of how the run computes, as far as it is not the ordinary."""
    if plan.device.type not in ("auto", "cpu"):
        raise NotEjected(
            f"`device: {plan.device.type}`",
            "the script computes on the CPU; say `--device cpu`",
            path=("device", "type"),
        )
    if plan.device.autocast == "float16":
        raise NotEjected(
            "`device.autocast: float16`",
            "the scaling of its gradients has no plain form here",
            path=("device", "autocast"),
        )
    lines = ["torch.use_deterministic_algorithms(True)"] if plan.device.deterministic else []
    if plan.device.precision == "float64":
        lines.append("torch.set_default_dtype(torch.float64)")
    return lines
