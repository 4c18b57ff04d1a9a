"""A server that is started on this machine, found to answer, and ended again with all that it started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import IO, NoReturn

from annpipe.errors import StoreError
from annpipe.files.processes import apart, end_group, listens, stop_signals, wait_for_end
from annpipe.record.journal.location import MLFLOW_ENVIRONMENT, scrub

HOST = "127.0.0.1"
EVERYWHERE = {"0.0.0.0": HOST, "::": "::1"}  # addresses to listen at, and where such a server is asked from here
SECONDS_TO_START = 120.0
SECONDS_TO_STOP = 5.0


@dataclass(frozen=True)
class Server:
    """A running server and the address it answers at."""

    address: str
    process: subprocess.Popen[bytes]
    called: str

    def wait(self) -> NoReturn:
        """Stays until Ctrl-C, SIGTERM or a closed terminal; raises StoreError when the server ends by itself."""
        code = wait_for_end(self.process)
        raise StoreError(f"{self.called} ended by itself with code {code}")


@dataclass(frozen=True)
class Launch:
    """How a server is started: the arguments of Python for a port, its environment, and what messages call it.

    `usual_port` is taken where no other is asked for and it is free, so that a bookmark keeps working.
    """

    called: str
    arguments: Callable[[int], Sequence[str]]
    environment: Mapping[str, str]
    usual_port: int
    host: str = HOST


@contextmanager
def running(launch: Launch, port: int | None) -> Iterator[Server]:
    """The server, answering at `port` or a free one; Ctrl-C ends the block, and it and its children end with that.

    Raises StoreError where the port is taken, or it does not start.
    """
    # A file, not a pipe: nobody reads it unless the server fails, and a full pipe would stop the server.
    with tempfile.TemporaryFile() as output:
        server = _started(launch, port, output)
        try:
            with suppress(KeyboardInterrupt):
                yield server
        finally:
            end_group(server.process, SECONDS_TO_STOP)


def check_port(port: int | None, host: str = HOST) -> None:
    """Raises StoreError for a port that is taken, and for a host that is none of this machine."""
    _family(host)
    if port and not is_free(port, host):
        raise StoreError(f"port {port} is taken; leave --port out and a free one is found")
    if not is_free(0, host):
        raise StoreError(f"no server can listen at '{host}': it is no address of this machine")


@contextmanager
def ending_politely() -> Iterator[None]:
    """Makes SIGTERM and a closed terminal end the block as Ctrl-C does, so that no server is left behind."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in stop_signals() if number != signal.SIGINT}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def free_port(usual: int, host: str = HOST) -> int:
    """The usual port where it is free; otherwise any."""
    if is_free(usual, host):
        return usual
    with socket.socket(_family(host)) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def is_free(port: int, host: str = HOST) -> bool:
    """Whether nobody listens at the port; of port 0 whether there is such a host here."""
    with socket.socket(_family(host)) as probe:
        if sys.platform != "win32":  # where it would take the port from whoever has it
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _family(host: str) -> socket.AddressFamily:
    try:
        return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]
    except (OSError, UnicodeError) as error:
        raise StoreError(f"no server can listen at '{host}': {getattr(error, 'strerror', error)}") from error


def _started(launch: Launch, port: int | None, output: IO[bytes]) -> Server:
    """A server that answers; on another free port where somebody else took the one that was found."""
    while True:
        chosen = port or free_port(launch.usual_port, launch.host)
        process = subprocess.Popen(
            # -P: a file in the working directory must not become a module of the server's.
            [sys.executable, "-P", *launch.arguments(chosen)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            env={**MLFLOW_ENVIRONMENT, **os.environ, **launch.environment}, **apart(),
        )  # fmt: skip
        asked = EVERYWHERE.get(launch.host, launch.host)
        address = f"http://[{asked}]:{chosen}" if ":" in asked else f"http://{asked}:{chosen}"
        try:
            _wait_until_it_answers(launch, process, chosen, address, output)
        except BaseException as error:
            end_group(process, SECONDS_TO_STOP)
            if port or not isinstance(error, StoreError) or is_free(chosen, launch.host):
                raise
        else:
            return Server(address, process, launch.called)


def _wait_until_it_answers(
    launch: Launch, process: subprocess.Popen[bytes], port: int, address: str, output: IO[bytes]
) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=2):
            if listens(process.pid, port):  # and not one that was quicker
                return
        time.sleep(0.1)
    output.seek(0)
    last = scrub(output.read().decode(errors="replace")).strip().splitlines()[-5:]
    raise StoreError("\n".join([f"{launch.called} did not start; its last words:", *last]))
