"""Is a spec right by its types alone? The language's rules once more, apart from the engine, as plain predicates.

A changed spec that is wrong by these rules must be refused; one that is right by them is *free* to be accepted:

- a name that the spec itself makes up (a column, a tag, the run's name and its description) may be any other;
- a value may be any other one that the option's type and bounds take too, an option any other that may be left out;
- a component may be any other of its kind, in any of the four spellings.

What only a component can know (that a formula's names are columns, that shapes fit) is no matter of types: for such
specs nothing is demanded but that annpipe either takes them or refuses them in its own words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from annpipe.registry.entry import Entry, Parameter
from annpipe.registry.registry import Registry
from annpipe.registry.types import Choice, Formula, ListOf, MappingOf, Named, OneOf, OptionType, TupleOf

Rule = Callable[[Any], bool]

LIMITS: dict[str, Callable[[float, float], bool]] = {
    "gt": lambda value, bound: value > bound,
    "ge": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "le": lambda value, bound: value <= bound,
}
DEVICE = re.compile(r"(auto|cpu|cuda(:\d+)?|mps)\Z")


def is_right(spec: Mapping[str, Any], registry: Registry) -> bool:
    """Whether every section, name and value of a spec, as plain data, fits its type."""
    if "blocks" in spec:
        blocks, rest = spec["blocks"], {name: value for name, value in spec.items() if name != "blocks"}
        return _fit_blocks(blocks, registry) and is_right(
            rest | {"model": _spelt_out(rest.get("model"), blocks)}, registry
        )
    required = [name for name in REQUIRED if name != "loss" or not _has_heads(spec)]
    if _has_heads(spec) and (spec.get("loss") is not None or spec.get("metrics")):
        return False
    spec = {name: value for name, value in spec.items() if name != "loss" or not _has_heads(spec)}
    return (
        set(spec) <= {*SECTIONS, *COMPONENTS}
        and all(spec.get(name) is not None for name in required)
        and all(_fits_section(SECTIONS[name], value) for name, value in spec.items() if name in SECTIONS)
        and all(_fits_components(name, spec[name], registry) for name in COMPONENTS if name in spec)
    )


# --- sections of plain values


def is_text(value: Any) -> bool:
    """A text, also an empty one."""
    return isinstance(value, str)


def is_word(value: Any) -> bool:
    """A text with something in it."""
    return isinstance(value, str) and value != ""


def is_bool(value: Any) -> bool:
    """true or false."""
    return isinstance(value, bool)


def whole(least: int, below: float = math.inf) -> Rule:
    """A whole number from `least`, less than `below`."""
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value < below


def number(least: float, below: float = math.inf, *, open_below: bool = False) -> Rule:
    """A number from `least` (without it where the interval is open) up to `below`."""
    return lambda value: _is_number(value) and (value > least if open_below else value >= least) and value <= below


def one_of(*values: Any) -> Rule:
    """One of these values, of the same type: `true` is no 1."""
    return lambda value: type(value) in map(type, values) and value in values


def either(*rules: Rule) -> Rule:
    """What any of the rules takes."""
    return lambda value: any(rule(value) for rule in rules)


def is_null(value: Any) -> bool:
    """Nothing."""
    return value is None


def mapping_of(rule: Rule) -> Rule:
    """A mapping whose values all keep the rule."""
    return lambda value: isinstance(value, dict) and all(map(rule, value.values()))


def list_of(rule: Rule) -> Rule:
    """A list whose items all keep the rule."""
    return lambda value: isinstance(value, list) and all(map(rule, value))


def is_device(value: Any) -> bool:
    """A device's word."""
    return isinstance(value, str) and DEVICE.match(value) is not None


def fraction(value: Any) -> bool:
    """A share that leaves something."""
    return _is_number(value) and 0 <= value < 1


