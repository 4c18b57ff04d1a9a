"""Ships the files that a journal names: artifacts, tables, and the model, if they are of the run's own folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from annpipe.errors import BadRunFolder
from annpipe.files.private import private_folder
from annpipe.record.journal.inside import check_inside, neighbour, path_inside
from annpipe.record.shipper.sender import Sender
from annpipe.record.shipper.translation import Translation
from annpipe.record.store import keys
from annpipe.record.store.faults import ItemRefused
from annpipe.record.store.items import ModelFacts


class RunFiles:
    """The files of one run. Of each it is noted what the record is to hold; with `is_new` it is shipped as well."""

    def __init__(self, folder: Path, sender: Sender, translation: Translation) -> None:
        self._folder = folder
        self._sender = sender
        self._translation = translation

    def artifact(self, name: str, to: str | None, *, is_new: bool) -> None:
        """A file that the journal names; refused where it, or where it is to go, is outside."""
        try:
            path = path_inside(self._folder, name)
            if to:
                path_inside(self._folder, to)  # neither does it leave the run's artifacts in the store
        except BadRunFolder as error:
            if is_new:
                self._sender.refuse(f"artifact {name}", ItemRefused(str(error)))
            return
        self.file(path, to, is_new=is_new)

    def file(self, path: Path, to: str | None, *, is_new: bool = True) -> None:
        """A file of the run, into the folder `to` of its artifacts."""
        sender = self._sender
        target = self._translation.artifact(to, path.name)
        if is_new:
            sender.offer(f"artifact {target}", lambda: sender.store.artifact(sender.run, path, target))

    def names(self) -> bool:
        """The true names of what has other ones in the record; whether there are some."""
        names = self._translation.names
        if not names:
            return False
        path = self._folder / "artifacts" / keys.FILE
        private_folder(path.parent)
        path.write_text(names.to_json() + "\n", encoding="utf-8", newline="\n")
        self.file(path, None)
        return True

    def model(self, name: str, facts: ModelFacts, before: Callable[[], None], *, is_new: bool) -> None:
        """The model in a folder that the journal names; `before` is done first, as this takes a while."""
        item = self._translation.model()
        if not is_new:
            return
        sender = self._sender
        try:
            folder = self._model_folder(name)
        except BadRunFolder as error:
            sender.refuse(item, ItemRefused(str(error)))
            return
        before()
        experiment, known = sender.state.experiment_id or "", sender.state.model_id
        model_id = sender.offer(item, lambda: sender.store.model(sender.run, experiment, known, folder, facts))
        if model_id:
            sender.note(model_id=model_id)

    def _model_folder(self, name: str) -> Path:
        """In the run's own folder, or in that of a trial of the sweep; raises BadRunFolder."""
        above, slash, below = name.removeprefix("../").partition("/")
        if not name.startswith("../") or not slash:
            return path_inside(self._folder, name)
        trial = neighbour(self._folder, above)
        check_inside(trial)
        return path_inside(trial, below)
