"""Is there any spec that annpipe neither takes nor explains, or that costs more time or memory than a spec may?

    python tests/fuzz/fuzz_specs.py --drafts 100000 --plans 2000

Each case is a spec of the repository with random changes: values, keys, components of the registry, parts of other
specs, bytes. It is read and drafted as `annpipe validate --untrusted` does it; `--plans` counts cases whose draft
is without fault and that are resolved to a plan. A case depends on the seed and its number alone. Each is bounded by
`--seconds` and `--gigabytes`; a worker that does not answer is ended from outside. What comes of a case is a draft or
plan, problems of the spec, or a failure (any other exception, or a bound that was passed), of which the spec is kept.
The exit code is 1 where there was one. pytest does not collect this; see docs/reliability.md.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
GRACE = 5.0  # seconds beyond a case's own after which its worker is ended
SIGNS = (
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    "- ",
    "#",
    "&a ",
    "*a",
    "!x ",
    "|",
    ">",
    "'",
    '"',
    "\t",
    "\n",
    "  ",
    "${",
    "$",
    "\x00",
)
SIGNS += ("é", "\u2028", "\ufeff", "%", "@", "`", "<<: ", "---\n", "...\n", "? ", ",", "~", "\r", "\x85", "\ud7ff")
WORDS = (
    "",
    " ",
    "x",
    "y",
    "auto",
    "all",
    "train",
    "val/loss",
    "train/loss",
    "balanced",
    "*",
    "?",
    "a*",
    "[",
    "~",
    "..",
    "/",
)
WORDS += (
    "./x.csv",
    "../x.csv",
    "/dev/zero",
    "nu\0ll",
    "x" * 300,
    "é",
    "\u202e",
    "${x}",
    "$${x}",
    "x**2",
    "1/0",
    "9**9**9",
)
WORDS += (
    "__import__('os')",
    "sin(x)",
    "x" * 5000,
    "0..7",
    "0..99999999",
    "1e400",
    "cuda:9",
    "no",
    "null",
    "Linear",
    "MSELoss",
)
NUMBERS = (
    0,
    1,
    2,
    3,
    -1,
    7,
    10**3,
    10**6,
    10**9,
    10**12,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    10**30,
    -(10**30),
    10**300,
)
NUMBERS += (0.0, -0.0, 0.5, 1.5, -1.5, 1e-300, 5e-324, 1e16, 1e308, float("inf"), float("-inf"), float("nan"))


# --- the cases


class Cases:
    """The specs of the repository, and random changes of them."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry
        files = [*(ROOT / "pipelines").rglob("*.yaml"), *(ROOT / "examples").rglob("*.yaml")]
        wrong = sorted((ROOT / "tests" / "specs_wrong").rglob("*.yaml"))
        self._texts = [path.read_bytes() for path in sorted(files)]
        self.n_right = len(self._texts)
        self._texts += [path.read_bytes() for path in wrong]
        self._data: list[dict[str, Any]] = []
        for text in self._texts:
            try:
                read = yaml.load(text, Loader=yaml.CSafeLoader)
            except (yaml.YAMLError, ValueError, RecursionError):
                continue
            if isinstance(read, dict) and len(list(itertools.islice(_places(read), 5000))) < 5000:  # no bomb of aliases
                self._data.append(read)
        self._entries = {kind: registry.entries(kind) for kind in registry._entries}
        self._names = sorted({entry.name for entries in self._entries.values() for entry in entries})
        self._options = sorted({o.name for entries in self._entries.values() for e in entries for o in e.options})

    def case(self, seed: int, number: int, *, gentle: bool) -> bytes:
        """The spec of this number; a `gentle` one is right more often."""
        draw = random.Random(f"{seed} {number} {gentle}")
        gentle = gentle or number % 3 == 0
        if not gentle and draw.random() < 0.25:
            return self._bytes(draw, draw.choice(self._texts))
        data = _copy(self._data[draw.randrange(self.n_right if gentle else len(self._data))])
        for _ in range(draw.choice((0, 1, 1, 1, 2)) if gentle else draw.choice((1, 1, 2, 3, 8))):
            self._change(draw, data, gentle=gentle)
        if draw.random() < 0.05:
            data["sweep"] = {
                "over": {draw.choice(("seed", "optimizer", "model.0", "train.epochs")): self._value(draw, 2)}
            }
        try:
            text = yaml.dump(data, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
        except (yaml.YAMLError, RecursionError, UnicodeError):
            text = repr(data)
        return text.encode("utf-8", "surrogatepass")

    def _bytes(self, draw: random.Random, text: bytes) -> bytes:
        for _ in range(draw.choice((1, 1, 2, 4, 16))):
            at = draw.randrange(len(text) + 1)
            match draw.randrange(6):
                case 0:
                    text = text[:at] + bytes([draw.randrange(256)]) + text[at + 1 :]
                case 1:
                    text = (
                        text[:at]
                        + draw.choice(SIGNS).encode("utf-8", "surrogatepass") * draw.choice((1, 1, 2, 70))
                        + text[at:]
                    )
                case 2:
                    text = text[:at] + text[at + draw.randrange(40) :]
                case 3:
                    text = text[:at] + text[max(0, at - draw.randrange(80)) :]
                case 4:
                    text = text[:at] + str(draw.choice((*WORDS, *NUMBERS))).encode() + text[at:]
                case _:
                    lines = text.split(b"\n")
                    draw.shuffle(lines) if draw.random() < 0.1 else lines.insert(
                        draw.randrange(len(lines)), draw.choice(lines)
                    )
                    text = b"\n".join(lines)
        return text

    def _change(self, draw: random.Random, data: dict[str, Any], *, gentle: bool) -> None:
        """One change at a random place."""
        if not data:
            data["name"] = "x"
        holder, key = draw.choice(list(_places(data)))
        match draw.randrange(10):
            case 0 if not gentle:
                del holder[key]
            case 1 if isinstance(holder, dict) and not gentle:
                holder[draw.choice((*self._names, *self._options, *WORDS, *map(str, NUMBERS)))] = holder.pop(key)
            case 2 | 3:
                holder[key] = self._component(draw)
            case 4:
                other, there = draw.choice(list(_places(draw.choice(self._data))) or [(data, key)])
                holder[key] = _copy(other[there])
            case 5 if isinstance(holder, list):
                holder.insert(draw.randrange(len(holder) + 1), _copy(draw.choice(holder)) if holder else 0)
            case 6 if isinstance(holder, dict):
                holder[draw.choice((*self._options, *self._names))] = self._value(draw, 2)
            case 7 if not gentle:
                for _ in range(draw.choice((3, 40, 90))):
                    holder[key] = draw.choice(
                        ({"residual": [holder[key]]}, [holder[key]], {"repeat": [2, [holder[key]]]})
                    )
            case _ if gentle and isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
                holder[key] = draw.choice((1, 2, 3, 5, 8, 0.1, 0.5, 1e-3, 16, 64))
            case _:
                holder[key] = self._value(draw, 3)

    def _component(self, draw: random.Random) -> Any:
        """A component of the registry with some of its options, of their types or not."""
        entry = draw.choice(self._entries[draw.choice(list(self._entries))])
        options = {o.name: self._of(draw, o.type) for o in entry.options if o.required or draw.random() < 0.25}
        return {entry.name: options} if options else entry.name

    def _of(self, draw: random.Random, type_: str) -> Any:
        if draw.random() < 0.1:
            return self._value(draw, 2)
        known: dict[str, Callable[[], Any]] = {
            "int": lambda: draw.choice((0, 1, 2, 3, 8, 10**9) if draw.random() < 0.3 else (1, 2, 3, 8)),
            "float": lambda: draw.choice((0.1, 0.5, 1.0, 1e-3, 1e9)),
            "bool": lambda: draw.random() < 0.5,
            "stack": lambda: [self._component(draw)],
            "list": lambda: [draw.choice((1, 2, 3)) for _ in range(draw.randrange(4))],
            "tuple": lambda: [draw.choice((1, 2, 3)) for _ in range(draw.choice((1, 2, 3)))],
            "dict": lambda: {"x": draw.choice((1, "x", [1.0, 2.0]))},
            "expression": lambda: draw.choice(("x", "x**2", "epoch", "sin(x)", 3)),
        }
        fitting = [make for word, make in known.items() if type_.startswith(word)]
        return fitting[0]() if fitting else self._value(draw, 1)

    def _value(self, draw: random.Random, depth: int) -> Any:
        match draw.randrange(8 if depth else 5):
            case 0 | 1:
                return draw.choice(NUMBERS)
            case 2:
                return draw.choice(WORDS)
            case 3:
                return draw.choice(self._names)
            case 4:
                return draw.choice((None, True, False))
            case 5:
                return [self._value(draw, depth - 1) for _ in range(draw.choice((0, 1, 2, 3, 30)))]
            case 6:
                return {
                    str(draw.choice((*self._options, *WORDS))): self._value(draw, depth - 1)
                    for _ in range(draw.randrange(4))
                }
        return self._component(draw) if depth > 1 else draw.choice(self._names)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each mapping or list with each of its keys or positions."""
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        for key, inner in holder.items() if isinstance(holder, dict) else enumerate(holder):
            yield holder, key
            if isinstance(inner, dict | list):
                waiting.append(inner)


def _copy(value: Any, depth: int = 0) -> Any:
    """A copy of it, cut where it is deeper than any spec."""
    if depth > 100:
        return None
    if isinstance(value, dict):
        return {key: _copy(inner, depth + 1) for key, inner in value.items()}
    return [_copy(inner, depth + 1) for inner in value] if isinstance(value, list) else value


# --- one worker


class TooLong(BaseException):
    """A case has passed its time: no `except Exception` may swallow it."""


def work(phase: str, seed: int, folder: Path, limits: tuple[float, float], pipe: Connection) -> None:
    """Takes numbers of cases from the pipe, and answers with (number, outcome, seconds, bytes, what is to be told)."""
    from annpipe.registry.registry import Registry

    os.chdir(folder)
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # for as long as the process lives
    registry = Registry.installed()
    cases = Cases(registry)
    seconds, gigabytes = limits
    if phase == "plan":
        pass  # so that no case pays for torch
    signal.signal(signal.SIGALRM, _late)
    data = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
    most = int(data.split()[1]) * 1024 + int(gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    path = folder / f"case-{os.getpid()}.yaml"
    while (number := pipe.recv()) is not None:
        path.write_bytes(cases.case(seed, number, gentle=phase == "plan"))
        began = time.perf_counter()
        said = ""
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            outcome = one(path, registry, phase)
        except TooLong:
            outcome, said = "failure: too long", f"more than {seconds:g} s"
        except MemoryError:
            outcome, said = "failure: too much memory", f"more than {gigabytes:g} GiB"
        except BaseException as error:
            outcome, said = f"failure: {type(error).__name__}", traceback.format_exc()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        pipe.send((number, outcome, time.perf_counter() - began, used, said))


def _late(number: int, frame: FrameType | None) -> None:
    raise TooLong


def one(path: Path, registry: Any, phase: str) -> str:
    """What comes of the spec at `path`."""
    from annpipe.errors import SpecError
    from annpipe.errors.render import render
    from annpipe.observer import SILENT
    from annpipe.runs.launch import complete
    from annpipe.runs.spec_source import SpecSource

    try:
        drafted = SpecSource(path, untrusted=True).draft(registry.copy())
        if phase == "draft":
            return "draft"
        if not drafted.is_whole:
            return "not counted: plugins unknown"
    except SpecError as error:
        for problem in error.problems:
            assert render(problem)
        return "problems" if phase == "draft" else "not counted: problems of the draft"
    try:
        complete(drafted, SILENT)
    except SpecError as error:
        for problem in error.problems:
            assert render(problem)
        return "problems"
    return "plan"


# --- all of them


@dataclass
class Worker:
    """A worker with the case that it is at."""

    process: Any
    pipe: Connection
    number: int = -1
    since: float = 0.0


@dataclass
class Tally:
    """What came of the cases of a phase."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, int] = (0.0, -1)
    memory: int = 0
    failures: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def counted(self) -> int:
        return sum(count for outcome, count in self.outcomes.items() if not outcome.startswith("not counted"))

    def add(self, number: int, outcome: str, seconds: float, used: int, said: str) -> None:
        self.outcomes[outcome] += 1
        if not outcome.startswith("not counted"):
            self.slowest = max(self.slowest, (seconds, number))
        self.memory = max(self.memory, used)
        if outcome.startswith("failure"):
            self.failures.append((number, outcome, said))


def run(phase: str, wanted: int, told: argparse.Namespace, folder: Path) -> Tally:
    """Runs cases until so many are counted."""
    context = multiprocessing.get_context("spawn")
    limits = (told.seconds, told.gigabytes)

    def begin() -> Worker:
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(phase, told.seed, folder, limits, theirs), daemon=True)
        process.start()
        theirs.close()
        return Worker(process, ours)

    tally, number, shown = Tally(), told.first, time.monotonic()
    workers = [begin() for _ in range(told.workers)]
    while tally.counted < wanted:
        for position, worker in enumerate(workers):
            if worker.number < 0:
                worker.number, worker.since = number, time.monotonic()
                worker.pipe.send(number)
                number += 1
            if worker.pipe.poll(0.02 if len(workers) == 1 else 0.002):
                try:
                    tally.add(*worker.pipe.recv())
                    worker.number = -1
                except EOFError:
                    tally.add(worker.number, "failure: died", 0.0, 0, f"exit code {worker.process.exitcode}")
                    workers[position] = begin()
            elif time.monotonic() - worker.since > told.seconds + GRACE + (120 if worker.number == told.first else 0):
                worker.process.kill()
                tally.add(worker.number, "failure: hangs", time.monotonic() - worker.since, 0, "ended from outside")
                workers[position] = begin()
        if time.monotonic() - shown > 30:
            shown = time.monotonic()
            print(
                f"  {phase}: {tally.counted:,} of {wanted:,}, {len(tally.failures)} failures",
                file=sys.stderr,
                flush=True,
            )
    for worker in workers:
        worker.process.kill()
    return tally