REQUIRED = ("version", "name", "data", "model", "loss", "optimizer", "train")
COMPONENTS = {
    "data": "data",
    "model": "layer",
    "loss": "loss",
    "optimizer": "optimizer",
    "scheduler": "scheduler",
    "average": "average",
    "metrics": "metric",
    "plots": "plot",
    "callbacks": "callback",
}
BLOCK = re.compile(r"[a-z_][a-z0-9_]*\Z")
LISTS = ("model", "metrics", "plots", "callbacks")
SPLIT: dict[str, Rule] = {
    "val": fraction,
    "test": fraction,
    **{name: either(is_word, is_null) for name in ("stratify", "groups", "order", "by", "val_rows", "test_rows")},
    "folds": either(whole(2), is_null),
    "fold": whole(0),
    "seed": either(whole(0, 2**63), is_null),
}
SECTIONS: dict[str, Rule | dict[str, Rule]] = {
    "version": one_of(1),
    "name": is_word,
    "description": is_text,
    "tags": mapping_of(either(is_text, is_bool, lambda value: isinstance(value, int | float))),
    "plugins": list_of(is_text),
    "seed": whole(0, 2**63),
    "device": {
        "type": is_device,
        "threads": either(one_of("auto"), whole(1)),
        "precision": one_of("float32", "float64"),
        "compile": one_of("auto", "on", "off"),
        "deterministic": is_bool,
    },
    "train": {
        "epochs": either(whole(1), is_null),
        "steps": either(whole(1), is_null),
        "max_seconds": either(number(0, open_below=True), is_null),
        "batch_size": either(one_of("all"), whole(1)),
        "shuffle": is_bool,
        "drop_last": is_bool,
        "evaluate_every": whole(1),
        "checkpoint_seconds": number(0, open_below=True),
    },
    "tracking": {"experiment": either(is_word, is_null), "uri": either(is_word, is_null), "wait_seconds": number(0)},
}


def _fits_section(rule: Rule | dict[str, Rule], value: Any) -> bool:
    if not isinstance(rule, dict):
        return rule(value)
    if value is None:
        return rule is not SECTIONS["train"]  # a section without anything below it is one of defaults
    if rule is SECTIONS["device"] and is_device(value):
        return True
    if not isinstance(value, dict) or not set(value) <= set(rule):
        return False
    has_length = [value.get("epochs"), value.get("steps")].count(None) == 1 or rule is not SECTIONS["train"]
    return has_length and all(rule[k](v) for k, v in value.items())


# --- components


def _fits_components(section: str, value: Any, registry: Registry) -> bool:
    kind = COMPONENTS[section]
    if value is None:
        return section not in REQUIRED
    if section == "model" and isinstance(value, dict):
        return _fits_model(value, registry)
    if section in LISTS:
        return (
            isinstance(value, list)
            and (value != [] or section != "model")
            and all(fits_component(kind, item, registry) for item in value)
        )
    if section == "data" and isinstance(value, dict) and "transforms" in value:
        value, transforms = {k: v for k, v in value.items() if k != "transforms"}, value["transforms"]
        if not _fit_transforms(transforms, registry):
            return False
    if section == "data" and isinstance(value, dict) and "split" in value:
        value, split = {k: v for k, v in value.items() if k != "split"}, value["split"]
        if not _fits_section(SPLIT, split) or sum((split or {}).get(name, 0) for name in ("val", "test")) >= 1:
            return False
    if section == "optimizer" and isinstance(value, dict) and "groups" in value:
        value, groups = {k: v for k, v in value.items() if k != "groups"}, value["groups"]
        if not fits_component(kind, value, registry) or not _fit_groups(next(iter(value)), groups, registry):
            return False
    return fits_component(kind, value, registry)


def _fit_blocks(blocks: Any, registry: Registry) -> bool:
    """Lists of layers under names of their own; a block may stand in another one."""
    return blocks is None or (
        isinstance(blocks, dict)
        and all(BLOCK.match(name) and registry.find("layer", name) is None for name in blocks)
        and all(_fits_components("model", _spelt_out(layers, blocks), registry) for layers in blocks.values())
    )


def _spelt_out(layers: Any, blocks: Any) -> Any:
    """Layers with a layer of torch's in the place of each block."""
    match layers:
        case list():
            return [_spelt_out(layer, blocks) for layer in layers]
        case dict():
            return {name: _spelt_out(value, blocks) for name, value in layers.items()}
        case str():
            return "Identity" if layers in (blocks or {}) else layers
    return layers


