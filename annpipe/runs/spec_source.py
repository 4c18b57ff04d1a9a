"""`SpecSource`: a spec file with the changes that a command makes to it, and the drafts that come of both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from annpipe.errors import Place, Problem, SpecError, one_line

if TYPE_CHECKING:
    from annpipe.draft.data_only import DataDraft
    from annpipe.draft.sections import Draft
    from annpipe.registry.registry import Registry
    from annpipe.spec.sections.spec import Spec
    from annpipe.spec.yaml.nodes import Node, ScalarNode


@dataclass(frozen=True)
class SpecSource:
    """A spec with the changes of `--set`, `--unset`, `--device`, `--name` and `--over` (more axes of its sweep).

    Of an `untrusted` spec no plugin is imported, and nothing outside its folder is read.
    """

    spec: Path
    overrides: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    device: str | None = None
    name: str | None = None
    over: tuple[tuple[ScalarNode, Node], ...] = ()
    untrusted: bool = False

    def draft(self, registry: Registry | None = None, values: Iterable[tuple[str, Node]] | None = None) -> Draft:
        """The draft: everything that can be checked without torch; raises SpecError.

        `values` are those of one trial of its sweep; the `registry` is left out for all installed components.
        """
        from annpipe.draft.draft import draft
        from annpipe.record.journal.project import find_project
        from annpipe.registry.registry import Registry

        spec = self._load(values)
        return draft(spec, registry or Registry.installed(), project=find_project(), untrusted=self.untrusted)

    def draft_data(self) -> DataDraft:
        """The draft of the data component alone, whatever the rest of the spec is; raises SpecError."""
        from annpipe.draft.data_only import draft_data
        from annpipe.record.journal.project import find_project
        from annpipe.registry.registry import Registry

        return draft_data(self._load(), Registry.installed(), project=find_project(), untrusted=self.untrusted)

    def _load(self, values: Iterable[tuple[str, Node]] | None = None) -> Spec:
        from annpipe.spec import load_spec

        spec = load_spec(
            self.spec,
            self.overrides,
            unset_paths=self.unset,
            device=self.device,
            untrusted=self.untrusted,
            over=self.over,
            values=values,
        )
        return spec if self.name is None else _renamed(spec, self.name)


def _renamed(spec: Spec, name: str) -> Spec:
    """The spec with another name; its runs stay in its experiment, beside those they are compared with."""
    from annpipe.spec.sections.section_reader import NAME_HELP, fault_of_name

    if fault := fault_of_name(name):
        place = Place(f"--name {one_line(name)}", 1, len("--name ") + 1, len(one_line(name)))
        raise SpecError([Problem("unprintable-name", f"the run's name holds {fault}", place, NAME_HELP)])
    experiment = spec.tracking.experiment or spec.head.name
    tracking = spec.tracking.model_copy(update={"experiment": experiment})
    return replace(spec, head=spec.head.model_copy(update={"name": name}), tracking=tracking)
