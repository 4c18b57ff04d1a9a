"""A plan's network as Python source: what `network.py` says, in plain PyTorch."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent
from typing import Any

import torch

from annpipe.backend.instantiate import fitted, module_names
from annpipe.datasets.steps.transforms import Fitted
from annpipe.draft.blocks import used_block
from annpipe.draft.component import Component, at_every_depth
from annpipe.export.columns_source import IMPORT, model_lines
from annpipe.plan.plan import Plan
from annpipe.portable import heads
from annpipe.portable.taps import TappedStack, Taps
from annpipe.registry.entry import Entry, Parameter
from annpipe.registry.traits import LayerTraits
from annpipe.registry.types import holds_stacks

_HEAD = '''"""The network of the run "{name}" in plain PyTorch; `weights.safetensors` holds its state dict."""

{imports}

'''
_FIRST_OUTPUTS = '''class FirstOutputs(torch.nn.Sequential):
    """A stack in which the first tensor of a tuple flows on, and attention is that of a sequence to itself."""

    def forward(self, input):
        for module in self:
            if isinstance(module, torch.nn.MultiheadAttention):
                output = module(input, input, input, need_weights=False)
            else:
                output = module(input)
            input = output[0] if isinstance(output, (tuple, list)) else output
        return input


'''
_TAPS = "taps"  # the name of the object that holds what is tapped


def network_source(plan: Plan, transforms: Fitted | None = None) -> str:
    """A Python file whose `build()` makes the plan's network."""
    writing = _Writing(plan)
    notes = [f"  # {_arrow(layer.input_shape, layer.output_shape)}" for layer in plan.model]
    model = writing.stack([layer.component for layer in plan.model], notes, TappedStack if plan.has_taps else None)
    double = ".double()" if plan.device.precision == "float64" else ""
    made = f"{indent(model, '    ').lstrip()}{double}"
    lines = [f"    return {made}"]
    if transforms:
        between = model_lines(transforms, writing.call, plan.device.precision)
        lines = [f"    network = {made}", *between]
        writing.imports.add(IMPORT)
    if plan.has_taps:
        writing.imports.add("import threading")
    blocks = [f"    {name} = {indent(stack, '    ').lstrip()}" for name, stack in writing.shared.items()]
    imports = "\n".join(sorted(writing.imports))
    head = _HEAD.format(name=plan.head.name.replace('"', "'").replace("\\", "/"), imports=imports)
    if plan.has_taps:
        blocks = [f"    {_TAPS} = {Taps.__name__}()", *blocks]
    body = "\n".join(["def build():", '    """The untrained network."""', *blocks, *lines, ""])
    return head + _classes(writing) + body


def _classes(writing: _Writing) -> str:
    """The classes that stacks are made of, where torch's own does not do."""
    first_outputs = _FIRST_OUTPUTS if writing.takes_first else ""
    if not writing.plan.has_taps:
        return first_outputs or "\n"
    base = "FirstOutputs" if writing.takes_first else "torch.nn.Sequential"
    tapped = inspect.getsource(TappedStack).replace("(Stack)", f"({base})")
    return f"{first_outputs}{inspect.getsource(Taps)}\n\n{tapped}\n\n"


def _arrow(before: tuple[int, ...], after: tuple[int, ...]) -> str:
    return " -> ".join(f"(rows, {', '.join(map(str, shape))})" if shape else "(rows,)" for shape in (before, after))


