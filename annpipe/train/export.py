"""A trained model as plain PyTorch that needs no annpipe: `network.py`, `weights.safetensors`, `model.json`."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from annpipe.contract import Dataset, Field
from annpipe.plan.build import fitted
from annpipe.plan.component import Component
from annpipe.plan.losses import takes_classes
from annpipe.plan.plan import Plan
from annpipe.registry import Entry
from annpipe.train import columns_model
from annpipe.train.columns import Fitted
from annpipe.train.export_columns import IMPORT, model_lines
from annpipe.train.parts import Parts

_HEAD = '''"""The network of the run "{name}" in plain PyTorch; `weights.safetensors` holds its state dict."""

{imports}

'''
_FIRST_OUTPUTS = '''class FirstOutputs(torch.nn.Sequential):
    """A stack in which the first tensor of a tuple flows on."""

    def forward(self, input):
        for module in self:
            output = module(input)
            input = output[0] if isinstance(output, (tuple, list)) else output
        return input


'''


def export_model(plan: Plan, parts: Parts, folder: Path) -> None:
    """Writes the three files, and beside them a copy of each plugin file that a layer comes from."""
    folder.mkdir(exist_ok=True)
    (folder / "network.py").write_text(network_source(plan, parts.fitted), encoding="utf-8")
    for file, name in _plugin_modules(plan).items():
        source = standalone(Path(file).read_text(encoding="utf-8"))
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    if parts.fitted:
        shutil.copy(columns_model.__file__, folder / "columns_model.py")
    state = saved_model(parts).state_dict()
    weights = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
    save_file(weights, folder / "weights.safetensors")
    (folder / "model.json").write_text(json.dumps(_description(plan, parts), indent=2), encoding="utf-8")


def saved_model(parts: Parts) -> torch.nn.Module:
    """The trained network, between its transforms where it has some: raw rows in, predictions in the data's units."""
    if parts.fitted is None:
        return parts.model
    dtype = parts.rows["train"].x.dtype
    return columns_model.Model(parts.transformed.columns, parts.model, parts.transformed.targets, dtype).eval()


def network_source(plan: Plan, transforms: Fitted | None = None) -> str:
    """A Python file whose `build()` makes the plan's network."""
    imports = {"import torch"}
    lines = [
        f"        {_call(layer.component, plan, imports)},  # {_arrow(layer.input_shape, layer.output_shape)}"
        for layer in plan.model
    ]
    takes_first = any(layer.takes_first for layer in plan.model)
    stack = "FirstOutputs" if takes_first else "torch.nn.Sequential"
    end = "    ).double()" if plan.device.precision == "float64" else "    )"
    ends = [end]
    if transforms:
        ends = [end, *model_lines(transforms, lambda step: _call(step, plan, imports), plan.device.precision)]
        imports.add(IMPORT)
    begin = "network =" if transforms else "return"
    body = "\n".join(["def build():", '    """The untrained network."""', f"    {begin} {stack}(", *lines, *ends, ""])
    head = _HEAD.format(name=plan.head.name.replace('"', "'").replace("\\", "/"), imports="\n".join(sorted(imports)))
    return head + (_FIRST_OUTPUTS if takes_first else "\n") + body


def _arrow(before: tuple[int, ...], after: tuple[int, ...]) -> str:
    return " -> ".join(f"(rows, {', '.join(map(str, shape))})" if shape else "(rows,)" for shape in (before, after))


def _call(component: Component, plan: Plan, imports: set[str]) -> str:
    """The component as a Python expression; only what differs from its defaults is written."""
    entry = plan.registry.find(component.kind, component.name)
    assert entry
    where, _, attribute = entry.target.rpartition(":")
    where = _plugin_modules(plan).get(_own_file(entry), where)
    imports.add(f"import {where}")
    arguments = []
    for parameter in entry.parameters:
        value = component.options.get(parameter.name, parameter.default)
        native = entry.traits.get("native_defaults")
        default = native.get(parameter.name, parameter.default) if isinstance(native, Mapping) else parameter.default
        if parameter.required or value != default:
            arguments.append(f"{parameter.name}={_literal(fitted(parameter.option_type, value), plan, imports)}")
    return f"{where}.{attribute}({', '.join(arguments)})"


def _literal(value: Any, plan: Plan, imports: set[str]) -> str:
    if isinstance(value, Component):
        return _call(value, plan, imports)
    if isinstance(value, torch.Tensor):
        return f"torch.tensor({value.tolist()!r})"
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return f'float("{value}")'
    if isinstance(value, list | tuple):
        inner = ", ".join(_literal(item, plan, imports) for item in value)
        return f"[{inner}]" if isinstance(value, list) else f"({inner},)"
    return repr(value)


def _layers(component: Component, plan: Plan) -> Iterator[Entry]:
    entry = plan.registry.find(component.kind, component.name)
    assert entry
    yield entry
    for value in component.options.values():
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, Component):
                yield from _layers(inner, plan)


def _entries(plan: Plan) -> list[Entry]:
    steps = [step for part in plan.transforms for step in part.steps]
    components = [*steps, *(layer.component for layer in plan.model)]
    return [entry for component in components for entry in _layers(component, plan)]


def _plugin_modules(plan: Plan) -> dict[str, str]:
    """Each plugin file that the model needs, with the name under which it travels: two files may share a stem."""
    files = dict.fromkeys(map(_own_file, _entries(plan)))
    names: dict[str, str] = {}
    for file in files:
        name = re.sub(r"\W", "_", f"plugin_{Path(file).stem}", flags=re.ASCII)
        names[file] = f"{name}_{len(names) + 1}" if name in names.values() else name
    return {file: name for file, name in names.items() if file.endswith(".py")}


