"""Samples of a run's machine while it trains: processor, memory and NVIDIA GPUs, in MLflow's names for its System page.

The shipper's process takes them in a thread, so that the trainer does nothing for it. They stand in `system.jsonl` of
the run folder, lines like those of the journal, from where they are shipped; so a store that is away loses none.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annpipe.files.descriptors import open_descriptor
from annpipe.files.private import PRIVATE_FILE
from annpipe.record.journal import journal
from annpipe.record.journal.events import MetricPoints, to_data
from annpipe.record.journal.inside import is_file
from annpipe.record.journal.lines import SYSTEM_FILE as FILE
from annpipe.record.journal.lines import dump
from annpipe.record.shipper.thin import SeriesPoint
from annpipe.record.store.keys import SYSTEM

if TYPE_CHECKING:
    from annpipe.record.shipper.sender import Sender
    from annpipe.record.store.keys import Names

SECONDS_BEFORE_FIRST = 1.0  # over which the first use of the processor is measured
SECONDS_BETWEEN = 5.0
SAMPLES_BEFORE_SPARSER = 120  # from then on the time between grows with the run's: 10 hours have about 600
SECONDS_OF_SHORT_RUN = 60.0  # shorter ones get samples only where they are asked for
MEGABYTE = 1e6
log = logging.getLogger("annpipe.record")


class SystemSampler:
    """A thread that samples the machine until it is stopped.

    Where samples are not `wanted` by name they are written once the run is no short one.
    `trainer` is the process whose own use is measured, with the processes below it.
    """

    def __init__(self, folder: Path, trainer: int, *, wanted: bool) -> None:
        self._folder = folder
        self._trainer = trainer
        self._wanted = wanted
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="system metrics")

    def start(self) -> None:
        """Begins; the run's journal has to be there."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread: nothing is written behind it."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._sample()
        except Exception as error:  # a machine that does not tell costs its figures, and nothing else
            log.warning("system metrics stopped: %s", error)

    def _sample(self) -> None:
        machine = Machine(self._trainer)
        begun_ms = journal.run_begun(self._folder).time or round(time.time() * 1000)
        started = time.monotonic()
        waiting: list[bytes] = []
        pause = SECONDS_BEFORE_FIRST
        while not self._stopped.wait(pause):
            now, passed = round(time.time() * 1000), time.monotonic() - started
            event = MetricPoints(step=max(0, (now - begun_ms) // 1000), values=machine.sample(), time=now)
            waiting.append(dump(to_data(event)))
            if self._wanted or passed >= SECONDS_OF_SHORT_RUN:
                _append(self._folder / FILE, b"".join(waiting))
                waiting.clear()
            pause = max(SECONDS_BETWEEN, passed / SAMPLES_BEFORE_SPARSER)


class Machine:
    """The figures of this machine, each call's since the call before."""

    def __init__(self, trainer: int) -> None:
        import psutil

        self._psutil = psutil
        self._trainer = trainer
        self._gpus = _gpus()
        self._seconds = self._processor_seconds(self._processes())
        self._measured = time.monotonic()
        psutil.cpu_percent()  # the first answer means nothing

    def sample(self) -> dict[str, float]:
        """The figures by their keys in the store; those of the trainer are left out once it is gone."""
        memory = self._psutil.virtual_memory()
        figures = {
            "cpu_utilization_percentage": self._psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / MEGABYTE,
            "system_memory_usage_percentage": memory.percent,
            **self._of_trainer(),
        }
        for number, gpu in enumerate(self._gpus):
            figures.update({f"gpu_{number}_{name}": value for name, value in gpu().items()})
        return {f"{SYSTEM}{name}": float(value) for name, value in figures.items()}

    def _of_trainer(self) -> dict[str, float]:
        """Its processor time per second, in percent of one core, and its resident memory."""
        processes = self._processes()
        seconds, now = self._processor_seconds(processes), time.monotonic()
        used = sum(value - self._seconds.get(pid, 0.0) for pid, value in seconds.items())
        passed, self._seconds, self._measured = now - self._measured, seconds, now
        if self._trainer not in seconds or passed <= 0:
            return {}
        resident = 0
        for process in processes:
            with suppress(self._psutil.Error):
                resident += process.memory_info().rss
        return {"process_cpu_percentage": 100 * used / passed, "process_memory_megabytes": resident / MEGABYTE}

    def _processes(self) -> list[Any]:
        """The trainer and the processes below it, but for this one, which records."""
        with suppress(self._psutil.Error):
            trainer = self._psutil.Process(self._trainer)
            below = trainer.children(recursive=True)
            return [trainer, *(process for process in below if process.pid != os.getpid())]
        return []

    def _processor_seconds(self, processes: list[Any]) -> dict[int, float]:
        seconds = {}
        for process in processes:
            with suppress(self._psutil.Error):
                times = process.cpu_times()
                seconds[process.pid] = times.user + times.system
        return seconds


class SystemSamples:
    """The samples of a run folder, read as they come."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._end = 0
        self.n_points: dict[str, int] = {}
        """By key in the store how many there are so far."""

    def has_news(self) -> bool:
        """Whether the file has grown since it was read last."""
        try:
            return self._path.stat(follow_symlinks=False).st_size > self._end
        except OSError:
            return False

    def send(self, sender: Sender, names: Names) -> int:
        """Lets what came since the last call wait in the sender, where the store lacks it; how far the file is read."""
        sampled = sender.state.sampled
        for name, point, end in self._new():
            key = names.key(name)
            self.n_points[key] = self.n_points.get(key, 0) + 1
            if end > sender.state.sampled:
                sender.point(key, point)
            sampled = max(sampled, end)
        return sampled

    def _new(self) -> Iterator[tuple[str, SeriesPoint, int]]:
        if not is_file(self._path):
            return
        with open(self._path, "rb") as file:
            file.seek(self._end)
            for event, end in journal.lines(file):
                self._end = end
                for key, step, value, time_ms in journal.points(event):
                    if key.startswith(SYSTEM):
                        yield key, SeriesPoint(step, value, time_ms), end


def _gpus() -> list[Callable[[], dict[str, float]]]:
    """A function for each NVIDIA GPU that gives its figures; none without NVIDIA's own package and driver."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
    except Exception:  # not installed, no driver, or one that does not answer
        return []

    def of_card(handle: Any) -> dict[str, float]:
        figures: dict[str, float] = {}
        with suppress(pynvml.NVMLError):
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            figures["memory_usage_megabytes"] = memory.used / MEGABYTE
            figures["memory_usage_percentage"] = 100 * memory.used / memory.total
        with suppress(pynvml.NVMLError):
            figures["utilization_percentage"] = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu
        with suppress(pynvml.NVMLError):
            figures["power_usage_watts"] = pynvml.nvmlDeviceGetPowerUsage(handle) / 1000
        return figures

    return [lambda handle=handle: of_card(handle) for handle in handles]  # type: ignore[misc]


def _append(path: Path, lines: bytes) -> None:
    """Adds whole lines; one that a killed shipper left unfinished is ended, and then read as damaged."""
    descriptor = open_descriptor(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, PRIVATE_FILE, follow_links=False)
    with open(descriptor, "a+b", buffering=0) as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            lines = lines if file.read(1) == b"\n" else b"\n" + lines
        file.write(lines)