LONG = ("from", "inputs", "layers", "outputs", "init", "freeze")
JOINS = ("concat", "add", "mul")


def _has_heads(spec: Mapping[str, Any]) -> bool:
    return isinstance(spec.get("model"), dict) and spec["model"].get("outputs") is not None


def _fits_model(model: dict[str, Any], registry: Registry) -> bool:
    """`{layers: […], init: …, freeze: […]}` with `inputs` and `outputs`, or one layer that is the whole model."""
    if not set(model) & set(LONG):
        return fits_component("layer", model, registry)
    init, frozen = model.get("init") or {}, model.get("freeze") or []
    inputs, outputs, layers = model.get("inputs"), model.get("outputs"), model.get("layers")
    has_ends = inputs is not None or outputs is not None
    return (
        set(model) <= {*LONG, "join"}
        and (has_ends if layers is None else isinstance(layers, list) and _fits_components("model", layers, registry))
        and (inputs is None or (_is_named(inputs) and all(_fits_stack(stack, registry) for stack in inputs.values())))
        and (outputs is None or (_is_named(outputs) and all(_fits_head(head, registry) for head in outputs.values())))
        and model.get("join") in (None, *JOINS)
        and isinstance(init, dict)
        and all(fits_component("initializer", value, registry) for value in init.values())
        and isinstance(frozen, list)
        and all(is_word(item) or _fits_thaw(item) for item in frozen)
        and (model.get("from") is None or _fits_from(model["from"]))
    )


def _fits_thaw(item: Any) -> bool:
    """`{layers: …, until: 5}`."""
    until = item.get("until") if isinstance(item, dict) else None
    is_number = isinstance(until, int) and not isinstance(until, bool) and until > 0
    return is_number and set(item) == {"layers", "until"} and _are_patterns(item["layers"])


def _fits_from(value: Any) -> bool:
    """A text, or a mapping with what is taken and what becomes of the rest."""
    if not isinstance(value, dict):
        return isinstance(value, str) and value != ""
    return (
        set(value) <= {"weights", "layers", "else", "digest"}
        and isinstance(value.get("weights"), str)
        and value["weights"] != ""
        and (value.get("layers") is None or _are_patterns(value["layers"]))
        and value.get("else") in (None, "init")
        and (value.get("digest") is None or isinstance(value["digest"], str))
    )


def _are_patterns(value: Any) -> bool:
    """A name, or a list of some."""
    return is_word(value) or (isinstance(value, list) and value != [] and all(map(is_word, value)))


def _is_named(parts: Any) -> bool:
    """A mapping of something."""
    return isinstance(parts, dict) and bool(parts) and all(isinstance(part, dict) for part in parts.values())


def _fits_stack(stack: dict[str, Any], registry: Registry) -> bool:
    """A stack of inputs: columns by their names, and layers, which it may lack."""
    columns, layers = stack.get("columns", "its own"), stack.get("layers") or []
    listed = isinstance(columns, list) and columns != [] and all(map(is_word, columns))
    return (
        set(stack) <= {"columns", "layers"}
        and (is_word(columns) or listed)
        and isinstance(layers, list)
        and all(fits_component("layer", layer, registry) for layer in layers)
    )


def _fits_head(head: dict[str, Any], registry: Registry) -> bool:
    """A head: layers and a loss, a weight and metrics where it says them."""
    return (
        set(head) <= {"layers", "loss", "weight", "metrics"}
        and isinstance(head.get("layers"), list)
        and _fits_components("model", head["layers"], registry)
        and head.get("loss") is not None
        and fits_component("loss", head["loss"], registry)
        and number(0)(head.get("weight", 1))
        and _fits_components("metrics", head.get("metrics"), registry)
    )


def _fit_transforms(transforms: Any, registry: Registry) -> bool:
    """Columns with one transform each, or a list of them."""
    if transforms is None:
        return True
    if not isinstance(transforms, dict):
        return False
    listed = [steps if isinstance(steps, list) else [steps] for steps in transforms.values()]
    return all(steps and all(fits_component("transform", step, registry) for step in steps) for steps in listed)


