"""How does a drawn spec become a plan? Written as YAML, and mended line by line until every component takes it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from annpipe.draft.draft import draft
from annpipe.errors import SpecError
from annpipe.plan.plan import Plan
from annpipe.plan.resolve.resolve import resolve
from annpipe.registry.registry import Registry
from annpipe.spec import load_spec
from tests.properties.generating import LISTS, Spec, are_classes


def as_text(spec: Spec) -> str:
    """The spec in YAML, each section on a line and each component of a list on one of its own."""
    lines = []
    for name, value in spec.items():
        if name in LISTS and value:
            lines += [f"{name}:", *(f"  - {in_one_line(item)}" for item in value)]
        else:
            lines.append(f"{name}: {in_one_line(value)}")
    return "\n".join(lines) + "\n"


def in_one_line(value: Any) -> str:
    """A value as YAML in one line, its texts in double quotes."""
    match value:
        case str():
            return _quoted(re.sub(r"\$\{[^{}]*\}", r"$\g<0>", value))  # `$${` writes `${`
        case float():
            return repr(value).replace("inf", ".inf")
        case list():
            return f"[{', '.join(map(in_one_line, value))}]"
        case dict():
            return "{" + ", ".join(f"{_quoted(key)}: {in_one_line(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


def _quoted(text: str) -> str:
    def escaped(found: re.Match[str]) -> str:
        number = ord(found[0])
        return f"\\U{number:08x}" if number > 0xFFFF else f"\\u{number:04x}"

    return '"' + re.sub(r"[^ !#-\[\]-~가-힣]", escaped, text) + '"'


def settled(spec: Spec, file: Path, registry: Registry) -> Plan:
    """The plan of a spec, what its components refuse left out or put back to a plain one."""
    for _ in range(12):
        file.write_text(as_text(spec), encoding="utf-8")
        try:
            return resolve(draft(load_spec(file), registry.copy()))
        except SpecError as error:
            assert error.problems[0].place
            spec = _plainer(spec, {problem.place.line for problem in error.problems if problem.place})
    raise AssertionError(as_text(spec))


def _plainer(spec: Spec, lines: set[int]) -> Spec:
    """The spec without the components at these lines; a last layer that does not fit costs those before it."""
    at = _sections_by_line(spec)
    changed: Spec = {}
    for section, position in sorted((at[line] for line in lines), reverse=True):
        before = spec["model"][:-1]
        if section == "model" and before:
            changed["model"] = spec["model"][-1:] if position == len(before) else _without(spec["model"], position)
        elif section in ("model", "loss"):
            changed["loss"] = "CrossEntropyLoss" if are_classes(_targets(spec)) else "L1Loss"
        elif section in LISTS:
            changed[section] = _without(changed.get(section, spec[section]), position)
        elif section == "data" and "split" in spec["data"]:
            changed["data"] = {key: value for key, value in spec["data"].items() if key != "split"}
        elif section == "data":
            changed["data"] = _with_plain_distributions(spec["data"])
        else:
            changed[section] = {"scheduler": None, "optimizer": "SGD"}[section]
    return spec | changed


def _with_plain_distributions(data: Spec) -> Spec:
    formula = data["formula"]
    drawn = {key: formula[key] for key in ("inputs", "noise") if key in formula}
    plain = {key: {name: {"Normal": [0, 1]} for name in columns} for key, columns in drawn.items()}
    return data | {"formula": formula | plain}


def _targets(spec: Spec) -> Mapping[str, Any]:
    targets: Mapping[str, Any] = next(iter(spec["data"].values()))["targets"]
    return targets


def _without(items: list[Any], position: int) -> list[Any]:
    return items[:position] + items[position + 1 :]


def _sections_by_line(spec: Spec) -> dict[int, tuple[str, int]]:
    at: list[tuple[str, int]] = []
    for name, value in spec.items():
        at.append((name, 0))
        if name in LISTS:
            at += [(name, position) for position in range(len(value or []))]
    return dict(enumerate(at, start=1))
