"""Injects faults and counts them: a fault that never struck fails its test, and so does whatever was lost by one.

    injector = Injector("refused", "reset")          # what has to strike at least once
    ...
    injector.hit("refused")                          # by the test's proxy, or told by a child (`Child`)
    injector.lost("refused", "epoch 3 of train/loss")  # what should be there and is not
    print(injector.report())
    injector.check()

`Child` runs `annpipe …` as a process in which calls of the system fail, are cut short, or are the last ones.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Injector:
    """Counts hits and losses by the name of the fault."""

    def __init__(self, *expected: str) -> None:
        """`expected` are the faults that have to strike."""
        self.expected = list(expected)
        self.hits: Counter[str] = Counter()
        self.losses: list[tuple[str, str]] = []

    def hit(self, fault: str, count: int = 1) -> None:
        """The fault struck."""
        self.hits[fault] += count

    def lost(self, fault: str, what: str) -> None:
        """Something that a fault must not take is gone, or is not what it was."""
        self.losses.append((fault, what))

    def report(self) -> str:
        """A line a fault with its hits and losses, and their sums."""
        lost = Counter(fault for fault, _ in self.losses)
        names = list(dict.fromkeys([*self.expected, *self.hits, *lost]))
        width = max((len(name) for name in names), default=0)
        lines = [f"  {name:<{width}}  {self.hits[name]:5} hits  {lost[name]:3} losses" for name in names]
        lines += [f"  lost by {fault}: {what}" for fault, what in self.losses]
        return "\n".join([*lines, f"  {len(names)} faults, {self.hits.total()} hits, {len(self.losses)} losses"])

    def check(self) -> None:
        """Raises AssertionError where a fault that has to strike never did, and where something was lost."""
        idle = [fault for fault in self.expected if not self.hits[fault]]
        assert not idle, f"never struck: {', '.join(idle)}\n{self.report()}"
        assert not self.losses, f"lost something:\n{self.report()}"


@dataclass(frozen=True)
class Fault:
    """One way in which a call goes wrong.

    `call` is `open`, `write`, `fsync`, `rename` or `mkdir`, of files whose path the expression `path` finds; or a
    function by its dotted name. It is struck from the `at`th such call on, `times` times (0: for ever). It `does` what
    an errno says (`ENOSPC`), writes `half` first where told, or sends the process a signal (`SIGKILL`). Where `process`
    is a word, only processes are struck in whose command line it stands.
    """

    name: str
    call: str
    path: str = ""
    does: str = "SIGKILL"
    at: int = 1
    times: int = 1
    half: bool = False
    process: str = ""


@dataclass
class Child:
    """Runs annpipe in a process of its own under faults, and reports their hits to the injector."""

    injector: Injector
    folder: Path
    faults: Sequence[Fault] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, *arguments: str | Path) -> tuple[list[str], dict[str, str]]:
        """The command line and the environment."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "ANNPIPE"))}
        # sitecustomize: also the processes that it starts, such as the shipper, are struck.
        above = os.pathsep.join([str(Path(__file__).parent / "site"), str(ROOT), kept.get("PYTHONPATH", "")])
        told = json.dumps([asdict(fault) for fault in self.faults])
        own = {"PYTHONPATH": above.rstrip(os.pathsep), "FAULTS": told, "FAULTS_HITS": str(self._hits)}
        return [sys.executable, "-m", "annpipe", *map(str, arguments)], {**kept, **own, **self.environment}

    def run(self, *arguments: str | Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Waits for the end of it, and counts."""
        command, environment = self.command(*arguments)
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )
        self.count()
        return done

    def count(self) -> None:
        """Takes in what has struck since."""
        if self._hits.exists():
            for name in self._hits.read_text().split("\n")[:-1]:
                self.injector.hit(name)
            self._hits.unlink()

    @property
    def _hits(self) -> Path:
        return self.folder.parent / f"{self.folder.name}.hits"


def strike() -> None:
    """Lays the faults of the environment over this process's calls; `site/sitecustomize.py` calls it at the start."""
    faults = [Fault(**fault) for fault in json.loads(os.environ.get("FAULTS", "[]"))]
    line = Path("/proc/self/cmdline").read_bytes().decode(errors="replace")
    faults = [fault for fault in faults if fault.process in line]
    if faults:
        _Striking(faults, os.environ["FAULTS_HITS"]).lay()


class _Striking:
    """The faults of one process."""

    def __init__(self, faults: Sequence[Fault], hits: str) -> None:
        self._faults = faults
        self._seen: Counter[str] = Counter()
        self._write, self._open, self._close = os.write, os.open, os.close
        self._hits = self._open(hits, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.set_inheritable(self._hits, False)

    def lay(self) -> None:
        """Replaces the calls; `open` is heard of by an audit hook, which also sees those of libraries in C."""
        by_call: dict[str, list[Fault]] = {}
        for fault in self._faults:
            by_call.setdefault(fault.call, []).append(fault)
        if "write" in by_call:
            os.write = self._writing(by_call.pop("write"))
        if "fsync" in by_call:
            os.fsync = self._of_descriptor(os.fsync, by_call.pop("fsync"))
        if faults := by_call.pop("rename", []):
            os.rename, os.replace = self._of_path(os.rename, faults), self._of_path(os.replace, faults)
        if faults := by_call.pop("mkdir", []):
            os.mkdir = self._of_path(os.mkdir, faults)
        if faults := by_call.pop("open", []):
            sys.addaudithook(self._opening(faults))
        for name, faults in by_call.items():
            _when_imported(name.rpartition(".")[0], lambda name=name, faults=faults: self._function(name, faults))

    def _struck(self, faults: Sequence[Fault], path: str) -> Fault | None:
        for fault in faults:
            if re.search(fault.path, path):
                self._seen[fault.name] += 1
                seen = self._seen[fault.name]
                if seen >= fault.at and (not fault.times or seen < fault.at + fault.times):
                    return fault
        return None

    def _go_wrong(self, fault: Fault, path: str) -> None:
        self._write(self._hits, f"{fault.name}\n".encode())
        if fault.does.startswith("SIG"):
            os.kill(os.getpid(), getattr(signal, fault.does))
            return
        number = getattr(errno, fault.does)
        raise OSError(number, os.strerror(number), path)

    def _writing(self, faults: Sequence[Fault]) -> Callable[[int, bytes], int]:
        def write(descriptor: int, data: bytes) -> int:
            path = _path_of(descriptor)
            if fault := self._struck(faults, path):
                if fault.half:
                    self._write(descriptor, bytes(data)[: len(data) // 2])
                self._go_wrong(fault, path)
            return self._write(descriptor, data)

        return write

    def _of_descriptor(self, real: Any, faults: Sequence[Fault]) -> Any:
        def call(descriptor: int) -> None:
            path = _path_of(descriptor)
            if fault := self._struck(faults, path):
                self._go_wrong(fault, path)
            real(descriptor)

        return call

    def _of_path(self, real: Any, faults: Sequence[Fault]) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            path = os.fspath(arguments[-1] if real.__name__ in ("rename", "replace") else arguments[0])
            if fault := self._struck(faults, str(path)):
                self._go_wrong(fault, str(path))
            return real(*arguments, **options)

        return call

    def _opening(self, faults: Sequence[Fault]) -> Callable[[str, tuple[Any, ...]], None]:
        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if event != "open" or not isinstance(arguments[0], str):
                return
            path, _, flags = arguments
            if not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
            if fault := self._struck(faults, os.path.abspath(path)):
                self._go_wrong(fault, path)

        return hook

    def _function(self, name: str, faults: Sequence[Fault]) -> None:
        module, _, function = name.rpartition(".")
        owner = sys.modules[module]
        real = getattr(owner, function)

        def call(*arguments: Any, **options: Any) -> Any:
            if fault := self._struck(faults, name):
                self._go_wrong(fault, name)
            return real(*arguments, **options)

        setattr(owner, function, call)


def _path_of(descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""


def _when_imported(module: str, action: Callable[[], None]) -> None:
    """Calls the action as soon as the module has been imported."""
    from importlib.abc import Loader, MetaPathFinder
    from importlib.machinery import ModuleSpec

    class After(Loader):
        def __init__(self, real: Any) -> None:
            self._real = real

        def create_module(self, spec: ModuleSpec) -> Any:
            return self._real.create_module(spec)

        def exec_module(self, made: Any) -> None:
            self._real.exec_module(made)
            action()

    class Finder(MetaPathFinder):
        def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
            if name != module:
                return None
            sys.meta_path.remove(self)
            spec = importlib.util.find_spec(name)
            assert spec is not None
            spec.loader = After(spec.loader)
            return spec

    sys.meta_path.insert(0, Finder())
