"""Which specs are there? Strategies that draw whole specs from a registry: what every type of option allows.

Specs are plain data, right by their types: names, options and values of every size. What a component itself refuses
(a layer a shape, an optimizer a range) may be among them; `settling` mends that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from hypothesis import strategies as st

from annpipe.errors import SpecError
from annpipe.expression import Expression
from annpipe.registry.entry import Entry, Parameter
from annpipe.registry.registry import Registry
from annpipe.registry.traits import LayerTraits
from annpipe.registry.types import Choice, Formula, ListOf, MappingOf, Named, OneOf, OptionType, TupleOf
from annpipe.spec.sections.section_reader import fault_of_name

Spec = dict[str, Any]
LISTS = ("model", "metrics", "plots", "callbacks")

# --- plain values

ODD_WORDS = (
    *("no", "on", "yes", "null", "true", "~", "1e3", "1E5", "017", "0x1F", "0o17", "1:30", "1_000", ".5", ".inf"),
    *("1.", "2001-01-01", "=", "<<", "-", "- x", "?", "? x", ":", "x: y", "x:", "x #y", "#", "&a", "*a", "!x", "%x"),
    *("@x", "`x`", "[x]", "{x: y}", "x, y", "|", ">", "'", "''", '"', "it's", 'say "so"', "\\", "\\n", " x", "x "),
    *("\tx", "x\n", "\n", "x\ny", "x\n\n y", "\nx", "  x\n y\n", "이차 함수", "훈련: 예", "e\u0301", "\U0001f469"),
    *("\u00a0x", "\u0085", "\u2028", "\ufeffx", "\x00", "\x7f", "---", "...", "%YAML 1.2"),
    *("${x}", "$${x}", "$$${x}", "$x", "${", "a ${b} c", "word " * 60, "long" * 60, "x" * 200),
)
TEXTS = st.sampled_from(ODD_WORDS) | st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
KEYS = TEXTS.filter(lambda text: len(text) <= 120 and not re.fullmatch(r"\$\{[^{}]*\}", text))  # no variable is a key
WORDS = TEXTS.filter(bool)
PRINTABLE = WORDS.filter(lambda text: fault_of_name(text) is None)
NOTES = TEXTS.filter(lambda text: fault_of_name(text, lines=True) is None)  # of several lines
BIG = st.sampled_from([1, 2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1])
EDGES = (0.0, -0.0, 1e-300, 5e-324, 1e-5, 0.1, 1e16, 1e22, 1.7976931348623157e308, 123456789.123, math.inf, -math.inf)
TAGS = st.dictionaries(
    KEYS.filter(lambda key: key != "${x}" and fault_of_name(key) is None),  # a variable is no key
    NOTES | st.booleans() | st.integers(-(10**40), 10**40) | st.sampled_from(EDGES) | st.floats(allow_nan=False),
)


def numbers(bounds: Mapping[str, float]) -> st.SearchStrategy[float]:
    """Floats of all sizes within bounds, infinities where they allow them, and whole numbers."""
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    floats = st.floats(low, high, exclude_min="gt" in bounds, exclude_max="lt" in bounds, allow_nan=False)
    edges = [edge for edge in (*EDGES, 1, 0, 3) if _within(edge, bounds)]
    return st.sampled_from(edges) | floats if edges else floats


def _within(value: float, bounds: Mapping[str, float]) -> bool:
    return (
        bounds.get("ge", -math.inf) <= value <= bounds.get("le", math.inf)
        and ("gt" not in bounds or value > bounds["gt"])
        and ("lt" not in bounds or value < bounds["lt"])
    )


def small_integers(bounds: Mapping[str, float]) -> st.SearchStrategy[int]:
    """A few whole numbers from the least allowed: more layers of an LSTM than that take their time to build."""
    least = math.floor(bounds["gt"]) + 1 if "gt" in bounds else math.ceil(bounds.get("ge", -2))
    most = math.ceil(bounds["lt"]) - 1 if "lt" in bounds else math.floor(bounds.get("le", 4))
    return st.integers(least, max(least, min(most, least + 4)))


# --- options by their types


@cache
def text_type(text: str) -> OptionType:
    """The type that a text of the index means."""
    return Parameter("", text).option_type


def values(type_: OptionType, bounds: Mapping[str, float], registry: Registry) -> st.SearchStrategy[Any]:
    """Values that an option of the type takes, as plain data."""
    match type_:
        case OneOf(members=members):
            return st.one_of([values(member, bounds, registry) for member in members])
        case Choice(values=choices):
            return st.sampled_from(choices)
        case ListOf(item=item):
            return st.lists(values(item, bounds, registry), max_size=3)
        case TupleOf(items=items):
            return st.tuples(*(values(item, bounds, registry) for item in items)).map(list)
        case MappingOf(value=value):
            return st.dictionaries(KEYS, values(value, bounds, registry), max_size=2)
        case Formula(names=names):
            return formulas(names)
        case Named(name=name) if type_.is_component:
            return components(registry, name, simple_only=True)
        case Named(name="stack"):
            return st.lists(components(registry, "layer", names=fitting_layers(registry)), min_size=1, max_size=2)
        case Named(name=name):
            return _scalars(name, bounds)


def _scalars(name: str, bounds: Mapping[str, float]) -> st.SearchStrategy[Any]:
    number = numbers(bounds)
    known: dict[str, st.SearchStrategy[Any]] = {
        "int": small_integers(bounds),
        "float": number,
        "bool": st.booleans(),
        "None": st.none(),
        "str": WORDS,
        "path": WORDS,
        "metric_key": st.just("train/loss"),
        "tensor": number | st.lists(number, min_size=1, max_size=3),
        "expression": formulas(("epoch",)),
        "any": st.none() | st.booleans() | st.integers(0, 3) | WORDS,
    }
    return known[name]


def has_components(entry: Entry) -> bool:
    """Whether some option of the component is a component itself."""
    return any(re.search(r"\b(layer|stack|loss|distribution|scheduler)\b", option.type) for option in entry.options)


@st.composite
def components(
    draw: st.DrawFn, registry: Registry, kind: str, *, names: tuple[str, ...] = (), simple_only: bool = False
) -> Any:
    """A component of a kind with what it requires and up to three of its other options."""
    entries = [
        e for e in registry.entries(kind) if (e.name in names or not names) and not (simple_only and has_components(e))
    ]
    entry = draw(st.sampled_from(entries))
    optional = [option for option in entry.options if not option.required]
    chosen = (
        draw(st.lists(st.sampled_from(optional), max_size=3, unique_by=lambda option: option.name)) if optional else []
    )
    given = [option for option in entry.options if option.required or option in chosen]
    options = {option.name: draw(values(text_type(option.type), option.bounds, registry)) for option in given}
    return {entry.name: options} if options else entry.name


# --- data

NAMES = ("x", "y", "width", "x_1", "no", "on", "null", "true", "속도", "é", "α", "E1", "_")


@st.composite
def formulas(draw: st.DrawFn, names: tuple[str, ...]) -> Any:
    """A formula of these names, or a number."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.integers(-5, 5) | st.floats(-1e6, 1e6))
    text = draw(st.sampled_from(names))
    for _ in range(draw(st.integers(0, 4))):
        other = draw(st.sampled_from(names) | st.sampled_from(["3", "0.5", "1e-3", "2.0E+4", "pi"]))
        shape = draw(st.sampled_from(FORMULA_SHAPES))
        text = shape.format(text, other)
    return text