def _own_file(entry: Entry) -> str:
    """The file that must travel with the model: a plugin file, or one of the built-in library; "" where none must."""
    if entry.origin.distribution == "annpipe":
        return entry.file
    return entry.target.rpartition(":")[0] if entry.origin.file else ""


def standalone(source: str) -> str:
    """A plugin file's source with its imports from annpipe replaced by stand-ins: marks that mark nothing.

    >>> print(standalone("from annpipe import layer\\n@layer\\nclass A: ..."))
    from types import SimpleNamespace as _Names  # stands in for annpipe, which the model does not need
    def layer(component=None, /, **_): return component if component is not None else (lambda marked: marked)
    @layer
    class A: ...
    """
    lines = source.split("\n")
    statements = ast.parse(source).body
    bounds_only = all(_takes_field(node) for node in statements if _is_from(node, "pydantic"))
    for node in reversed(statements):
        stand_ins = _FIELD if bounds_only and _is_from(node, "pydantic") else _stand_ins(node)
        if stand_ins:
            before, after = _beside(node, lines)
            lines[node.lineno - 1 : node.end_lineno] = [*before, _NAMES, *stand_ins, *after]
    return "\n".join(lines)


def _beside(node: ast.stmt, lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """The statements that share the first and the last line of `node`; its offsets count bytes."""
    assert node.end_lineno is not None
    before = lines[node.lineno - 1].encode()[: node.col_offset].decode().rstrip("; ")
    after = lines[node.end_lineno - 1].encode()[node.end_col_offset :].decode().lstrip("; ")
    return [before] if before else [], [after] if after and not after.startswith("#") else []


_NAMES = "from types import SimpleNamespace as _Names  # stands in for annpipe, which the model does not need"
_MARK = "(component=None, /, **_): return component if component is not None else (lambda marked: marked)"
_TYPES = ("Dataset", "Field", "Fields", "Look", "Loss", "MetricKey", "RunView", "Expression")
_MARKS = (
    *("average", "callback", "data", "distribution", "layer", "loss", "metric", "optimizer", "plot", "scheduler"),
    "transform",
)

_FIELD = ["def Field(*_, **__): return None  # bounds and words of options, which the model does not need"]


def _is_from(node: ast.stmt, package: str) -> bool:
    return isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == package


def _takes_field(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and [(a.name, a.asname) for a in node.names] == [("Field", None)]


def _stand_ins(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "annpipe":
        return [_stand_in(alias.name, alias.asname or alias.name) for alias in node.names]
    if isinstance(node, ast.Import) and any(alias.name == "annpipe" for alias in node.names):
        own = next(alias.asname or alias.name for alias in node.names if alias.name == "annpipe")
        others = [f"import {ast.unparse(alias)}" for alias in node.names if alias.name != "annpipe"]
        marks = ", ".join(f"{mark}=_mark" for mark in _MARKS)
        names = ", ".join(f"{name}=object" for name in _TYPES)
        return [*others, f"def _mark{_MARK}", f"{own} = _Names({marks}, {names}, OptionError=Exception)"]
    return []


def _stand_in(name: str, own: str) -> str:
    if name in _MARKS:
        return f"def {own}{_MARK}"
    return f"{own} = Exception" if name.endswith("Error") else f"{own} = object"


def _description(plan: Plan, parts: Parts) -> dict[str, Any]:
    train = parts.splits.train
    return {
        "inputs": [_input(name, field, train.categories.get(name, ())) for name, field in plan.fields.inputs.items()],
        "outputs": outputs(plan),
        "precision": plan.device.precision,
        "transforms": bool(plan.transforms),
        "requirements": _requirements(plan),
        "inputs_example": _example(plan, train),
    }


def _input(name: str, field: Field, categories: Sequence[str]) -> dict[str, Any]:
    """A raw column: one of categories or of booleans is given by its words, which `categories` has in their order."""
    if not categories:
        return _variable(name, field)
    return {"name": name, "type": "string", "shape": [], "categories": list(categories)}


def _example(plan: Plan, train: Dataset) -> dict[str, list[Any]]:
    """Three rows, those without a missing value first."""
    lost = torch.zeros(train.rows, dtype=torch.bool)
    for tensor in train.inputs.values():
        lost |= tensor.reshape(train.rows, -1).isnan().any(1)
    rows = torch.argsort(lost.int(), stable=True)[:3]
    example = {}
    for name, tensor in train.inputs.items():
        words = train.categories.get(name, ())
        values = tensor[rows].tolist()
        example[name] = [words[int(value)] if value == value else None for value in values] if words else values
    return example


def _variable(name: str, field: Field) -> dict[str, Any]:
    return {"name": name, "type": "double" if field.dtype == "float" else "long", "shape": list(field.shape)}


def outputs(plan: Plan) -> list[dict[str, Any]]:
    """What the model gives: the targets by name, or a score for each class, `label_0`, `label_1`, …"""
    shape = plan.model[-1].output_shape
    if takes_classes(plan.loss, plan.registry) and len(shape) == 1:
        name = next(iter(plan.fields.targets))
        return [{"name": f"{name}_{number}", "type": "double", "shape": []} for number in range(shape[0])]
    return [_variable(name, Field(field.shape)) for name, field in plan.fields.targets.items()]


def _requirements(plan: Plan) -> list[str]:
    names = {"torch", "safetensors", "numpy", "pandas"}
    plugins = {entry.origin.distribution for entry in _entries(plan)} - {"", "annpipe"}
    return [f"{name}=={metadata.version(name).partition('+')[0]}" for name in sorted(names | plugins)]