def _fit_groups(optimizer: str, groups: Any, registry: Registry) -> bool:
    """Mappings with `params` and at least one of the optimizer's own options."""
    entry = registry.find("optimizer", optimizer)
    assert entry
    known = {option.name: option for option in entry.options}
    return groups is None or (
        isinstance(groups, list)
        and all(
            isinstance(group, dict)
            and len(group) > 1
            and either(is_word, lambda value: value != [] and list_of(is_word)(value))(group.get("params"))
            and all(
                name in known and fits(known[name].option_type, known[name].bounds, value, registry)
                for name, value in group.items()
                if name != "params"
            )
            for group in groups
        )
    )


def fits_component(kind: str, value: Any, registry: Registry) -> bool:
    """A component in one of the four spellings."""
    if isinstance(value, str):
        value = {value: None}
    if not isinstance(value, dict) or len(value) != 1:
        return False
    ((name, options),) = value.items()
    entry = registry.find(kind, name)
    return entry is not None and _fits_options(entry, options, registry)


def _fits_options(entry: Entry, options: Any, registry: Registry) -> bool:
    if isinstance(options, dict):
        named = options.keys() <= {option.name for option in _writable(entry)}
        if not named and entry.options and len(options) == 1:  # the first option's own component
            return _fits_named(entry, {entry.options[0].name: options}, registry)
        return named and _fits_named(entry, options, registry)
    values = [] if options is None else options if isinstance(options, list) else [options]
    if isinstance(options, list) and entry.options and "stack" in entry.options[0].type:
        values = [options]  # the list is the first option itself
    names = [option.name for option in entry.options]
    return len(values) <= len(names) and _fits_named(entry, dict(zip(names, values, strict=False)), registry)


def _writable(entry: Entry) -> tuple[Parameter, ...]:
    """The options; of a layer also the sizes that the engine would fill in, written where they agree."""
    return entry.parameters if entry.kind == "layer" else entry.options


def _fits_named(entry: Entry, given: Mapping[str, Any], registry: Registry) -> bool:
    needed = {option.name for option in entry.options if option.required}
    known = {parameter.name: parameter for parameter in entry.parameters}
    return needed <= given.keys() and all(
        fits(known[name].option_type, known[name].bounds, value, registry) for name, value in given.items()
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def fits(type_: OptionType, bounds: Mapping[str, float], value: Any, registry: Registry) -> bool:
    """Whether an option of the type takes the value."""
    match type_:
        case OneOf(members=members):
            return any(fits(member, bounds, value, registry) for member in members)
        case Choice(values=values):
            return one_of(*values)(value)
        case ListOf(item=item):
            return isinstance(value, list) and all(fits(item, bounds, each, registry) for each in value)
        case TupleOf(items=items):
            return (
                isinstance(value, list)
                and len(value) == len(items)
                and all(fits(item, bounds, each, registry) for item, each in zip(items, value, strict=True))
            )
        case MappingOf(value=inner):
            return isinstance(value, dict) and all(fits(inner, bounds, each, registry) for each in value.values())
        case Formula():
            return SCALARS["expression"](value)
        case Named(name=name) if type_.is_component:
            return fits_component(name, value, registry)
        case Named(name="stack"):
            return isinstance(value, list) and value != [] and all(fits_component("layer", v, registry) for v in value)
        case Named(name=name):
            return SCALARS[name](value) and (not bounds or _within(value, bounds))


def _tensor(value: Any, depth: int = 3) -> bool:
    if not isinstance(value, list):
        return _is_number(value)
    return depth > 0 and all(_tensor(item, depth - 1) for item in value)


SCALARS: dict[str, Rule] = {
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": _is_number,
    "bool": is_bool,
    "str": is_text,
    "None": is_null,
    "any": lambda value: True,
    "tensor": _tensor,
    "path": is_text,
    "metric_key": is_text,
    "expression": lambda value: isinstance(value, str) or (_is_number(value) and math.isfinite(value)),
}


def _within(value: Any, bounds: Mapping[str, float]) -> bool:
    if isinstance(value, list):
        return all(_within(item, bounds) for item in value)
    return not _is_number(value) or all(LIMITS[key](value, bound) for key, bound in bounds.items())
