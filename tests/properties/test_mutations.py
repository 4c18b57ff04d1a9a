"""One mistake anywhere in a right spec: refused at its place, never with another exception, never taken silently.

Each spec of the gallery and of the examples, with each mistake at each place; `typing_rules` says which changed specs
are wrong by their types, and which are free.
"""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from annpipe.draft.draft import draft
from annpipe.draft.sections import Draft
from annpipe.errors import Place, Problem, SpecError
from annpipe.errors.render import render
from annpipe.plan.plan import Plan
from annpipe.plan.resolve.resolve import resolve
from annpipe.registry.registry import Registry
from annpipe.spec import read_spec
from annpipe.spec.yaml.nodes import plain
from annpipe.spec.yaml.reader import read_file
from tests.properties.mutating import (
    Mistake,
    Written,
    deletions,
    lost_dashes,
    misspellings,
    moved_sections,
    repetitions,
    retypings,
)
from tests.properties.typing_rules import is_right
from tests.sampling import sample

ROOT = Path(__file__).parents[2]
SPECS = sorted([*(ROOT / "pipelines").rglob("*.yaml"), *(ROOT / "examples").rglob("*.yaml")])
NAMES = [path.relative_to(ROOT).as_posix() for path in SPECS]
# what annpipe calls a mistake in what the spec says, as opposed to what a component makes of it
OF_TYPES = frozenset({"unknown-section", "unknown-option", "missing-section", "missing-option", "too-many-options"})


@dataclass(frozen=True)
class Bench:
    """A spec in a folder of its own, where changed texts are tried in its stead."""

    file: Path
    written: Written
    registry: Registry

    def tried(self, mistake: Mistake) -> tuple[Draft | SpecError, bool]:
        """What comes of the changed text without torch, and whether it is right by its types."""
        self.file.write_text(mistake.text, encoding="utf-8")
        is_free = False
        try:
            root = read_file(self.file)
            is_free = is_right(plain(root), self.registry)
            return draft(read_spec(root, str(self.file)), self.registry.copy()), is_free
        except SpecError as error:
            return error, is_free

    def finished(self, drafted: Draft) -> Plan | SpecError:
        """What comes of it with torch."""

        try:
            return resolve(drafted)
        except SpecError as error:
            return error


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory, registry_entries: Registry) -> Callable[[str], Bench]:
    @cache
    def opened(name: str) -> Bench:
        folder = shutil.copytree((ROOT / name).parent, tmp_path_factory.mktemp("bench") / "specs")
        file = folder / Path(name).name
        registry = registry_entries.copy()
        for plugin in sorted(folder.rglob("*.py")):
            if "@" in plugin.read_text(encoding="utf-8"):  # a decorator: components of the example's own
                registry.add_file(plugin)
        return Bench(file, Written(ROOT / name), registry)

    return opened


def faults(bench: Bench, mistakes: Iterator[Mistake]) -> tuple[list[str], Counter[str]]:
    """What annpipe does wrong with these mistakes, and how often it did what."""
    found: list[str] = []
    counts: Counter[str] = Counter()
    seen: set[str] = set()
    for mistake in mistakes:
        said: Draft | Plan | SpecError
        try:
            said, free = bench.tried(mistake)
            if isinstance(said, Draft) and free and (named := _components(said)) not in seen:
                seen.add(named)
                said = bench.finished(said)
        except Exception as error:
            found.append(f"{mistake.what} at {mistake.path}: raised {error!r}")
            continue
        refused = "free, refused" if free else "refused"
        counts[refused if isinstance(said, SpecError) else "accepted"] += 1
        found += [f"{mistake.what} at {mistake.path}: {fault}" for fault in _judged(bench, mistake, said, free=free)]
    return found, counts


def _components(drafted: Draft) -> str:
    """What torch has a say in: two drafts that differ in their names and notes only are one to it."""
    one = (drafted.data, *drafted.model, drafted.loss, drafted.optimizer, *filter(None, [drafted.scheduler]))
    return str([drafted.spec.head.seed, *(component.to_data() for component in one)])


def _judged(bench: Bench, mistake: Mistake, said: Draft | Plan | SpecError, *, free: bool) -> Iterator[str]:
    if not isinstance(said, SpecError):
        if not free:
            yield "accepted silently"
        return
    if not said.problems:
        yield "refused without a problem"
    lines = mistake.text.splitlines()
    for problem in said.problems:
        if free and problem.code in OF_TYPES:
            yield f"refused though right by its types: {problem.code}: {problem.message}"
        yield from _unplaced(problem, str(bench.file), lines)
        yield from _undrawn(problem)


