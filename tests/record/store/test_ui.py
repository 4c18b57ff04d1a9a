"""MLflow's server of `annpipe ui`: the one that answers is the one that was started."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from annpipe.errors import StoreError
from annpipe.record.journal import location
from annpipe.record.store import local_server, ui


class Healthy(BaseHTTPRequestHandler):
    """Says that it is well, as MLflow's server does."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"OK")

    def log_message(self, *_: object) -> None:
        """Keeps quiet."""


@pytest.fixture
def other() -> Iterator[int]:
    """The port of a server that somebody else has, and that answers already."""
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_a_port_that_somebody_else_takes_meanwhile_is_left_to_them(
    other: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was free when it was looked for; the server is started anew on one that still is."""
    real = local_server.free_port
    found = iter([other])
    monkeypatch.setattr(local_server, "free_port", lambda *given: next(found, None) or real(*given))
    with ui.serve(location.embedded_uri(tmp_path), tmp_path, None) as server:
        assert server.address != f"http://127.0.0.1:{other}"
        assert server.process.poll() is None


@pytest.mark.slow
def test_a_named_port_that_is_taken_meanwhile_is_an_error(
    other: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_server, "is_free", lambda *given: True)
    with pytest.raises(StoreError, match="did not start"), ui.serve(location.embedded_uri(tmp_path), tmp_path, other):
        raise AssertionError
