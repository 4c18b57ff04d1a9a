"""Checks the options of a section against its pydantic model, and that names are printable; words what is wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeVar, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from annpipe.errors import MAX_PROBLEMS, Place, Problem, one_line, steering
from annpipe.errors.suggest import did_you_mean, nearest
from annpipe.registry.annotations import from_annotation
from annpipe.registry.other_tools.words import section_option_word
from annpipe.registry.types import ListOf, words
from annpipe.spec.sections.models import Section
from annpipe.spec.yaml.nodes import MappingNode, Node, ScalarNode, descend, in_words, plain
from annpipe.spec.yaml.other_yaml import yaml_hint

REQUIRED = ("version", "name", "data", "model", "loss", "optimizer", "train")
S = TypeVar("S", bound=Section)


def check(model: type[S], node: MappingNode, name: str, meant: Collection[str] = ()) -> tuple[S, list[Problem]]:
    """Validates a section's node; its problems carry places and the user's words.

    `meant` are the options (`train.epochs`) that a word elsewhere stands for: they are not missed.
    """
    try:
        return model.model_validate(plain(node)), []
    except ValidationError as error:
        problems: dict[tuple[Place | None, str], Problem] = {}
        unknown = [str(key.value) for key, _ in node.pairs if key.value not in model.model_fields][:MAX_PROBLEMS]
        here = {option for key in unknown for option in meant_by(model, name, key)}
        for detail in error.errors()[:MAX_PROBLEMS]:
            if detail["type"] == "missing" and _shown(name, detail["loc"]) in {*here, *meant}:
                continue
            problem = _section_problem(model, node, name, detail["type"], detail["loc"])
            if problem:
                problems.setdefault((problem.place, problem.code), problem)
        return stand_in(model), list(problems.values())


def meant_by(model: type[BaseModel], name: str, word: str) -> Sequence[str]:
    """The options and sections that an unknown option of a section stands for."""
    moved = section_option_word(name, word)
    return moved.stands_for if moved.hint else [f"{name}.{near}" for near in nearest(word, model.model_fields, 1)]


def stand_in(model: type[S]) -> S:
    """A section of defaults, None where there is none, for a spec that is refused anyway (or lacks the section)."""
    required = {name: None for name, field in model.model_fields.items() if field.is_required()}
    return cast(S, model.model_construct(**required))


def _shown(name: str, loc: Sequence[str | int]) -> str:
    return f"{name}.{loc[0]}" if name else str(loc[0])


def _section_problem(
    model: type[BaseModel], node: MappingNode, name: str, kind: str, loc: tuple[str | int, ...]
) -> Problem | None:
    key, shown = str(loc[0]), _shown(name, loc)
    if kind == "extra_forbidden":
        key_node = node.key(key)
        assert key_node
        near = section_option_word(name, key).hint or did_you_mean(key, model.model_fields)
        hint = near or f"`{name}` takes {', '.join(model.model_fields)}"
        return Problem("unknown-option", f"`{name}` has no option '{key}'", key_node.place, hint)
    if kind == "missing":
        if key in REQUIRED and not name:
            return None  # said once, as a missing section
        return Problem("missing-option", f"`{shown}` is missing", node.place, EXAMPLES.get(name))
    value, _ = descend(node, loc)
    return _wrong_type(model.model_fields[key], shown, value, is_whole=value is node.get(key))


def _wrong_type(field: FieldInfo, shown: str, value: Node, *, is_whole: bool) -> Problem:
    wanted = from_annotation(field.annotation)
    expected = "text" if shown == "description" else words(wanted, _bounds(field))
    message = f"`{shown}` must be {expected}; found {in_words(value)}"
    help_ = yaml_hint(value, wanted) or EXAMPLES.get(shown) or field.description
    if isinstance(wanted, ListOf) and is_whole and isinstance(value, ScalarNode) and value.text:
        help_ = f"write `{shown}: [{value.text}]`"
    return Problem("wrong-type", message, value.place, help_, used_note(value))


def used_note(node: Node) -> tuple[tuple[Place, str], ...]:
    """Where a faulty value is used, when a variable says it elsewhere."""
    return ((node.used, "used here"),) if node.used else ()


def _bounds(field: FieldInfo) -> Mapping[str, float]:
    """The bounds of a field, those of a union's members included."""
    members = [note for member in get_args(field.annotation) for note in getattr(member, "__metadata__", ())]
    parts = [part for note in (*field.metadata, *members) for part in (note, *getattr(note, "metadata", ()))]
    return {key: getattr(part, key) for part in parts for key in ("gt", "ge", "lt", "le") if hasattr(part, key)}


EXAMPLES = {
    "version": "write `version: 1`",
    "name": "write `name: my_run`",
    "data": "for example `data: {table: {inputs: {x: [0, 1]}, targets: {y: [1, 3]}}}`; `annpipe list data` shows all",
    "model": "for example `model: [Linear: 10, ReLU, Linear: 1]`; `annpipe list layer` shows all layers",
    "model.layers": "for example `model: {layers: [Linear: 10, ReLU, Linear: 1], init: {bias: zeros_}}`",
    "model.init": "for example `init: {weight: {kaiming_normal_: {nonlinearity: relu}}, bias: zeros_}`",
    "model.freeze": "for example `freeze: [0.weight, encoder]`",
    "blocks": "for example `blocks: {hidden: [Linear: 10, ReLU]}`, and `- hidden` in `model`",
    "loss": "for example `loss: L1Loss`; `annpipe list loss` shows all",
    "optimizer": "for example `optimizer: {Adam: {lr: 1e-3}}`; `annpipe list optimizer` shows all",
    "train": "for example `train: {epochs: 100, batch_size: 32}`",
    "data.split": "for example `split: {val: 0.2, test: 0.1}`",
    "data.transforms": "for example `transforms: {number: standardize, category: one_hot}`",
    "tracking": "for example `tracking: {experiment: curves}`",
}


JOINERS = "\u200c\u200d"  # letters and emoji that belong together are written with them
NAME_HELP = "leave it out: the name stands in lists, figures, files and the record"


def unprintable(root: MappingNode) -> Iterator[Problem]:
    """A problem for each name that holds what is obeyed or hidden instead of shown.

    A description and the value of a tag may have lines; the rest is one line.
    """
    tracking, tags = root.get("tracking"), root.get("tags")
    yield from _name_faults("name", root.get("name"))
    yield from _name_faults("description", root.get("description"), lines=True)
    if isinstance(tracking, MappingNode):
        yield from _name_faults("tracking.experiment", tracking.get("experiment"))
        yield from _name_faults("tracking.uri", tracking.get("uri"))
    if isinstance(tags, MappingNode):
        for key, value in tags.pairs:
            yield from _name_faults("tags", key)
            yield from _name_faults(f"tags.{key.value}", value, lines=True)


def fault_of_name(text: str, *, lines: bool = False) -> str | None:
    """What a name may not hold, in words; None where it holds nothing of the kind."""
    sign = steering("".join(char for char in text if char not in JOINERS), lines=lines)
    if sign is None:
        return None
    kind = "a line break" if sign == "\n" else "a tabulator" if sign == "\t" else "a character that is not printable"
    return f"{kind} (U+{ord(sign):04X})"


def _name_faults(path: str, node: Node | None, *, lines: bool = False) -> Iterator[Problem]:
    if isinstance(node, ScalarNode) and isinstance(node.value, str):
        fault = fault_of_name(node.value, lines=lines)
        if fault is not None:
            message = f"`{path}` holds {fault}: '{one_line(node.value)}'"
            yield Problem("unprintable-name", message, node.place, NAME_HELP, used_note(node))