def _unplaced(problem: Problem, file: str, lines: list[str]) -> Iterator[str]:
    for place in (problem.place, *(place for place, _ in problem.related)):
        if place is None or place.file != file or not _is_inside(place, lines):
            yield f"{problem.code} stands at {place}"


def _is_inside(place: Place, lines: list[str]) -> bool:
    """Within its line, or on the one column behind it where something is missing."""
    if not 1 <= place.line <= len(lines) or place.column < 1 or place.length < 1:
        return False
    end, width = place.column - 1 + place.length, len(lines[place.line - 1])
    return end <= width or (place.length == 1 and end == width + 1)


def _undrawn(problem: Problem) -> Iterator[str]:
    drawn = render(problem)
    if f"[{problem.code}]" not in drawn or str(problem.place) not in drawn or "^" not in drawn:
        yield f"{problem.code} is drawn as {drawn!r}"


MISTAKES: dict[str, Callable[[Written], Iterator[Mistake]]] = {
    "misspelt keys": lambda written: misspellings(written, thorough=False),
    "other types": retypings,
    "missing keys": deletions,
    "repeated keys": repetitions,
    "lost dashes": lost_dashes,
    "moved sections": moved_sections,
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), sample(itertools.product(NAMES, MISTAKES), 11))
def test_a_mistake_is_refused_at_its_place(name: str, kind: str, bench: Callable[[str], Bench]) -> None:
    """All of one kind in one spec; whatever is wrong by its types is refused, and what is right by them is not."""
    at = bench(name)
    found, counts = faults(at, MISTAKES[kind](at.written))
    print(f"{name}: {kind}: {dict(counts)}")
    assert not found, f"{len(found)} faults:\n" + "\n".join(found[:40])
    assert kind == "lost dashes" or counts["refused"] > 0


def test_the_right_specs_are_right_by_both(bench: Callable[[str], Bench]) -> None:
    """What the mistakes are made in is taken by annpipe and by the rules; nine specs are there to make them in."""
    assert len(SPECS) >= 9
    for name in NAMES:
        at = bench(name)
        unchanged = Mistake("none", (), at.written.text)
        said, is_free = at.tried(unchanged)
        assert isinstance(said, Draft), name
        assert is_free, name


@pytest.mark.parametrize("name", NAMES)
def test_a_repeated_key_is_shown_at_both_its_places(name: str, bench: Callable[[str], Bench]) -> None:
    """The second is marked, the first is pointed at, and both are that key."""
    at = bench(name)
    for mistake in repetitions(at.written):
        said, _ = at.tried(mistake)
        assert isinstance(said, SpecError), mistake.path
        (problem,) = said.problems
        assert problem.code == "duplicate-key"
        ((first, _),) = problem.related
        assert problem.place
        assert first.line <= problem.place.line
        assert first != problem.place
        lines = mistake.text.splitlines()
        assert {_marked(place, lines) for place in (first, problem.place)} == {mistake.meant}


def _marked(place: Place, lines: list[str]) -> str:
    return lines[place.line - 1][place.column - 1 :][: place.length]


@pytest.mark.slow
def test_a_misspelt_name_is_suggested(bench: Callable[[str], Bench]) -> None:
    """Names of four or more letters with one slip at any letter: at the misspelt word, help has the true one."""
    helped: Counter[bool] = Counter()
    missed = []
    seen: set[tuple[str, str]] = set()
    for name in NAMES:
        at = bench(name)
        for mistake in misspellings(at.written, thorough=True):
            known = (str(mistake.path[:-1]) if len(mistake.path) == 1 else mistake.meant, mistake.typed)
            if len(mistake.meant) < 4 or known in seen:
                continue
            seen.add(known)
            said, is_free = at.tried(mistake)
            if is_free:
                continue
            is_helped = isinstance(said, SpecError) and _suggests(said, mistake)
            helped[is_helped] += 1
            if not is_helped:
                missed.append(f"{mistake.typed} at {mistake.path}")
    share = helped[True] / helped.total()
    print(f"suggested: {helped[True]} of {helped.total()} ({share:.1%})", *missed, sep="\n")
    assert helped.total() > 500
    assert share > 0.9, "\n".join(missed)


def _suggests(said: SpecError, mistake: Mistake) -> bool:
    lines = mistake.text.splitlines()
    at_word = [problem for problem in said.problems if problem.place and _marked(problem.place, lines) == mistake.typed]
    return any(f"{quote}{mistake.meant}{quote}" in (problem.help or "") for problem in at_word for quote in "'`")
