"""The smallest spec that uses a component, for each kind, and the files of rows that some of them read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from annpipe.registry.discovery import load
from annpipe.registry.entry import Entry
from annpipe.registry.examples import Examples
from annpipe.registry.kinds import KINDS
from annpipe.registry.registry import Registry
from annpipe.registry.traits import LayerTraits, LossTraits, MetricTraits, TransformTraits
from annpipe.testing.components.special_needs import (
    BASE,
    CSV,
    DISTRIBUTIONS,
    IMAGES,
    LAYERS,
    LOSSES,
    MODELS,
    OF_CLASSES,
    SHAPE_OF,
    SHAPES,
    SPECS,
    TOKENS,
)

GUESSES = (None, [4, 16], [4, 4, 4], [1, 4, 4, 4], [8, 8])
"""The shapes of 64 numbers that a layer may take of which nothing is known, the likeliest first."""

MLP = ({"Linear": 4}, "Tanh")
N_OUTPUTS = (1, 2, 3, 4, 6, 8)
"""The numbers that a row of the targets may have, the likeliest first."""


def smallest_specs(entry: Entry, registry: Registry) -> Iterator[dict[str, Any]]:
    """The sections of short specs that use the component: the first that can be planned is the one to take.

    More than one comes only for a layer, which may take rows of any shape, and for data, which may have any targets.
    """
    component: Any = load(entry)
    chosen: Mapping[str, Any] = getattr(component, "checked_in", {})
    if chosen:
        yield {**smallest_spec(entry, registry), **chosen}
    elif entry.kind == "data" and not _is_built_in(entry):
        spelt = _spelt(entry, registry)
        yield from ({**BASE, "data": spelt, "model": ["Flatten", *MLP, {"Linear": n}]} for n in N_OUTPUTS)
        yield {**BASE, "data": spelt, "model": ["Flatten", {"Linear": 16}], "loss": "CrossEntropyLoss"}
    elif entry.kind == "layer" and not _is_known(entry):
        spelt = _spelt(entry, registry)
        yield from ({**BASE, "model": _around(spelt, shape)} for shape in GUESSES)
        yield {**BASE, **TOKENS, "model": [spelt, "Flatten", {"Linear": 1}]}
    else:
        yield smallest_spec(entry, registry)


def smallest_spec(entry: Entry, registry: Registry) -> dict[str, Any]:
    """The sections of a spec of at most twelve lines that uses the component."""
    kind, name = entry.kind, entry.name
    chosen: dict[str, Any] = dict(SPECS.get((kind, name), {})) if _is_built_in(entry) else {}
    spelt = _spelt(entry, registry)
    if kind == "layer" and "model" not in chosen:
        chosen["model"] = _model(entry, spelt, chosen)
    elif kind == "loss":
        chosen = {**(OF_CLASSES if _of_classes(entry) else {}), **chosen, "loss": spelt}
    elif KINDS[kind].section == kind and kind not in chosen:
        chosen[kind] = spelt
    elif kind in ("metric", "plot", "callback"):
        if entry.traits_as(MetricTraits).classes and not chosen:
            chosen |= OF_CLASSES
        chosen[f"{kind}s"] = [spelt]
        chosen.setdefault("data", {**BASE["data"], "split": {"val": 0.25}})
    elif kind == "initializer" and "model" not in chosen:
        chosen["model"] = {"layers": [{"Linear": 4}, {"Linear": 1}], "init": {"weight": spelt}}
    elif kind == "transform" and "transforms" not in chosen.get("data", {}):
        chosen |= _transformed(entry, spelt, chosen)
    elif kind == "distribution" and "data" not in chosen:
        chosen["data"] = {"formula": {"rows": 24, "inputs": {"x": spelt}, "targets": {"y": "0.1*x"}}}
    return {**BASE, **chosen}


def write_rows(folder: Path) -> None:
    """Writes the files of rows that some specs name: tokens, images, tables with words and dates, JSON lines."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    generator = np.random.default_rng(0)
    y = generator.normal(size=16)
    np.savez(folder / "tokens.npz", x=generator.integers(0, 10, (16, 3)), y=y)
    np.savez(folder / "images.npz", x=generator.normal(size=(16, 1, 6, 6)), y=y)
    objects = [f'{{"x": {x}, "y": {x}}}' for x in y.tolist()]
    (folder / "rows.jsonl").write_text("\n".join([*objects, ""]), encoding="utf-8", newline="\n")
    days = [f"{day},{x}" for day, x in zip(range(10, 26), y.tolist(), strict=True)]
    dates = "\n".join(["x,y", *(f"2020-01-{day}" for day in days), ""])
    (folder / "dates.csv").write_text(dates, encoding="utf-8", newline="\n")
    words = [("a", "b", "c")[n % 3] for n in range(16)]
    lines = [f"{x},{word},{x}" for x, word in zip(y.tolist(), words, strict=True)]
    (folder / "rows.csv").write_text("\n".join(["x,word,y", *lines]) + "\n", encoding="utf-8", newline="\n")
    pq.write_table(pa.table({"x": y, "y": y}), folder / "rows.parquet")


def _is_built_in(entry: Entry) -> bool:
    return entry.origin.distribution in ("annpipe", "torch")


def _is_known(entry: Entry) -> bool:
    return _is_built_in(entry) or bool(entry.traits_as(LayerTraits).needs)


def _spelt(entry: Entry, registry: Registry) -> Any:
    """The component in its shortest spelling, or as it needs to be."""
    special = {"loss": LOSSES, "distribution": DISTRIBUTIONS, "layer": LAYERS}.get(entry.kind, {})
    if _is_built_in(entry) and entry.name in special:
        value = special[entry.name]
        return {entry.name: value} if entry.kind == "distribution" else value
    return next(Examples(registry).spellings(entry))


def _model(entry: Entry, spelt: Any, chosen: Mapping[str, Any]) -> list[Any]:
    if _is_built_in(entry) and entry.name in MODELS:
        return MODELS[entry.name]
    if "data" in chosen:
        return [spelt, "Flatten", {"Linear": 1}]
    needs = entry.traits_as(LayerTraits).needs or ""
    return _around(spelt, SHAPE_OF.get(entry.name) or SHAPES.get(needs))


def _around(spelt: Any, shape: list[int] | None) -> list[Any]:
    """Layers before that make a shape of 64 numbers, and behind it down to one number."""
    return [{"Linear": 64}, *([{"Unflatten": [1, shape]}] if shape else []), spelt, "Flatten", {"Linear": 1}]


def _of_classes(entry: Entry) -> bool:
    return entry.traits_as(LossTraits).target == "classes"


def _transformed(entry: Entry, spelt: Any, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The data with the transform, of the type of columns that it takes."""
    takes = entry.traits_as(TransformTraits).takes
    if takes == "image":
        images = {**IMAGES["data"], "transforms": {"x": spelt}}
        return {"data": images, "model": ["Flatten", {"Linear": 1}]}
    if takes == "category":
        return {"data": {**CSV, "transforms": {"word": spelt}}}
    if takes == "date":
        dates = {"csv": {"files": "dates.csv", "target": "y", "types": {"x": "date"}}}
        return {"data": {**dates, "transforms": {"x": spelt}}}
    return {"data": {**chosen.get("data", BASE["data"]), "transforms": {"x": spelt}}}