def main() -> int:
    """Runs both phases, prints the figures, keeps the specs that failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drafts", type=int, default=100_000, help="cases of the draft")
    parser.add_argument("--plans", type=int, default=2_000, help="cases of the plan")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--seconds", type=float, default=20.0, help="the most that a case may take")
    parser.add_argument("--gigabytes", type=float, default=2.0, help="the most memory that a worker may take")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="where specs that failed are kept")
    told = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "pipelines"
        shutil.copytree(ROOT / "pipelines", place)
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
        for phase, wanted in (("draft", told.drafts), ("plan", told.plans)):
            began = time.monotonic()
            tally = run(phase, wanted, told, place)
            failed |= bool(tally.failures)
            say(phase, tally, time.monotonic() - began, told)
    return int(failed)


def say(phase: str, tally: Tally, seconds: float, told: argparse.Namespace) -> None:
    print(f"{phase}: {tally.counted:,} cases in {seconds:,.0f} s")
    for outcome, count in tally.outcomes.most_common():
        print(f"  {count:>9,}  {outcome}")
    print(
        f"  worst time {tally.slowest[0]:.2f} s (case {tally.slowest[1]}), peak memory {tally.memory / 2**20:,.0f} MiB",
        flush=True,
    )
    if not tally.failures:
        return
    from annpipe.registry.registry import Registry

    cases = Cases(Registry.installed())
    told.keep.mkdir(parents=True, exist_ok=True)
    for number, outcome, said in tally.failures:
        (told.keep / f"{phase}-{number}.yaml").write_bytes(cases.case(told.seed, number, gentle=phase == "plan"))
        (told.keep / f"{phase}-{number}.txt").write_text(f"{outcome}\n{said}")
    print(f"  their specs are kept in {told.keep}")


if __name__ == "__main__":
    sys.exit(main())