FORMULA_SHAPES = (
    *("{0} + {1}", "{1} - ({0})", "{0}*{1}", "({0}) / {1}", "({0})**{1}", "-({0})", "{0} % {1}", "{0} < {1}"),
    *("sin({0})", "where({0} > {1}, {0}, {1})", "max({0}, {1})", "clamp({0}, -1, 1)", "  {0}  ", "0 <= {0} != {1}"),
)


@st.composite
def formula_data(draw: st.DrawFn, registry: Registry) -> Any:
    """Columns drawn from distributions, and formulas of them and of one another."""
    columns = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=5, unique=True))
    assert all(map(Expression.can_name, columns))
    n_inputs = draw(st.integers(1, len(columns) - 1))
    targets = {}
    for position in range(n_inputs, len(columns)):
        targets[columns[position]] = draw(formulas(tuple(columns[:position])))
    simple = components(registry, "distribution", names=("Normal", "Laplace", "Cauchy", "Gumbel", "Exponential"))
    distributions = simple | components(registry, "distribution")
    options = {
        "rows": draw(BIG),
        "inputs": {name: draw(distributions) for name in columns[:n_inputs]},
        "targets": targets,
    }
    if draw(st.booleans()):
        noisy = draw(st.lists(st.sampled_from(list(targets)), unique=True))
        options["noise"] = {name: draw(distributions) for name in noisy}
    return {"formula": options}


