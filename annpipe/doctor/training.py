"""Trains a small network for three seconds with everything that belongs to a run: process, journal, figure, record."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from annpipe.doctor.finding import Finding

SECONDS = 3
LIMIT_SECONDS = 120
SPEC = f"""\
version: 1
name: doctor
data:
  formula: {{rows: 1000, inputs: {{x: {{Uniform: [-15, 15]}}}}, targets: {{y: x**2 + 3}}}}
model: [{{Linear: 32}}, ReLU, {{Linear: 1}}]
loss: L1Loss
optimizer: {{Adam: {{lr: 0.01}}}}
train: {{epochs: 1000000, max_seconds: {SECONDS}}}
plots: [learning_curve]
tracking: {{wait_seconds: 60}}
device: {{compile: "off"}}
"""


def training_findings() -> Iterator[Finding]:
    """A run in an empty project of its own, as `annpipe run` makes it."""
    with tempfile.TemporaryDirectory(prefix="annpipe-doctor-") as folder:
        Path(folder, "doctor.yaml").write_text(SPEC, encoding="utf-8", newline="\n")
        uri = f"sqlite:///{(Path(folder).resolve() / 'mlflow.db').as_posix()}"
        command = [sys.executable, "-m", "annpipe", "run", "doctor.yaml", "--json", "--tracking-uri", uri]
        begin = time.perf_counter()
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, encoding="utf-8", timeout=LIMIT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            text = f"a training of {SECONDS} seconds did not end in {LIMIT_SECONDS}"
            yield Finding("training", text, "fault", "look at what else uses the machine")
            return
        seconds = time.perf_counter() - begin
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
        text = f"a training of {SECONDS} seconds ended with exit code {done.returncode}: {lines[-1]}"
        yield Finding("training", text, "fault", "see the findings above, and run a spec to see the whole message")
        return
    result = json.loads(done.stdout)
    if not result.get("recorded", True):
        text = "it worked, and its record is not complete"
        yield Finding("training", text, "warning", "see the finding of the store")
        return
    yield Finding("training", f"a run of {SECONDS} seconds was trained and recorded, {seconds:.1f} s in all")
