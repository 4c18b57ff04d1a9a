"""Checks the taps of a model, without torch: each is set once, and read after that.

Layers are walked in the order in which they run: one after another, those inside a layer before what follows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from annpipe.draft.component import Component, at_every_depth, components_in
from annpipe.errors import Place, Problem
from annpipe.errors.suggest import did_you_mean
from annpipe.registry.traits import LayerTraits
from annpipe.spec.yaml.nodes import ListNode

CODE = "tap"


def tap_faults(model: Sequence[Component]) -> list[Problem]:
    """What is wrong with the taps of a model whose blocks have their layers in them; each line is told of once."""
    walk = _Walk({tap.name for component in at_every_depth(model) for tap in _set_by(component)})
    walk.stack(model)
    reported: dict[Place | None, Problem] = {}
    for problem in (*walk.problems, *walk.unread()):
        reported.setdefault(problem.place, problem)
    return list(reported.values())


@dataclass(frozen=True)
class _Tap:
    """A name of a tap in a spec, where it is written and where the layer is that says it."""

    name: str
    place: Place | None
    layer: Place | None


def _set_by(component: Component) -> list[_Tap]:
    """The taps that a layer itself sets."""
    return _taps(component, component.traits(LayerTraits).sets)


def _read_by(component: Component) -> list[_Tap]:
    """The taps that a layer itself reads."""
    return _taps(component, component.traits(LayerTraits).reads)


def _taps(component: Component, option: str | None) -> list[_Tap]:
    """The taps that an option of a layer names."""
    if option is None:
        return []
    value, node = component.options.get(option), component.nodes.get(option)
    names: list[str] = [value] if isinstance(value, str) else list(value or ())
    nodes = node.items if isinstance(node, ListNode) else [node] * len(names)
    return [
        _Tap(name, node_of_name.place if node_of_name else component.place, component.place)
        for name, node_of_name in zip(names, nodes, strict=True)
    ]


@dataclass
class _Walk:
    """One run through a model: what has been set and where, what nothing has read since, what was read too early."""

    names: set[str]
    set_at: dict[str, _Tap] = field(default_factory=dict)
    waiting: dict[str, _Tap] = field(default_factory=dict)
    early: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def stack(self, components: Sequence[Component]) -> None:
        """Runs through layers that follow one another."""
        before: Component | None = None
        for component in components:
            self.problems += self._dropped(before, component)
            self._layer(component)
            before = component

    def unread(self) -> Iterator[Problem]:
        """The taps that nothing has read in the end."""
        for tap in (tap for name, tap in self.waiting.items() if name not in self.early):
            help_ = f"write `- join: {tap.name}` or `- take: {tap.name}` further on, or take it out"
            yield Problem(CODE, f"nothing reads the tap '{tap.name}'", tap.place, help_)

    def _layer(self, component: Component) -> None:
        for tap in _read_by(component):
            self.waiting.pop(tap.name, None)
            if tap.name not in self.set_at:
                self.early.add(tap.name)
                self.problems.append(self._not_set(tap))
        for tap in _set_by(component):
            self.problems += self._set_again(tap)
            self.set_at.setdefault(tap.name, tap)
            self.waiting[tap.name] = tap
        for value in component.options.values():
            several = isinstance(value, list) and any(isinstance(item, list) for item in value)
            for layers in value if several else [value]:
                self.stack(list(components_in(layers)))

    def _not_set(self, tap: _Tap) -> Problem:
        if tap.name in self.names:
            help_ = f"move it behind `- tap: {tap.name}`: layers run in the order in which they are written"
            return Problem(CODE, f"the tap '{tap.name}' is read before it is set", tap.place, help_)
        names = sorted(self.names)
        known = f"the taps are {', '.join(names)}" if names else f"write `- tap: {tap.name}` before it"
        return Problem(CODE, f"there is no tap '{tap.name}'", tap.place, did_you_mean(tap.name, names) or known)

    def _set_again(self, tap: _Tap) -> Iterator[Problem]:
        """Another line for the same name; or the same line again, as that of a block is, while its value waits."""
        first = self.set_at.get(tap.name)
        if first is not None and first.layer != tap.layer:
            related = ((first.place, "set here"),) if first.place else ()
            help_ = "give it another name here and where it is read"
            yield Problem(CODE, f"the tap '{tap.name}' is set at two places", tap.place, help_, related)
        elif tap.name in self.waiting:
            message = f"the tap '{tap.name}' is set again before anything reads it: its block is used several times"
            help_ = "read it within the block, or write a tap of its own after each use of the block"
            yield Problem(CODE, message, tap.place, help_)

    def _dropped(self, before: Component | None, component: Component) -> Iterator[Problem]:
        """A layer that works for nothing: what it gives is dropped, and no tap has it."""
        reads = component.traits(LayerTraits).reads is not None
        drops = reads and component.entry.parameter("tap_shapes") is None
        if not drops or before is None or next(components_in(dict(before.options)), None) is not None:
            return
        if not _set_by(before):
            related = ((before.place, "dropped"),) if before.place else ()
            message = f"what {before.name} gives is dropped, and no tap has it"
            help_ = "write `- tap` with a name of its own after it, or `join` in place of `take` to go on with both"
            yield Problem(CODE, message, component.place, help_, related)
