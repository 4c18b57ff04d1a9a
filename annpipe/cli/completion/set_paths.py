"""Completions of the path after `--set`: sections, what the spec has below them, and options of its components."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from annpipe.cli.completion.components import known_components
from annpipe.registry.kinds import KINDS

# As in the models of the sections, whose import would take too long. A test compares the two.
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "device": ("type", "threads", "precision", "autocast", "compile", "deterministic"),
    "train": (
        *(
            "epochs",
            "steps",
            "max_seconds",
            "batch_size",
            "shuffle",
            "drop_last",
            "accumulate",
            "clip_norm",
            "clip_value",
            "non_finite",
            "scheduler_each",
        ),
        *("evaluate_every", "checkpoint_seconds"),
    ),
    "sweep": ("over", "method", "trials", "batch", "metric", "goal", "prune", "on_failure", "retries"),
    "tracking": ("experiment", "uri", "wait_seconds", "system", "report"),
    "data.split": (
        "val",
        "test",
        "stratify",
        "groups",
        "order",
        "by",
        "val_rows",
        "test_rows",
        "folds",
        "fold",
        "seed",
    ),
}
PLAIN = ("train", "device", "sweep", "tracking")
VALUES = ("version", "name", "description", "seed")
SECTION_KINDS = {
    **{kind.section: kind.name for kind in KINDS.values() if kind.section},
    "blocks": "layer",
    "model": "layer",
}
LEFT_OUT: Mapping[str, tuple[str, ...]] = {
    "data": ("split.", "transforms."),
    "optimizer": ("groups+=",),
    "model": ("init.", "inputs.", "outputs.", "freeze=", "from="),
    "sweep": ("over.",),
}
"""What a path may make below a section that the spec has without it."""
LISTS = ("model", "blocks", "metrics", "plots", "callbacks")
LARGEST = 1 << 15  # bytes: a spec of a few thousand lines would keep the prompt waiting
LONGEST_CHAIN = 8


def paths(typed: str, spec: Path | None) -> list[str]:
    """The paths that go on from what is typed: `train.` while more follows, `train.epochs=` where a value does."""
    if "=" in typed:
        return []
    *steps, _ = typed.split(".")
    root = read(spec) if spec else {}
    above = "".join(f"{step}." for step in steps)
    return [above + step for step in _below(steps, root, spec) if (above + step).startswith(typed)]


def read(spec: Path, chain: int = 0) -> dict[str, Any]:
    """A spec as plain text values, merged over what it extends; empty where it cannot be read."""
    import yaml

    if chain > LONGEST_CHAIN or not spec.is_file() or spec.stat().st_size > LARGEST:
        return {}
    with suppress(yaml.YAMLError, UnicodeDecodeError, RecursionError, OSError):
        # PyYAML's reader in Python: the one in C crashes at deep nesting. It reads every value as a string.
        values = yaml.load(spec.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)
        if isinstance(values, dict):
            base = values.pop("extends", None)
            return _merged(read(spec.parent / base, chain + 1), values) if isinstance(base, str) and base else values
    return {}


def _merged(base: Any, over: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return {**base, **{key: _merged(base.get(key), value) for key, value in over.items()}}


def _below(steps: Sequence[str], root: dict[str, Any], spec: Path | None) -> list[str]:
    """The next steps after `steps`, each with what follows it."""
    if not steps:
        return [f"{name}=" for name in VALUES] + [f"{name}." for name in (*SECTION_KINDS, *PLAIN)]
    node = _descend(root, steps)
    named = SECTIONS.get(".".join(steps), ())
    more = list(LEFT_OUT.get(".".join(steps), ()))
    kind = SECTION_KINDS.get(steps[0])
    if kind and root and node is None and len(steps) == 1 and steps[0] not in LISTS:
        more += [f"{component.name}." for component in known_components(_plugins(root, spec)) if component.kind == kind]
    names = [step for step in steps[1:] if not step.isdecimal()]
    in_a_stack = kind == "layer" and len(steps) > 1 and steps[-2].isdecimal()
    if kind and not named and names and names[-1] == steps[-1] and (len(names) == 1 or in_a_stack):
        named = _options(kind, names[-1], _plugins(root, spec))
    is_component = kind and (not names or (kind == "layer" and steps[-1].isdecimal()))
    children = list(_components(node) if is_component else _keys(node))
    options = [f"{name}=" for name in named if f"{name}." not in (*children, *more)]
    return list(dict.fromkeys([*children, *options, *more]))


def _options(kind: str, name: str, plugins: Sequence[Path]) -> tuple[str, ...]:
    known = known_components(plugins)
    return next((component.options for component in known if (component.kind, component.name) == (kind, name)), ())


def _descend(node: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        if isinstance(node, list) and step.isdecimal() and int(step) < len(node):
            node = node[int(step)]
        elif isinstance(node, dict):
            node = node.get(step)
        else:
            return None
    return node


def _components(node: Any) -> Iterator[str]:
    """Where components stand: the positions of a list, or the name, however its options are written."""
    if isinstance(node, list):
        yield from (f"{position}." for position in range(len(node)))
    elif isinstance(node, dict):
        yield from (f"{name}." for name in node)
    elif isinstance(node, str) and node.isidentifier():
        yield f"{node}."


def _keys(node: Any) -> Iterator[str]:
    """What a mapping or a list inside a component holds."""
    if isinstance(node, list):
        node = {str(position): item for position, item in enumerate(node)}
    if isinstance(node, dict):
        yield from (f"{key}{'.' if isinstance(value, dict | list) else '='}" for key, value in node.items())


def _plugins(root: Mapping[str, Any], spec: Path | None) -> list[Path]:
    listed = root.get("plugins")
    files = [file for file in listed if isinstance(file, str)] if isinstance(listed, list) else []
    return [spec.parent / file for file in files] if spec else []
