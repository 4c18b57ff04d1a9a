"""Takes pictures of MLflow's pages of six runs and a sweep: `python -m tests.docs.screenshots`; needs chromedriver."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import unused_port

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SPEC = """version: 1
name: moons
data:
  sklearn: {make: moons, options: {n_samples: 400, noise: 0.2}}
  split: {val: 0.25}
model: [Linear: 16, ReLU, Linear: 16, ReLU, Linear: 2]
loss: CrossEntropyLoss
optimizer: {Adam: {lr: 0.01}}
train: {epochs: 60, batch_size: 32}
metrics: [Accuracy]
plots: [learning_curve]
"""
ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
CLOSE_ASSISTANT = "document.querySelectorAll('button[aria-label=\"Close\"]').forEach(button => button.click())"
SECONDS_TO_DRAW = 12
MOST_PIXELS = 12_000


class Browser:
    """A session of Chromium's driver, by its protocol."""

    def __init__(self, address: str, width: int, height: int) -> None:
        self._address = address
        options = {"args": [*ARGUMENTS, f"--window-size={width},{height}", f"--user-data-dir={tempfile.mkdtemp()}"]}
        asked = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        self._session = f"/session/{self._call('/session', asked)['sessionId']}"

    def _call(self, path: str, body: Mapping[str, Any] | None = None, method: str | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._address}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]

    def picture(self, url: str, file: Path) -> None:
        """Opens a page, waits until its charts are drawn, and writes what is seen."""
        self._call(f"{self._session}/url", {"url": url})
        time.sleep(3)
        self._call(f"{self._session}/execute/sync", {"script": CLOSE_ASSISTANT, "args": []})
        time.sleep(SECONDS_TO_DRAW)
        file.write_bytes(base64.b64decode(self._call(f"{self._session}/screenshot")))

    def open_at_width(self, url: str, width: int, *, dark: bool = False) -> None:
        """Opens a page as a screen of this width shows it, which may be narrower than a window can be."""
        size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._devtools("Emulation.setDeviceMetricsOverride", size)
        self._devtools("Emulation.setEmulatedMedia", {"features": scheme})
        self._call(f"{self._session}/url", {"url": url})

    def value_of(self, script: str) -> Any:
        """What a script on the page returns."""
        return self._call(f"{self._session}/execute/sync", {"script": script, "args": []})

    def whole_picture(self, file: Path) -> None:
        """Writes the page in its whole height, as far as a picture can be."""
        width, height = self.value_of("return [window.innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": width, "height": min(height, MOST_PIXELS), "scale": 1}
        shot = self._devtools("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        file.write_bytes(base64.b64decode(shot["data"]))

    def _devtools(self, command: str, parameters: Mapping[str, Any]) -> Any:
        return self._call(f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def close(self) -> None:
        self._call(self._session, method="DELETE")


@contextmanager
def driver() -> Iterator[str]:
    """The address of a driver that answers."""
    port = unused_port()
    with subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL) as process:
        address = f"http://127.0.0.1:{port}"
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{address}/status", timeout=5).close()
                break
            except urllib.error.URLError:
                time.sleep(0.2)
        try:
            yield address
        finally:
            process.kill()


def annpipe(project: Path, *words: str) -> None:
    subprocess.run([sys.executable, "-m", "annpipe", *words], cwd=project, check=True, stdout=subprocess.DEVNULL)


def train(project: Path) -> None:
    """Six runs in the experiment `six`, a sweep of four rates and three seeds in `swept`."""
    (project / "spec.yaml").write_text(SPEC, encoding="utf-8")
    for activation in ("ReLU", "Tanh"):
        for rate in ("0.001", "0.01", "0.1"):
            named = f"name=moons-{activation}-{rate}"
            sets = (named, f"model.1={activation}", f"model.3={activation}", f"optimizer.Adam.lr={rate}")
            overrides = [word for value in sets for word in ("--set", value)]
            annpipe(project, "run", "spec.yaml", *overrides, "--set", "tracking={experiment: six}")
    over = ("--over", "optimizer.Adam.lr=0.001,0.003,0.01,0.03", "--seeds", "3")
    annpipe(project, "sweep", "spec.yaml", *over, "--set", "tracking={experiment: swept}")


def pages(project: Path) -> dict[str, str]:
    """By name of a picture, the page below the UI's address."""
    from mlflow.tracking.client import MlflowClient

    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    six, swept = (client.get_experiment_by_name(name) for name in ("six", "swept"))
    assert six
    assert swept
    run = client.search_runs([six.experiment_id], order_by=["metrics.`best.val.loss`"])[0].info.run_id
    sweep = client.search_runs([swept.experiment_id], "tags.`annpipe.sweep` = 'true'")[0].info.run_id
    kind, view = "workflowType=machine_learning", "viewStateShareKey=annpipe&compareRunsMode=CHART"
    base = "#/experiments"
    return {
        "mlflow_runs": f"{base}/{six.experiment_id}/runs?{kind}&{view}",
        "mlflow_run": f"{base}/{six.experiment_id}/runs/{run}?{kind}",
        "model_metrics": f"{base}/{six.experiment_id}/runs/{run}/model-metrics?{kind}",
        "models": f"{base}/{six.experiment_id}/models?{kind}",
        "trials": f"{base}/{swept.experiment_id}/runs?{kind}&{view}",
        "sweep": f"{base}/{swept.experiment_id}/runs/{sweep}?{kind}",
    }


def main() -> None:
    """Trains, serves, and takes the pictures at two widths."""
    project = Path(tempfile.mkdtemp(prefix="annpipe-pages-"))
    train(project)
    port = str(unused_port())
    command = [sys.executable, "-m", "annpipe", "ui", "--port", port]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True) as server, driver() as address:
        assert server.stdout
        print(server.stdout.readline().strip())
        try:
            for width in (1600, 1000):
                browser = Browser(address, width, 1100)
                for name, page in pages(project).items():
                    folder = IMAGES if name.startswith("mlflow_") and width == 1600 else project
                    file = folder / f"{name}{'' if folder == IMAGES else f'_{width}'}.png"
                    browser.picture(f"http://127.0.0.1:{port}/{page}", file)
                    print(file)
                browser.close()
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
