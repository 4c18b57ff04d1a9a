"""A proxy before an MLflow server that does what networks and servers do on bad days, and counts each time it does."""

from __future__ import annotations

import http.client
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.faults.injector import Injector

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}
PAGE = b"<html>please log in to this network</html>"


@dataclass
class NetworkFault:
    """What is done to the next `times` requests whose `METHOD path` is found by `on`, after `skip` of them.

    `does` is one of `ACTIONS`.
    """

    does: str
    on: str = ""
    times: int = 1
    skip: int = 0
    name: str = ""

    def __post_init__(self) -> None:
        assert self.does in ACTIONS
        self.name = self.name or self.does


@dataclass
class Proxy:
    """Stands at its `address` before a server at `port`; one request at a time decides which fault is next."""

    port: int
    injector: Injector
    faults: list[NetworkFault] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    address: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next_fault(self, request: str) -> NetworkFault | None:
        """The fault for a request, counted."""
        with self._lock:
            for fault in self.faults:
                if fault.times and re.search(fault.on, request):
                    if fault.skip:
                        fault.skip -= 1
                        return None
                    fault.times -= 1
                    self.injector.hit(fault.name)
                    return fault
        return None


@contextmanager
def proxy(port: int, injector: Injector, faults: Sequence[NetworkFault] = ()) -> Iterator[Proxy]:
    """A proxy on a port of its own; hanging requests are let go at the end."""
    one = Proxy(port, injector, list(faults))

    class Handler(_Handler):
        proxy = one

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        one.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield one
        finally:
            one.released.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = self._chunks()
        fault = self.proxy.next_fault(f"{self.command} {self.path}")
        with suppress(OSError):
            (ACTIONS[fault.does] if fault else _passed)(self, body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def forwarded(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """What the server answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.port, timeout=300)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        connection.request(self.command, self.path, body or None, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, [(k, v) for k, v in answer.getheaders() if k.lower() not in HOP_BY_HOP], text

    def answer(self, status: int, headers: Sequence[tuple[str, str]], body: bytes, said_length: int = -1) -> None:
        """Answers, and closes where less is sent than said."""
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        length = len(body) if said_length < 0 else said_length
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = length != len(body)

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline().strip() or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)


def _passed(handler: _Handler, body: bytes) -> None:
    handler.answer(*handler.forwarded(body))


def _reset(handler: _Handler, body: bytes) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def _hang(handler: _Handler, body: bytes) -> None:
    handler.proxy.released.wait()
    handler.close_connection = True


def _status(status: int, *headers: tuple[str, str]) -> Any:
    def answer(handler: _Handler, body: bytes) -> None:
        handler.answer(status, headers, b"<html>no</html>")

    return answer


def _cut(handler: _Handler, body: bytes) -> None:
    status, headers, text = handler.forwarded(body)
    handler.answer(status, headers, text[: len(text) // 2], said_length=max(len(text), 2))


def _lost(handler: _Handler, body: bytes) -> None:
    handler.forwarded(body)
    _reset(handler, body)


def _twice(handler: _Handler, body: bytes) -> None:
    handler.forwarded(body)
    _passed(handler, body)


def _slow(handler: _Handler, body: bytes) -> None:
    time.sleep(1.0)
    _passed(handler, body)


def _login(handler: _Handler, body: bytes) -> None:
    handler.answer(200, [("Content-Type", "text/html")], PAGE)


ACTIONS = {
    "refused": _status(503),  # as a gateway says it whose server is away; a closed port is `away`
    "error": _status(500),
    "limited": _status(429, ("Retry-After", "1")),
    "gone": _status(404),
    "reset": _reset,
    "hang": _hang,
    "cut": _cut,
    "answer lost": _lost,
    "twice": _twice,
    "slow": _slow,
    "login page": _login,
}
