"""Drafts the data component alone, for commands that look at the data before the rest of the spec is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from annpipe.draft.component import Component
from annpipe.draft.named_files import file_faults, plugin_files
from annpipe.draft.option_faults import option_problem
from annpipe.draft.options import Resolving
from annpipe.draft.plugins import add_plugins
from annpipe.errors import OptionError, Place, Problem, SpecError, SplitError
from annpipe.files.limits import Stance
from annpipe.registry.discovery import PluginFault
from annpipe.registry.registry import Registry
from annpipe.spec.sections.spec import Spec
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node

NEEDED = ("version", "name", "data")  # sections that the data cannot be made without
READ = ("version", "name", "seed", "plugins", "data")


@dataclass(frozen=True)
class DataDraft:
    """The data component of a spec with its options checked, and the registry that it comes from."""

    spec: Spec
    registry: Registry
    data: Component
    stance: Stance | None = None


def draft_data(spec: Spec, registry: Registry, *, project: Path, untrusted: bool = False) -> DataDraft:
    """Resolves the data component; raises SpecError for what is wrong with it or before it, and for nothing else.

    No plugin of an untrusted spec is imported, and nothing outside its folder is read.
    """
    files, problems = plugin_files(spec, project)
    problems += [] if untrusted else add_plugins(files, registry)
    resolving = Resolving(registry, within=spec.folder if untrusted else None)
    data = resolving.component(spec.data, "data") if spec.data.name else None
    problems += file_faults(spec, resolving.stance)
    read = {place for name in READ for place in _places(name, spec)}
    problems += [problem for problem in spec.problems if _is_missing(problem) or problem.place in read]
    problems += [] if problems else resolving.problems
    if problems or data is None:
        raise SpecError(problems or spec.problems)
    return DataDraft(spec, registry, data, resolving.stance)


def _is_missing(problem: Problem) -> bool:
    return problem.code == "missing-section" and any(f"'{name}'" in problem.message for name in NEEDED)


def _places(section: str, spec: Spec) -> Iterator[Place]:
    """Where the values of a section and the keys inside it stand; its own key may be where the whole spec begins."""
    node = spec.root.get(section)
    if node is not None:
        yield from _below(node)


def _below(node: Node) -> Iterator[Place]:
    yield node.place
    match node:
        case ListNode(items=items):
            for item in items:
                yield from _below(item)
        case MappingNode(pairs=pairs):
            for key, value in pairs:
                yield key.place
                yield from _below(value)


@contextmanager
def faults_of_data(spec: Spec, data: Component) -> Iterator[None]:
    """Whatever making and splitting the data raises becomes a SpecError at the option that is at fault."""
    try:
        yield
    except SpecError:
        raise
    except PluginFault as fault:
        raise SpecError([fault.problem]) from fault
    except OptionError as error:
        raise SpecError([option_problem(data, error)]) from error
    except SplitError as error:
        place = spec.place("data", "split", *error.option.split("."))
        message = f"`data.split.{error.option}`: {error.message}"
        raise SpecError([Problem("wrong-value", message, place, error.help)]) from error
    except Exception as error:  # a data component may raise anything: reported at its line
        from annpipe.errors.wording import first_line

        message = f"the data component '{data.name}' raised {type(error).__name__}: {first_line(error)}"
        raise SpecError([Problem("data", message, data.place)]) from error
