"""A process that has imported annpipe and torch once, and makes a fork of itself for each command that it is told.

`annpipe …` in a process of its own takes seconds to import them; a fork takes none, and can be killed or given faults
as well. Runs are recorded by nobody, so that MLflow is not imported: their journals are looked at instead.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from tests.faults.injector import ROOT, Fault, Injector, lay


@dataclass(frozen=True)
class Done:
    """How a command ended: its exit code, minus the number of the signal that killed it, and what it printed."""

    code: int
    said: str


class Zygote:
    """The other end of that process; ends it with the block."""

    def __init__(self) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="faults-")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "ANNPIPE"))}
        paths = os.pathsep.join([str(ROOT), kept.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        threads = {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}  # a fork has no other thread than its own
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.faults.zygote"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**kept, **threads, "PYTHONPATH": paths, "XDG_CACHE_HOME": f"{self._scratch.name}/cache"},
        )  # fmt: skip

    @property
    def cache(self) -> Path:
        """Where its commands keep rows of streamed tables."""
        return Path(self._scratch.name) / "cache" / "annpipe"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(300)
        self._process.stdout.close()
        self._scratch.cleanup()

    def run(
        self,
        folder: Path,
        *arguments: str,
        faults: Sequence[Fault] = (),
        injector: Injector | None = None,
        nohup: bool = False,
    ) -> Done:
        """Runs `annpipe …` in the folder under faults, or as `nohup` starts it; the injector hears what struck."""
        hits, said = Path(self._scratch.name, "hits"), Path(self._scratch.name, "said")
        hits.unlink(missing_ok=True)
        told = {
            "folder": str(folder),
            "arguments": arguments,
            "faults": [asdict(fault) for fault in faults],
            "hits": str(hits),
            "said": str(said),
            "nohup": nohup,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        if injector is not None and hits.exists():
            for name in hits.read_text().split("\n")[:-1]:
                injector.hit(name)
        return Done(code, said.read_text(errors="replace"))


def main() -> None:
    """Imports, then forks for each line of stdin and answers with the exit code."""
    _import()
    for line in sys.stdin:
        told = json.loads(line)
        child = os.fork()
        if not child:
            _act(told)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


def _import() -> None:
    import matplotlib.pyplot  # noqa: F401
    import torch

    import annpipe.cli.commands.run
    import annpipe.runs.launch
    import annpipe.runs.run
    import annpipe.saved.model  # noqa: F401
    from annpipe.registry.registry import Registry

    torch.set_num_threads(1)
    Registry.installed()


def _act(told: dict[str, object]) -> None:
    from annpipe.cli import main as annpipe
    from tests.conftest import unrecorded

    signal.signal(signal.SIGHUP, signal.SIG_IGN if told["nohup"] else signal.SIG_DFL)  # however the tests were begun
    os.chdir(str(told["folder"]))
    out = os.open(str(told["said"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, of in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(descriptor, of)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  # as long as the process
    sys.argv = ["annpipe", *told["arguments"]]  # type: ignore[misc]  # a list of words
    lay([Fault(**fault) for fault in told["faults"]], str(told["hits"]))  # type: ignore[attr-defined]  # dicts
    with unrecorded():
        annpipe()
    os._exit(70)


if __name__ == "__main__":
    main()
