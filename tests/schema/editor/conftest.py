"""A small client of yaml-language-server: what an editor would be told about a spec."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from annpipe.registry.registry import Registry
from annpipe.schema import as_text, spec_schema
from annpipe.schema.install import FILE

VARIABLE = "YAML_LANGUAGE_SERVER"
SECONDS = 60
SETTINGS = {
    "yaml": {"validate": True, "hover": True, "completion": True, "schemaStore": {"enable": False}},
    "http": {},
    "[yaml]": {},
    "editor": {"tabSize": 2},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, registry_entries: Registry) -> Iterator[LanguageServer]:
    """A server in a folder that has the schema; skipped where there is no server."""
    program = os.environ.get(VARIABLE) or shutil.which("yaml-language-server")
    if program is None:
        pytest.skip(f"yaml-language-server is neither on the PATH nor named by {VARIABLE}; see docs/editor.md")
    folder = tmp_path_factory.mktemp("specs")
    (folder / FILE).write_text(as_text(spec_schema(registry_entries)), encoding="utf-8")
    running = LanguageServer(program, folder)
    yield running
    running.stop()


class LanguageServer:
    """A running server in a folder; it is spoken to over its standard streams."""

    def __init__(self, program: str, folder: Path) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [program, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder
        )
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._published: queue.Queue[dict[str, Any]] = queue.Queue()
        self._next = 0
        self._documents = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        markdown = ["markdown", "plaintext"]
        item = {"snippetSupport": True, "documentationFormat": markdown}
        document = {"hover": {"contentFormat": markdown}, "completion": {"completionItem": item}}
        self.request(
            "initialize",
            processId=os.getpid(),
            rootUri=folder.as_uri(),
            workspaceFolders=[{"uri": folder.as_uri(), "name": "specs"}],
            capabilities={"textDocument": document, "workspace": {"configuration": True, "workspaceFolders": True}},
        )
        self.notify("initialized")

    def diagnostics(self, text: str) -> list[dict[str, Any]]:
        """What is marked in a document."""
        return self._opened(text)[1]

    def completion(self, text: str) -> list[dict[str, Any]]:
        """What is offered at the `|` of a document."""
        answer = self.request("textDocument/completion", **self._at_bar(text))
        return list(answer["items"] if isinstance(answer, dict) else answer or [])

    def hover(self, text: str) -> str:
        """What is shown over the character behind the `|` of a document."""
        answer = self.request("textDocument/hover", **self._at_bar(text))
        return str(answer["contents"]["value"]) if answer else ""

    def _at_bar(self, text: str) -> dict[str, Any]:
        before, bar, after = text.partition("|")
        assert bar
        uri, _ = self._opened(before + after)
        position = {"line": before.count("\n"), "character": len(before) - (before.rfind("\n") + 1)}
        return {"textDocument": {"uri": uri}, "position": position}

    def _opened(self, text: str) -> tuple[str, list[dict[str, Any]]]:
        """Opens a document of its own and waits for its diagnostics."""
        self._documents += 1
        uri = (self.folder / f"spec{self._documents}.yaml").as_uri()
        self.notify("textDocument/didOpen", textDocument={"uri": uri, "languageId": "yaml", "version": 1, "text": text})
        while True:
            published = self._published.get(timeout=SECONDS)
            if published["uri"] == uri:
                return uri, list(published["diagnostics"])

    def stop(self) -> None:
        """Ends the server."""
        self.request("shutdown")
        self.notify("exit")
        self._process.wait(timeout=SECONDS)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream
            stream.close()
        self._reader.join(timeout=SECONDS)

    def request(self, method: str, **parameters: Any) -> Any:
        """Sends a request and waits for its result."""
        self._next += 1
        self._answers[self._next] = queue.Queue()
        self._send({"id": self._next, "method": method, "params": parameters})
        answer = self._answers[self._next].get(timeout=SECONDS)
        assert "error" not in answer, answer
        return answer.get("result")

    def notify(self, method: str, **parameters: Any) -> None:
        """Sends a notification."""
        self._send({"method": method, "params": parameters})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._process.stdin.flush()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream
        while header := stream.readline():
            length = int(header.partition(b":")[2])
            while stream.readline().strip():
                pass
            self._take(json.loads(stream.read(length)))

    def _take(self, message: dict[str, Any]) -> None:
        if "method" not in message:
            self._answers[message["id"]].put(message)
        elif message["method"] == "textDocument/publishDiagnostics":
            self._published.put(message["params"])
        elif "id" in message:
            self._send({"id": message["id"], "result": _asked(message)})


def _asked(message: dict[str, Any]) -> Any:
    """What the server wants to know of its editor: settings, and nothing else."""
    if message["method"] != "workspace/configuration":
        return None
    return [SETTINGS.get(item.get("section", ""), {}) for item in message["params"]["items"]]
