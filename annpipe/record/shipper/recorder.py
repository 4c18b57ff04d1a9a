"""The trainer's side of the record: it starts a shipper, names the run folder, and closes the pipe."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from annpipe.files.private import home
from annpipe.files.processes import apart
from annpipe.record.journal.location import MLFLOW_ENVIRONMENT
from annpipe.record.journal.state import is_recorded, read_state


@dataclass(frozen=True)
class ShipState:
    """What is known of a run's record: in which store, how far, and what stands in its way."""

    complete: bool
    shipping: bool
    problem: str | None
    store: str
    run_id: str | None
    experiment_id: str | None
    refused: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: Path, uri: str | None = None, *, shipping: bool) -> Self:
        """The state of the record of the run in `folder`, in the store `uri` or its own."""
        state, complete = read_state(folder, uri), is_recorded(folder, uri)
        problem = state.problem
        if not complete and not shipping and problem is None:
            problem = f"the shipper stopped; see {folder / 'shipper.log'}"
        return cls(
            complete=complete,
            shipping=shipping and not complete,
            problem=problem,
            store=state.store,
            run_id=state.run_id,
            experiment_id=state.experiment_id,
            refused=state.refused,
            notices=state.notices,
        )

    @property
    def page(self) -> str:
        """The run's place below the address of MLflow's UI; empty while it has none."""
        return f"#/experiments/{self.experiment_id}/runs/{self.run_id}" if self.run_id else ""


class Recorder:
    """The trainer's end of the pipe to its shipper; nothing here raises because a store is away."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._folder: Path | None = None
        self._uri: str | None = None

    @classmethod
    def start_shipper(cls) -> Self:
        """Starts the shipper, which imports MLflow meanwhile; costs the start of a process and no more."""
        process = subprocess.Popen(
            # -P: a file in the working directory called mlflow.py must not become MLflow.
            [sys.executable, "-P", "-m", "annpipe.record.shipper"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            **apart(),
        )
        return cls(process)

    def attach(self, folder: Path, tracking_uri: str | None = None, *, system: bool | None = False) -> None:
        """Names the run to ship; its journal must be there. `tracking_uri` may hold credentials: it is not written
        down, and is only needed where it does, or where it differs from what the journal says. `system`: whether the
        machine is sampled until `finish`; None for runs that are not short."""
        self._folder, self._uri = folder.absolute(), tracking_uri
        message = {
            "folder": str(self._folder),
            "tracking_uri": tracking_uri,
            "trainer": os.getpid(),
            "system": system,
        }
        stdin = self._process.stdin
        assert stdin is not None
        with suppress(OSError):  # a shipper that died leaves the run to `annpipe sync`
            stdin.write(json.dumps(message).encode() + b"\n")
            stdin.flush()

    def finish(self, wait_seconds: float) -> ShipState:
        """Tells the shipper that nothing more will come, and waits for it, but no longer than so many seconds."""
        stdin = self._process.stdin
        assert stdin is not None
        with suppress(OSError):
            stdin.close()
        try:
            self._process.wait(wait_seconds)
        except subprocess.TimeoutExpired:
            self._let_go()
            return self.look(shipping=True)
        return self.look(shipping=False)

    @property
    def pid(self) -> int:
        """The shipper's process id."""
        return self._process.pid

    def look(self, *, shipping: bool) -> ShipState:
        """What the shipper has noted so far."""
        if self._folder is None:
            return ShipState(complete=False, shipping=False, problem=None, store="", run_id=None, experiment_id=None)
        return ShipState.of(self._folder, self._uri, shipping=shipping)

    def release(self) -> None:
        """Leaves the shipper to end by itself, where nobody waits for a record: the run could not begin."""
        if self._process.stdin and not self._process.stdin.closed:
            with suppress(OSError):
                self._process.stdin.close()
        self._let_go()

    def _let_go(self) -> None:
        # The shipper outlives us on purpose; without a return code Popen would warn of a forgotten child.
        self._process.returncode = 0


def _environment() -> dict[str, str]:
    # MLflow needs a home to be imported
    environment = {"HOME": str(home()), **MLFLOW_ENVIRONMENT, **os.environ, "OMP_NUM_THREADS": "1"}
    root = str(Path(__file__).resolve().parents[3])
    # Site-packages come by themselves, and on PYTHONPATH they would stand before the standard library.
    if root not in {*site.getsitepackages(), site.getusersitepackages()}:
        before = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{root}{os.pathsep}{before}" if before else root
    return environment