@dataclass
class _Writing:
    """Expressions for the components of a plan; `imports` and `shared`, blocks used at several places, come with them.

    `takes_first` tells whether some layer gives a tuple, of which the first flows on.
    """

    plan: Plan
    imports: set[str] = field(default_factory=lambda: {"import torch"})
    shared: dict[str, str] = field(default_factory=dict)

    @property
    def takes_first(self) -> bool:
        return any(layer.takes_first for layer in self.plan.layers)

    def stack(
        self, layers: Sequence[Component], notes: Sequence[str] = (), cls: type[torch.nn.Sequential] | None = None
    ) -> str:
        """The expression that makes a stack, a layer on a line, with its note; names only where there are blocks."""
        names = module_names(layers)
        calls = [self.call(layer) for layer in layers]
        if any(not name.isdecimal() for name in names):
            self.imports.add("from collections import OrderedDict")
            calls = [f'("{name}", {call})' for name, call in zip(names, calls, strict=True)]
        noted = zip(calls, notes or [""] * len(calls), strict=True)
        lines = "".join(f"{indent(call, '    ')},{note}\n" for call, note in noted)
        if any(not name.isdecimal() for name in names):
            lines = f"    OrderedDict([\n{indent(lines, '    ')}    ])\n"
        plain = "FirstOutputs" if self.takes_first else "torch.nn.Sequential"
        return f"{cls.__name__ if cls else plain}(\n{lines})"

    def call(self, component: Component) -> str:
        """The component as a Python expression; only what differs from its defaults is written."""
        entry, traits = component.entry, component.traits(LayerTraits)
        if traits.block:
            return self.stack(component.options["layers"])
        if block := used_block(component):
            name = f"shared_{block}"
            if name not in self.shared:
                made = self.stack(component.options["stack"])  # the blocks in it come first
                self.shared[name] = made
            return name
        where, _, attribute = entry.target.rpartition(":")
        where = plugin_modules(self.plan).get(_own_file(entry), where)
        self.imports.add(f"import {where}")
        arguments = []
        for parameter in entry.parameters:
            if parameter.supplied and parameter.name == "tap_values":
                arguments.append(f"{parameter.name}={_TAPS}")
                continue
            value = component.options.get(parameter.name, parameter.default)
            default = traits.native_defaults.get(parameter.name, parameter.default)
            if parameter.required or value != default:
                arguments.append(f"{parameter.name}={self._argument(parameter, value)}")
        return f"{where}.{attribute}({', '.join(arguments)})"

    def _argument(self, parameter: Parameter, value: Any) -> str:
        if not isinstance(value, list) or not holds_stacks(parameter.option_type):
            return self._literal(fitted(parameter.option_type, value))
        if any(isinstance(layers, list) for layers in value):
            return f"[{', '.join(self._argument(parameter, layers) for layers in value)}]"
        return self.stack(value)

    def _literal(self, value: Any) -> str:
        if isinstance(value, Component):
            return self.call(value)
        if isinstance(value, torch.Tensor):
            return f"torch.tensor({self._literal(value.tolist())})"
        if isinstance(value, float) and not math.isfinite(value):
            return f'float("{value}")'
        if isinstance(value, Path):
            self.imports.add("from pathlib import Path")
            return f"Path({str(value)!r})"
        if isinstance(value, dict):
            return f"{{{', '.join(f'{name!r}: {self._literal(item)}' for name, item in value.items())}}}"
        if isinstance(value, list | tuple):
            inner = ", ".join(map(self._literal, value))
            return f"[{inner}]" if isinstance(value, list) else f"({inner},)"
        return repr(value)


def model_entries(plan: Plan) -> list[Entry]:
    steps = [step for part in plan.transforms for step in part.steps]
    components = [*steps, *(layer.component for layer in plan.model)]
    return [component.entry for component in at_every_depth(components)]


HEADS = heads.__file__  # its copies beside saved models are called `plugin_ends.py`, which is a format


def plugin_modules(plan: Plan) -> dict[str, str]:
    """Each plugin file that the model needs, with the name under which it travels: two files may share a stem."""
    files = dict.fromkeys(map(_own_file, model_entries(plan)))
    names: dict[str, str] = {}
    for file in files:
        stem = "ends" if file == HEADS else Path(file).stem
        name = re.sub(r"\W", "_", f"plugin_{stem}", flags=re.ASCII)
        names[file] = f"{name}_{len(names) + 1}" if name in names.values() else name
    return {file: name for file, name in names.items() if file.endswith(".py")}


def _own_file(entry: Entry) -> str:
    """The file that must travel with the model: a plugin file, or one of the built-in library; "" where none must."""
    if entry.origin.distribution == "annpipe":
        return entry.file
    return entry.target.rpartition(":")[0] if entry.origin.file else ""
