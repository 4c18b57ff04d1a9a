"""A journal ships files of its own folder, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking.client import MlflowClient

from annpipe.errors import BadRunFolder
from annpipe.record.journal.events import ArtifactKept, ModelSaved
from annpipe.record.journal.inside import check_inside, neighbour, path_inside
from annpipe.record.journal.location import embedded_uri
from annpipe.record.journal.state import write_state
from annpipe.record.shipper import follow
from annpipe.record.shipper.retry import TrainerPipe

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.", "ignore::DeprecationWarning")

OUTSIDE = ["../../secret.txt", "SECRET", "a/../../../secret.txt", "link/secret.txt", "", ".."]


def test_files_outside_are_refused_and_the_rest_arrives(project: Path, begin: Any) -> None:
    """Relative, absolute, or by a name of the store's own: each is told, none is shipped, and all else is."""
    secret = project / "secret.txt"
    secret.write_text("private")
    run = begin(artifact_root=str(project / "elsewhere"))
    (run.folder / "own.txt").write_text("own")
    for name in OUTSIDE:
        run.journal.write(ArtifactKept(file=name.replace("SECRET", str(secret)), to=""))
    run.journal.write(ArtifactKept(file="own.txt", to="../../../../stray"))
    run.journal.write(ArtifactKept(file="own.txt", to="kept"))
    for folder in ("../../private", "../..", str(project), "../nobody/model"):
        run.journal.write(ModelSaved(folder=folder))
    state = follow.ship(run.end(), embedded_uri(project), TrainerPipe(None), 1.0)
    assert not state.complete
    assert len(state.refused) == len(OUTSIDE) + 1 + 4
    shipped = [path for path in (project / "mlartifacts").rglob("*") if path.is_file()]
    assert [path.name for path in shipped] == ["own.txt"]
    assert shipped[0].parent.name == "kept"
    assert not (project / "elsewhere").exists(), "where artifacts go is not for the journal to say"
    assert not list(project.rglob("stray"))


def test_a_folder_with_a_link_out_of_it_is_not_shipped(project: Path, begin: Any) -> None:
    """Not a byte is read or written through it."""
    folder = begin().end()
    (project / "rc").write_text("before")
    (folder / "shipper.log").symlink_to(project / "rc")
    with pytest.raises(BadRunFolder, match=r"leads out of its folder: shipper\.log"):
        follow.ship(folder, embedded_uri(project), TrainerPipe(None), 1.0)
    assert (project / "rc").read_text() == "before"


def test_a_folder_does_not_write_into_the_record_of_another(project: Path, begin: Any) -> None:
    """Neither by the id of a run beside it, nor by the MLflow run that its state names; a renamed folder goes on."""
    uri = embedded_uri(project)
    own = begin().end()
    known = follow.ship(own, uri, TrainerPipe(None), 1.0)
    claimed = begin(id=own.name).end("FAILED")
    with pytest.raises(BadRunFolder, match=f"says that it is {own.name}, which lies beside it"):
        follow.ship(claimed, uri, TrainerPipe(None), 1.0)
    other = begin().end("FAILED")
    write_state(other, replace(known, complete=False, offset=known.offset - 1))
    state = follow.ship(other, uri, TrainerPipe(None), 1.0)
    assert state.complete
    assert state.run_id != known.run_id
    assert MlflowClient(uri).get_run(str(known.run_id)).info.status == "FINISHED"
    renamed = own.rename(own.with_name("renamed"))
    assert follow.ship(renamed, uri, TrainerPipe(None), 1.0).run_id == known.run_id


@pytest.mark.parametrize("name", ["../x", "/etc", "a/../../b", "", ".", "..", "a\0b"])
def test_a_name_is_a_path_of_the_folder_or_refused(name: str, tmp_path: Path) -> None:
    """As the path of a file and as the id of another run."""
    if name not in ("", "."):
        with pytest.raises(BadRunFolder):
            path_inside(tmp_path, name)
    with pytest.raises(BadRunFolder):
        neighbour(tmp_path, name)
    assert path_inside(tmp_path, "a/b.txt") == tmp_path / "a" / "b.txt"
    assert neighbour(tmp_path, "run-1") == tmp_path.parent / "run-1"


def test_a_circle_of_links_is_no_run_folder(tmp_path: Path) -> None:
    """It is told, and ends."""
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(BadRunFolder):
        check_inside(tmp_path / "circle")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "up").symlink_to("..")
    with pytest.raises(BadRunFolder):
        check_inside(tmp_path / "run")