@st.composite
def table_data(draw: st.DrawFn) -> Any:
    """Columns of one length, under any names; a target may be of words."""
    names = draw(st.lists(KEYS, min_size=2, max_size=4, unique=True))
    rows = draw(st.integers(1, 4))

    def column(strategy: st.SearchStrategy[Any]) -> Any:
        return draw(st.lists(strategy, min_size=rows, max_size=rows))

    targets = {names[-1]: column(TEXTS) if draw(st.booleans()) else column(numbers({}))}
    return {
        "table": {"inputs": {name: column(numbers({})) for name in names[:-1]}, "targets": targets, "repeat": draw(BIG)}
    }


# --- whole specs


@st.composite
def specs(draw: st.DrawFn, registry: Registry) -> Spec:
    """A whole spec; sections that have defaults may be left out."""
    data = draw(formula_data(registry) | table_data())
    if draw(st.booleans()):
        data["split"] = {"val": draw(st.sampled_from([0, 0.0, 0.25, 1e-300])), "test": draw(st.sampled_from([0, 0.5]))}
    targets = next(iter(data.values()))["targets"]
    layers = components(registry, "layer", names=fitting_layers(registry)) | containers(registry)
    spec = {
        "version": 1,
        "name": draw(PRINTABLE),
        "data": data,
        "model": [*draw(_tapped(st.lists(layers, max_size=4))), {"Linear": width(targets)}],
        "loss": draw(components(registry, "loss")),
        "optimizer": draw(_optimizers(registry)),
        "train": draw(_trains()),
    }
    others = {
        "description": NOTES,
        "tags": TAGS,
        "seed": st.sampled_from([0, 1, 2**63 - 1]) | st.integers(0, 2**63 - 1),
        "device": _devices(),
        "scheduler": components(registry, "scheduler") | st.none(),
        "average": components(registry, "average") | st.none(),
        "metrics": st.lists(components(registry, "metric"), max_size=2),
        "plots": st.lists(components(registry, "plot"), max_size=2),
        "callbacks": st.lists(components(registry, "callback"), max_size=2),
        "tracking": st.fixed_dictionaries(
            {}, optional={"experiment": PRINTABLE | st.none(), "wait_seconds": numbers({"ge": 0})}
        ),
    }
    given = draw(st.lists(st.sampled_from(sorted(others)), unique=True))
    return spec | {name: draw(others[name]) for name in given}


@st.composite
def _tapped(draw: st.DrawFn, stacks: st.SearchStrategy[list[Any]]) -> list[Any]:
    """A stack, some of them with a tap before it that is joined behind it, in each of its spellings."""
    layers = draw(stacks)
    if not draw(st.booleans()):
        return layers
    name = draw(WORDS)
    return [{"tap": name}, *layers, {"join": draw(st.sampled_from([name, {"taps": name}, {"taps": [name]}]))}]


