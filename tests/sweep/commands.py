"""`annpipe sweep` in a process of its own: begun, waited for, looked into."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SPEC = """
version: 1
name: small
device: {type: cpu, threads: 1}
data:
  formula: {rows: 60, inputs: {x: {Uniform: [-2, 2]}}, targets: {y: x**2}, noise: {y: {Normal: [0, 0.1]}}}
  split: {val: 0.25}
model: [Linear: 8, ReLU, Linear: 1]
loss: MSELoss
optimizer: {Adam: {lr: 0.01}}
train: {epochs: 6, batch_size: 20}
tracking: {wait_seconds: 0}
sweep:
  over:
    optimizer.Adam.lr: {log_uniform: [1e-4, 1e-1]}
    model.1: [ReLU, Tanh, {LeakyReLU: 0.2}]
    model.0.Linear: {range: [4, 12, 4]}
  method: random
  trials: 6
"""
# A process that has imported everything forks: what is left to each of its children is the opening alone.
AT_ONCE = """
    import os, sys, time
    from annpipe.sweep.queue import DatabaseQueue
    from annpipe.sweep.storage import storage_of

    def opened(url, number):
        storage = storage_of(url)
        queue = DatabaseQueue(storage.engine, "s", 8, f"w{number}", 30)
        (taken,) = queue.take(1)
        return queue.end(taken.index, "[]")

    def child(url, number, start):
        if pid := os.fork():
            return pid
        time.sleep(max(0.0, start - time.monotonic()))
        try:
            code = 0 if opened(url, number) else 2
        except BaseException as error:
            print(type(error), error, file=sys.stderr, flush=True)
            code = 1
        os._exit(code)

    opened(sys.argv[1], 0)  # what is imported late is there now
    for url in sys.argv[2:]:
        start = time.monotonic() + 0.1
        children = [child(url, number, start) for number in range(8)]
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
        if any(codes):
            sys.exit(f"{url}: {codes}")
"""
WAITS = """
import time
from pathlib import Path
from annpipe import Look, callback

@callback
class waits:
    def on_look(self, look: Look) -> None:
        while not Path("go").exists():
            time.sleep(0.05)
"""


def begun(project: Path, *words: str, **environment: str) -> subprocess.Popen[bytes]:
    """`annpipe sweep` in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "annpipe", "sweep", "spec.yaml", "--json", *words],
        cwd=project,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def finished(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What a sweep printed that ended well."""
    printed, said = process.communicate(timeout=400)
    assert process.returncode == 0, said
    found: dict[str, Any] = json.loads(printed)
    return found


def waited(condition: Any, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def workers_of(pid: int) -> list[int]:
    """The processes below a process that train."""
    return [below for below, command in below_of(pid).items() if b"spawn_main" in command]


def below_of(pid: int) -> dict[int, bytes]:
    """The processes below a process, at every depth, with their command lines."""
    above, commands = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                commands[int(entry.name)] = (entry / "cmdline").read_bytes()
                above[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ProcessLookupError):
                continue
    found = {pid}
    while more := {child for child, parent in above.items() if parent in found} - found:
        found |= more
    return {child: commands[child] for child in found - {pid}}


def has_begun(worker: int) -> bool:
    """Whether a worker has a trial under way: it holds a run's journal open."""
    try:
        held = [os.readlink(one) for one in Path(f"/proc/{worker}/fd").iterdir()]
    except OSError:
        return False
    return any("/runs/small-2" in path for path in held)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended may wait for whoever asks how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
