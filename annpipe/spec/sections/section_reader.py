"""Reads sections: their options by pydantic models, their components, and what is wrong, in words for the user."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from annpipe.errors import MAX_PROBLEMS, Place, Problem, Problems, one_line, steering
from annpipe.errors.suggest import did_you_mean, nearest
from annpipe.registry.annotations import from_annotation
from annpipe.registry.other_tools.words import section_option_word
from annpipe.registry.types import ListOf, words
from annpipe.spec.sections.component import KEEP_ONE, Call, read_call, read_calls
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
    if key in REQUIRED and not name and not is_given(value):
        return None  # said once, as an empty section
    return _wrong_type(model.model_fields[key], shown, value, is_whole=value is node.get(key))


def _wrong_type(field: FieldInfo, shown: str, value: Node, *, is_whole: bool) -> Problem:
    wanted = from_annotation(field.annotation)
    expected = "text" if shown == "description" else words(wanted, bounds_of(field))
    message = f"`{shown}` must be {expected}; found {in_words(value)}"
    help_ = yaml_hint(value, wanted) or EXAMPLES.get(shown) or field.description
    if isinstance(wanted, ListOf) and is_whole and isinstance(value, ScalarNode) and value.text:
        help_ = f"write `{shown}: [{value.text}]`"
    return Problem("wrong-type", message, value.place, help_, used_note(value))


def used_note(node: Node) -> tuple[tuple[Place, str], ...]:
    """Where a faulty value is used, when a variable says it elsewhere."""
    return ((node.used, "used here"),) if node.used else ()


def bounds_of(field: FieldInfo) -> Mapping[str, float]:
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
    "model.freeze": "for example `freeze: [0.weight, encoder]`, or for 5 epochs `[{layers: encoder, until: 5}]`",
    "model.from": "for example `from: my_run`, or `from: {weights: my_run, layers: [encoder], else: init}`",
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


def is_given(node: Node | None) -> bool:
    """Whether something is said, and not nothing."""
    return node is not None and not (isinstance(node, ScalarNode) and node.value is None)


class SectionReader:
    """Collects problems while sections are read; a section at fault is stood in for, and the spec refused."""

    def __init__(self, root: MappingNode) -> None:
        self.root = root
        self.problems = Problems()
        self.meant: set[str] = set()  # sections and options that an unknown section stands for
        self.lost = False  # whether what stands beside the data component could not be read
        self._nothing = Call("", None, root.place)

    def section(self, model: type[S], node: Node | None, name: str = "") -> S:
        if not is_given(node) or not isinstance(node, MappingNode):
            if is_given(node) and node is not None:
                message = f"`{name}` must be a mapping; found {in_words(node)}"
                self.problems.append(Problem("wrong-type", message, node.place, EXAMPLES.get(name), used_note(node)))
            return stand_in(model)
        checked, problems = check(model, node, name, self.meant)
        self.problems += problems
        return checked

    def call(self, name: str) -> Call:
        node = self.root.get(name)
        if not is_given(node) or node is None:
            return self._nothing
        read = read_call(node, f"`{name}`", KEEP_ONE)
        return self.taken(read)

    def calls(self, name: str, node: Node | None = None) -> tuple[Call, ...]:
        node = node or self.root.get(name)
        if node is None:
            return ()
        calls, problems = read_calls(node, name)
        self.problems += problems
        if name == "model" and not calls and not problems and is_given(node):
            self.problems.append(Problem("missing-section", "the model has no layer", node.place, EXAMPLES["model"]))
        return tuple(calls)

    def component_beside(self, name: str, others: Sequence[str]) -> Call:
        """The component of `name`: its one key that is none of `others`, as `data` has `split`."""
        node = self.root.get(name)
        if not isinstance(node, MappingNode):
            return self.call(name)
        pairs = tuple(pair for pair in node.pairs if not self._is_other(pair[0], node, name, others))
        if not pairs:
            if node.pairs or name == "data":
                message = f"`{name}` names no {'data component' if name == 'data' else name}"
                self.problems.append(Problem("not-a-component", message, node.place, EXAMPLES[name]))
                return self._nothing
            return self.call(name)
        return self.taken(read_call(replace(node, pairs=pairs), f"`{name}`", KEEP_ONE))

    def _is_other(self, key: ScalarNode, node: MappingNode, name: str, others: Sequence[str]) -> bool:
        """Whether a key is one of the others, or was meant to be: beside a component nothing else stands."""
        word = str(key.value)
        if word not in others and len(node.pairs) > 1 and nearest(word, others):
            help_ = did_you_mean(word, others)
            self.problems.append(Problem("unknown-option", f"`{name}` has no option '{word}'", key.place, help_))
            self.lost = self.lost or name == "data"
            return True
        return word in others

    def taken(self, read: Call | Problem) -> Call:
        if isinstance(read, Call):
            return read
        self.problems.append(read)
        return self._nothing
