"""A trained model as plain PyTorch that needs no annpipe: `network.py`, `weights.safetensors`, `model.json`."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, TypeGuard

import torch
from safetensors.torch import save_file

from annpipe.contract import Dataset, Field
from annpipe.plan.ends import Output
from annpipe.plan.losses import takes_classes
from annpipe.plan.plan import Plan
from annpipe.train import columns_model
from annpipe.train.export_network import model_entries, network_source, plugin_modules
from annpipe.train.export_targets import described_loss, described_targets
from annpipe.train.parts import Parts

READING = (
    "delimiter",
    "decimal",
    "thousands",
    "units",
    "missing",
    "names",
)  # options by which data components say how they read tables


def export_model(plan: Plan, parts: Parts, folder: Path) -> None:
    """Writes the three files, and beside them a copy of each plugin file that a layer comes from."""
    folder.mkdir(exist_ok=True)
    (folder / "network.py").write_text(network_source(plan, parts.fitted), encoding="utf-8")
    for file, name in plugin_modules(plan).items():
        source = standalone(Path(file).read_text(encoding="utf-8"))
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    if parts.fitted:
        shutil.copy(columns_model.__file__, folder / "columns_model.py")
    state = saved_model(parts).state_dict()
    weights = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
    save_file(weights, folder / "weights.safetensors")
    of_loss = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in parts.loss.state_dict().items()}
    if of_loss:  # a loss may have weights, and parameters of its own
        save_file(of_loss, folder / "loss.safetensors")
    (folder / "model.json").write_text(json.dumps(_description(plan, parts), indent=2), encoding="utf-8")


def saved_model(parts: Parts) -> torch.nn.Module:
    """The trained network, between its transforms where it has some: raw rows in, predictions in the data's units."""
    if parts.fitted is None:
        return parts.model
    dtype = parts.rows["train"].dtype
    return columns_model.Model(parts.transformed.columns, parts.model, parts.transformed.targets, dtype).eval()


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
    bounds_only = _names_of(statements, "pydantic") == ["Field"]
    for node in reversed(statements):
        stand_ins = _stand_ins(node) or (_FIELD if bounds_only and _is_from(node, "pydantic") else [])
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
_TYPES = (
    "Blocks",
    "Dataset",
    "Field",
    "Fields",
    "Look",
    "Loss",
    "MetricKey",
    "Outline",
    "RunView",
    "Expression",
    "Stack",
    "Taps",
)
_MARKS = (
    *("average", "callback", "data", "distribution", "initializer", "layer", "loss", "metric", "optimizer", "plot"),
    *("scheduler", "transform"),
)


_FIELD = ["def Field(*_, **__): return None  # bounds and words of options, which the model does not need"]


def _is_from(node: ast.AST, package: str) -> TypeGuard[ast.ImportFrom]:
    return isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == package


def _names_of(statements: Sequence[ast.stmt], package: str) -> list[str]:
    """All that a file takes from a package, wherever it does; the package's own name where it imports that."""
    nodes = [node for statement in statements for node in ast.walk(statement)]
    whole = [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names if a.name.partition(".")[0] == package]
    return whole + [alias.asname or alias.name for node in nodes if _is_from(node, package) for alias in node.names]


def _stand_ins(node: ast.stmt) -> list[str]:
    if _is_from(node, "annpipe"):
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
        "targets": described_targets(plan, train),
        "loss": described_loss(plan, parts),
        "reading": {name: plan.data.options[name] for name in READING if name in plan.data.options},
        "precision": plan.device.precision,
        "transforms": bool(plan.transforms),
        "requirements": _requirements(plan),
        "inputs_example": _example(plan, train),
    }


def _input(name: str, field: Field, categories: Sequence[str]) -> dict[str, Any]:
    """A raw column: one of categories (type `string`) or of booleans (`any`) is given by its words, which `categories`
    has in their order."""
    if not categories:
        return _variable(name, field)
    type_ = "any" if field.type == "boolean" else "string"
    return {"name": name, "type": type_, "shape": [], "categories": list(categories)}


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
    if plan.outputs:
        spans = plan.loss.options["spans"]
        return [one for head in plan.outputs for one in _outputs_of(head, spans[head.name], plan)]
    shape = plan.model[-1].output_shape
    if takes_classes(plan.loss, plan.registry) and len(shape) == 1:
        name = next(iter(plan.fields.targets))
        return [{"name": f"{name}_{number}", "type": "double", "shape": []} for number in range(shape[0])]
    return [_variable(name, Field(field.shape)) for name, field in plan.fields.targets.items()]


def _outputs_of(head: Output, span: Sequence[int], plan: Plan) -> list[dict[str, Any]]:
    if not takes_classes(head.loss, plan.registry):
        return [_variable(head.name, Field())]
    return [{"name": f"{head.name}_{number}", "type": "double", "shape": []} for number in range(span[1] - span[0])]


def _requirements(plan: Plan) -> list[str]:
    names = {"torch", "safetensors", "numpy", "pandas"}
    plugins = {entry.origin.distribution for entry in model_entries(plan)} - {"", "annpipe"}
    return [f"{name}=={_version(name)}" for name in sorted(names | plugins)]


@cache
def _version(distribution: str) -> str:
    """The version that is installed; reading it takes milliseconds, and a sweep asks for it with each trial."""
    return metadata.version(distribution).partition("+")[0]
