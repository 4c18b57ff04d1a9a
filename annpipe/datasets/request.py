"""What rows a run needs: its data component, split and transforms, with the digest under which they are kept."""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import dataclass
from pathlib import Path

import torch

from annpipe.contract import Blocks, Fields
from annpipe.draft.component import Component
from annpipe.draft.transforms import Transforming
from annpipe.files.cache_folder import cache_folder
from annpipe.files.named import NamedFault, content
from annpipe.spec.sections.models import Split

FORMAT = 2  # since rows have check sums


@dataclass(frozen=True)
class Wanted:
    """What is asked of rows that come in blocks, and so decides what is kept of them."""

    blocks: Blocks
    fields: Fields
    split: Split
    seed: int
    transforms: tuple[Transforming, ...]
    dtype: torch.dtype
    classes: bool
    stacks: tuple[tuple[str, ...], ...] = ()

    @property
    def key(self) -> str:
        """A digest of all that decides the rows as they are trained on."""
        files = [_content(file) for file in self.split.files.values()]
        steps = [step for part in self.transforms for step in part.steps]
        said: list[object] = [FORMAT, self.blocks.digest, list(self.fields.inputs), list(self.fields.targets)]
        said += [self.split.model_dump(), self.seed, files, str(self.dtype), self.classes, self.stacks]
        said += [(part.columns, [step.to_data() for step in part.steps]) for part in self.transforms]
        said += [_source(step) for step in steps]
        return hashlib.sha256(repr(said).encode()).hexdigest()[:32]

    @property
    def folder(self) -> Path:
        """Where such rows are kept."""
        return cache_folder() / "rows" / self.key


def _content(file: str) -> bytes:
    """What a file of rows has; of one that cannot be read nothing, since whoever splits by it says so."""
    try:
        return content(file, bound="split file")
    except NamedFault:
        return b""


def _source(transform: Component) -> str:
    """A digest of the file that a transform is written in."""
    file = inspect.getsourcefile(transform.load())
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
