"""Reads `sweep`: the values to try, how trials are chosen, and the metric they are compared by."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from annpipe.errors import Place, Problem
from annpipe.errors.suggest import did_you_mean
from annpipe.spec.sections.axes import FORMS_SAID, MOST_TRIALS, Axis, AxisFault, axis_of
from annpipe.spec.sections.models import Section, Sweep
from annpipe.spec.sections.section_reader import check, stand_in, used_note
from annpipe.spec.sections.sweep_methods import METHODS, PRUNERS
from annpipe.spec.yaml.nodes import MappingNode, Node, ScalarNode, in_words

GRID = "grid"
NEVER = ("sweep", "version", "extends", "plugins")  # what all trials share
EXAMPLE = "for example `sweep: {over: {optimizer.Adam.lr: [1e-3, 1e-2], seed: 8}}`"


@dataclass(frozen=True)
class Search:
    """A method or a pruner: its name, its options, where it stands."""

    name: str
    options: Section
    place: Place


@dataclass(frozen=True)
class SweepCall:
    """The section `sweep` of a spec, checked as far as it can be without a plan."""

    options: Sweep
    axes: tuple[Axis, ...]
    method: Search
    prune: Search | None

    @property
    def is_grid(self) -> bool:
        """Whether every combination is tried."""
        return self.method.name == GRID

    @property
    def repeats(self) -> tuple[Axis, ...]:
        """The axes that are repetitions."""
        return tuple(axis for axis in self.axes if axis.is_repeat)


def read_sweep(node: Node) -> tuple[SweepCall | None, list[Problem]]:
    """The section, None where it is no mapping, and what is wrong with it."""
    if not isinstance(node, MappingNode):
        message = f"`sweep` must be a mapping; found {in_words(node)}"
        return None, [Problem("wrong-type", message, node.place, EXAMPLE, used_note(node))]
    options, problems = check(Sweep, node, "sweep")
    axes, faults = _axes(node.get("over"))
    method, wrong = _search("method", node.get("method"), METHODS)
    prune, also = _search("prune", node.get("prune"), PRUNERS)
    problems += [*faults, *wrong, *also]
    call = SweepCall(options, axes, method or Search(GRID, METHODS[GRID](), node.place), prune)
    if not problems:
        problems += _contradictions(call, node)
    return call, problems


def _axes(node: Node | None) -> tuple[tuple[Axis, ...], list[Problem]]:
    if node is None or (isinstance(node, ScalarNode) and node.value is None):
        return (), []
    if not isinstance(node, MappingNode):
        message = f"`sweep.over` must be a mapping from paths to values; found {in_words(node)}"
        return (), [Problem("wrong-type", message, node.place, EXAMPLE, used_note(node))]
    axes, problems = [], []
    for key, value in node.pairs:
        path = str(key.value)
        if not all(path.split(".")):
            help_ = "write names and positions with single dots between them, as in model.2.Linear.out_features"
            problems.append(Problem("sweep", f"`{path}` is not a path", key.place, help_))
            continue
        if path.partition(".")[0] in NEVER:
            message = f"`{path}` is the same for all trials"
            problems.append(Problem("sweep", message, key.place, "sweep over what a run takes its numbers from"))
            continue
        try:
            axes.append(axis_of(path, value, key.place))
        except AxisFault as fault:
            problems.append(Problem("sweep", fault.message, fault.node.place, fault.help, used_note(fault.node)))
    return tuple(axes), problems


def _search(name: str, node: Node | None, known: Mapping[str, type[Section]]) -> tuple[Search | None, list[Problem]]:
    """`tpe`, or `tpe: {startup: 20}`."""
    if node is None or (isinstance(node, ScalarNode) and node.value is None):
        return None, []
    what = f"sweep.{name}"
    example = f"for example `{name}: {[*known][-1]}`; there is {', '.join(known)}"
    match node:
        case ScalarNode(value=str() as word):
            options_node: Node = MappingNode((), node.place)
        case MappingNode(pairs=((key, options_node),)):
            word, node = str(key.value), key
        case MappingNode(pairs=(_, (second, _), *_)):
            return None, [Problem("sweep", f"`{what}` is one of several", second.place, f"keep one, {example}")]
        case _:
            return None, [
                Problem("wrong-type", f"`{what}` must be a name; found {in_words(node)}", node.place, example)
            ]
    if word not in known:
        help_ = did_you_mean(word, known) or f"there is {', '.join(known)}"
        return None, [Problem("sweep", f"there is no `{what}` '{word}'", node.place, help_, used_note(node))]
    if isinstance(options_node, ScalarNode) and options_node.value is None:
        options_node = MappingNode((), node.place)
    if not isinstance(options_node, MappingNode):
        message = f"`{what}.{word}` must be a mapping of options; found {in_words(options_node)}"
        return Search(word, stand_in(known[word]), node.place), [
            Problem("wrong-type", message, options_node.place, example)
        ]
    options, problems = check(known[word], options_node, f"{what}.{word}")
    return Search(word, options, node.place), problems


def _contradictions(call: SweepCall, node: MappingNode) -> Iterator[Problem]:
    """What cannot stand together, or leads nowhere."""
    options = call.options
    spans = [axis for axis in call.axes if axis.span is not None]
    listed = n_combinations(call.axes)
    trials = node.get("trials") or node.get("over") or node
    if listed > MOST_TRIALS and call.is_grid:
        message = f"{listed:,} trials are more than {MOST_TRIALS:,}"
        yield Problem("sweep", message, call.axes[0].place, "take fewer values, or `method: random` and `trials`")
    if not call.is_grid and call.axes:
        if options.trials is None:
            message = f"the method {call.method.name} does not say how many trials it takes"
            yield Problem("sweep", message, call.method.place, "add `trials: 64`, or `--trials 64`")
        if len(call.repeats) == len(call.axes):
            message = f"the method {call.method.name} has nothing to choose: seeds and splits are repeated, not chosen"
            yield Problem("sweep", message, call.method.place, "sweep over something else too, or take `grid`")
        if call.prune and any(len(axis.values) > 1 for axis in call.repeats):
            message = f"`prune` stops single trials, but each choice of {call.method.name} is repeated"
            help_ = f"leave `{call.repeats[0].path}` or `prune` out, or take `method: grid`"
            yield Problem("sweep", message, call.prune.place, help_)
        if call.method.name == "cmaes" and not spans:
            message = "cmaes chooses numbers of ranges, and there is no range"
            yield Problem("sweep", message, call.method.place, f"{FORMS_SAID}, or take `tpe`")
    elif spans:
        least = listed * 2 ** len(spans)
        if options.trials is None:
            message = f"a grid over the range of `{spans[0].path}` has no end"
            yield Problem("sweep", message, spans[0].place, "add `trials`, or `method: random`, or give a list")
        elif options.trials < least:
            message = f"{options.trials} trials are too few for both ends of each range: that takes {least}"
            yield Problem("sweep", message, trials.place, "add trials, or take `method: random`")
    elif call.axes and options.trials is not None and options.trials < listed:
        message = f"the grid has {listed} trials, of which `trials: {options.trials}` would leave some out"
        yield Problem("sweep", message, trials.place, "leave `trials` out, or take `method: random`")
    for axis in call.repeats:
        if axis.span is not None:
            message = f"`{axis.path}` is a whole number; a range of any numbers is none"
            yield Problem("sweep", message, axis.place, f"write how many, as in `{axis.path}: 8`")


def n_combinations(axes: Sequence[Axis]) -> int:
    """How many combinations the listed values of the axes have; a range counts as one."""
    return math.prod(len(axis.values) or 1 for axis in axes)


def even(axes: tuple[Axis, ...], trials: int | None) -> tuple[Axis, ...]:
    """The axes of a grid: ranges cut into as many even points as the number of trials allows."""
    spans = [axis for axis in axes if axis.span is not None]
    if not spans:
        return axes
    n = int(((trials or 0) / n_combinations(axes)) ** (1 / len(spans)) + 1e-9)
    return tuple(replace(axis, values=axis.span.points(n)) if axis.span else axis for axis in axes)
