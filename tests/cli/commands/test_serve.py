"""`annpipe serve`: an address that answers as `annpipe predict` does until Ctrl-C, and nothing left behind."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import psutil
import pytest

import annpipe
from annpipe.errors import NotFound, NotTrusted
from annpipe.record.journal import location
from annpipe.record.journal.seal import FILE as SEAL
from annpipe.record.shipper.registering import register_run
from annpipe.record.store.registry_names import parsed_address
from annpipe.saved.predict import predict
from tests.conftest import CliHere, unrecorded

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

SPEC = """
version: 1
name: lines
device: {type: cpu, threads: 1}
data: {csv: {files: lines.csv, target: [up, down]}}
model: [Linear: 6, Tanh, Linear: 2]
loss: L1Loss
optimizer: {Adam: {lr: 0.05}}
train: {epochs: 10}
plots: []
"""


@pytest.fixture
def run(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run of two columns and two targets, which nobody has shipped."""
    shutil.copy(empty_store, tmp_path / location.DATABASE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    rows(100).assign(up=lambda frame: frame.x1 + frame.x2, down=lambda frame: -frame.x2).to_csv(
        "lines.csv", index=False
    )
    Path("lines.yaml").write_text(SPEC, encoding="utf-8")
    with unrecorded():
        return annpipe.run("lines.yaml").folder


def rows(n: int) -> pd.DataFrame:
    random = np.random.default_rng(n)
    return pd.DataFrame({"x1": random.normal(3, 2, n), "x2": random.normal(-1, 3, n)})


@contextmanager
def serving(*words: str) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, which does not outlive a test that fails."""
    code = "from annpipe.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "serve", *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)


def asked(words: list[str]) -> Any:
    """What a curl line gets, by curl where there is one."""
    if shutil.which("curl"):
        return json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
    headers = dict([words[words.index("-H") + 1].split(": ")])
    request = urllib.request.Request(words[2], words[-1].encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


@pytest.mark.slow
def test_a_run_is_served_until_ctrl_c(run: Path) -> None:
    """The printed line works; ten thousand rows are answered as predict does; exit 0, and no process stays."""
    with serving("lines", "--json") as process:
        assert process.stdout is not None
        printed = "".join(iter(process.stdout.readline, "}\n")) + "}"
        facts = json.loads(printed)
        assert facts["model"] == run.name
        (answer,) = asked(shlex.split(facts["request"]))["predictions"]
        assert set(answer) == {"up", "down"}
        rows(10_000).to_csv("rows.csv", index=False)
        request = urllib.request.Request(
            f"{facts['address']}/invocations", Path("rows.csv").read_bytes(), {"Content-Type": "text/csv"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            served = pd.DataFrame(json.loads(response.read())["predictions"])
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert not psutil.wait_procs(children, 20)[1]
    predict(run, "rows.csv", Path("answers.parquet"))
    np.testing.assert_allclose(served.to_numpy(), pd.read_parquet("answers.parquet").to_numpy(), rtol=0, atol=1e-6)
    assert not list(run.parent.parent.rglob("mlruns"))


@pytest.mark.slow
def test_a_registered_model_is_served_if_it_is_of_an_own_run(run: Path, tmp_path: Path) -> None:
    """Its files are the sealed ones of the run; those of the store alone are code of others, run with --trust."""
    from annpipe.record.store.served import registered_model

    uri = location.embedded_uri(tmp_path)
    register_run(run, "lines", ["champion"], {})
    address = parsed_address("models:/lines@champion")
    (tmp_path / "own").mkdir()
    model, called = registered_model(address, uri, tmp_path, tmp_path / "own")
    assert (model / "MLmodel").is_file()
    assert run.name in called
    with pytest.raises(NotFound, match=r"there is no model models:/lines@other .*'lines' has @champion \(version 1\)"):
        registered_model(parsed_address("models:/lines@other"), uri, tmp_path, tmp_path / "own")
    with pytest.raises(NotFound, match=r"there is no model models:/line/1 .*: it has lines"):
        registered_model(parsed_address("models:/line/1"), uri, tmp_path, tmp_path / "own")
    (run / SEAL).unlink()
    (tmp_path / "others").mkdir()
    with pytest.raises(NotTrusted, match="a model is Python code, which would be run"):
        registered_model(address, uri, tmp_path, tmp_path / "others")
    model, called = registered_model(address, uri, tmp_path, tmp_path / "others", trust=True)
    assert (model / "MLmodel").is_file()
    assert run.name not in called


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((), 2, "say which model"),
        (("lines", "--last"), 2, "say which model"),
        (("models:/lines",), 2, "names no version"),
        (("models:/a/b@c",), 2, "has the sign '/'"),
        (("lines", "--host", "no.such.host.invalid"), 5, "no server can listen at 'no.such.host.invalid'"),
        (("lines", "--host", "192.0.2.1"), 5, "it is no address of this machine"),
        (("lines",), 2, "there are no runs"),
    ],
)
def test_what_cannot_be_served_is_told_at_once(
    annpipe_here: CliHere, words: tuple[str, ...], code: int, told: str
) -> None:
    """Before MLflow is loaded."""
    assert (annpipe_here("serve", *words)[0], told in annpipe_here("serve", *words)[2]) == (code, True)


def test_a_port_that_is_taken_is_said(annpipe_here: CliHere) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        code, _, error = annpipe_here("serve", "lines", "--port", str(taken.getsockname()[1]))
    assert (code, "leave --port out" in error) == (5, True)


@pytest.mark.slow
def test_a_model_of_others_and_a_damaged_one_are_refused(run: Path, annpipe_here: CliHere) -> None:
    (run / "model" / "model.json").write_text("{}", encoding="utf-8")
    code, _, error = annpipe_here("serve", "lines")
    assert (code, "model/model.json is not the file that was sealed" in error) == (2, True)
    code, _, error = annpipe_here("serve", "lines", "--trust")
    assert (code, "cannot be served" in error) == (3, True)