@st.composite
def _optimizers(draw: st.DrawFn, registry: Registry) -> Any:
    """An optimizer, for some with a group that takes all parameters."""
    optimizer = draw(components(registry, "optimizer"))
    if not draw(st.booleans()):
        return optimizer
    group = {"params": draw(st.sampled_from(["*", ["*"], ["?.*", "*"]])), "lr": draw(numbers({"ge": 0}))}
    return {**(optimizer if isinstance(optimizer, dict) else {optimizer: None}), "groups": [group]}


def are_classes(targets: Mapping[str, Any]) -> bool:
    """Whether the target is one of words, which name classes."""
    only = next(iter(targets.values()))
    return isinstance(only, list) and isinstance(only[0], str)


def width(targets: Mapping[str, Any]) -> int:
    """An output for each target, or for each class of a target of words."""
    only = next(iter(targets.values()))
    return len(set(only)) if are_classes(targets) else len(targets)


def _trains() -> st.SearchStrategy[Spec]:
    length = st.one_of(*(st.fixed_dictionaries({name: BIG}) for name in ("epochs", "steps")))
    options = st.fixed_dictionaries(
        {},
        optional={
            "max_seconds": numbers({"gt": 0}) | st.none(),
            "batch_size": st.just("all") | BIG,
            "shuffle": st.booleans(),
            "drop_last": st.booleans(),
            "evaluate_every": BIG,
            "checkpoint_seconds": numbers({"gt": 0}),
        },
    )
    return st.builds(lambda one, other: {**one, **other}, length, options)


def _devices() -> st.SearchStrategy[Any]:
    word = st.sampled_from(["auto", "cpu", "cuda", "cuda:3", "mps"])
    precision = st.sampled_from(["float32", "float64"])
    return word | st.fixed_dictionaries(
        {},
        optional={
            "type": word,
            "threads": st.just("auto") | BIG,
            "precision": precision,
            "compile": st.sampled_from(["auto", "on", "off"]),
            "deterministic": st.booleans(),
        },
    )


def containers(registry: Registry) -> st.SearchStrategy[Any]:
    """Layers that hold layers, in either spelling, one of them inside another."""
    stack = values(text_type("stack"), {}, registry)
    pair = st.lists(stack, min_size=2, max_size=2)
    times = st.integers(1, 3)
    return st.one_of(
        st.builds(lambda layers: {"residual": layers}, stack),
        st.builds(lambda layers: {"residual": {"layers": layers}}, stack),
        st.builds(lambda times, layers: {"repeat": {"times": times, "layers": layers}}, times, stack),
        st.builds(lambda times, layers: {"repeat": [times, [{"residual": layers}]]}, times, stack),
        st.builds(lambda branches: {"parallel": branches}, pair),
        st.builds(lambda branches: {"parallel": {"branches": branches, "dim": 1}}, pair),
    )


@cache
def fitting_layers(registry: Registry) -> tuple[str, ...]:
    """The layers that take rows of eight numbers and give rows of numbers, by trying each of them; none with taps."""
    return tuple(
        entry.name
        for entry in registry.entries("layer")
        if not has_components(entry) and not _taps(entry) and _takes_rows(entry, registry)
    )


def _taps(entry: Entry) -> bool:
    traits = entry.traits_as(LayerTraits)
    return traits.sets is not None or traits.reads is not None


def _takes_rows(entry: Entry, registry: Registry) -> bool:
    from annpipe.contract import Field, Fields
    from annpipe.draft.component import Component
    from annpipe.plan.shapes.run import run_shapes

    options = {option.name: 2 if option.required else option.default for option in entry.options}
    fields = Fields({"x": Field((8,))}, {"y": Field()})
    try:
        (layer,) = run_shapes([Component("layer", entry.name, options, entry=entry)], Component("data", "", {}), fields)
    except SpecError:
        return False
    return len(layer.output_shape) == 1
