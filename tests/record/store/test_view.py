"""The prepared view of MLflow's runs page: curves first, then what differs; nothing where there is nothing to show."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from annpipe.errors import StoreError
from annpipe.record.store.view import MOST_CHARACTERS, TAG, differing, prepare_view, prepare_views, view

METRICS = (
    "train/loss",
    "val/loss",
    "val/accuracy",
    "lr",
    "system/cpu_utilization_percentage",
    "final.val.loss",
    "best.val.loss",
    "best.val.accuracy",
)


def state(metrics: Iterable[str] | dict[str, list[float]], params: Sequence[str]) -> dict[str, Any]:
    """What MLflow's page reads out of the tag; keys alone have one run with the value 1."""
    envelope = json.loads(view(metrics if isinstance(metrics, dict) else {key: [1.0] for key in metrics}, params))
    assert set(envelope) == {"name", "createdAt", "updatedAt", "state"}
    found: dict[str, Any] = json.loads(envelope["state"])
    return found


def test_the_losses_come_first_in_one_chart_and_single_values_in_none() -> None:
    """Train and val of a measure share a chart; the params that differ follow as axes and as a table."""
    found = state(METRICS, ["optimizer.Adam.lr", "model.1"])
    lines = [card["selectedMetricKeys"] for card in found["compareRunCharts"] if card["type"] == "LINE"]
    assert lines == [["train/loss", "val/loss"], ["val/accuracy"]]
    others = [card["type"] for card in found["compareRunCharts"][2:]]
    assert others == ["PARALLEL", "DIFFERENCE"]
    assert found["compareRunCharts"][2]["selectedParams"] == ["optimizer.Adam.lr", "model.1"]
    assert found["compareRunCharts"][2]["selectedMetrics"] == ["best.val.loss"]
    (section,) = found["compareRunSections"]
    assert {card["metricSectionId"] for card in found["compareRunCharts"]} == {section["uuid"]}


def test_the_best_run_stands_first() -> None:
    """Sorted by the best loss on val, small ones first, as `annpipe runs` judges; of metrics alone large ones first."""
    assert (state(METRICS, [])["orderByKey"], state(METRICS, [])["orderByAsc"]) == ("metrics.`best.val.loss`", True)
    scores = ("val/accuracy", "best.val.accuracy", "final.val.accuracy")
    found = state(scores, [])
    assert (found["orderByKey"], found["orderByAsc"]) == ("metrics.`best.val.accuracy`", False)
    assert state((), [])["orderByKey"] == "attributes.start_time"


def test_runs_that_do_not_differ_have_no_axes() -> None:
    """One run, or the same one twice."""
    assert [card["type"] for card in state(METRICS, [])["compareRunCharts"]] == ["LINE", "LINE"]


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ({"train/loss": [0.001, 0.5], "val/loss": [0.02, 0.6]}, "log"),
        ({"train/loss": [0.2, 0.5], "val/loss": [0.3, 0.6]}, "linear"),
        ({"train/loss": [-1.0, 5.0]}, "linear"),
        ({"train/loss": [0.0, 5.0]}, "linear"),
        ({"train/loss": [float("nan"), 0.001, 0.5]}, "log"),
        ({"train/loss": [float("nan")]}, "linear"),
        ({"val/accuracy": [0.01, 0.9]}, "linear"),
    ],
)
def test_losses_far_apart_are_on_a_logarithmic_scale(values: dict[str, list[float]], scale: str) -> None:
    (card,) = state(values, [])["compareRunCharts"]
    assert card["scaleType"] == scale


def test_what_differs_is_what_has_several_values_and_that_a_run_lacks() -> None:
    """What has few values first: it was chosen, where a column of many follows from it."""
    runs = [{"lr": "1", "act": "a", "same": "x"}, {"lr": "2", "act": "a", "same": "x"}, {"lr": "3", "same": "x"}]
    assert differing(runs) == ["act", "lr"]
    assert differing(runs[:1]) == []


@contextmanager
def server(runs: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A server that knows one experiment with these runs; its address, and what was asked of it."""
    asked: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            method = self.path.removeprefix("/api/2.0/mlflow/")
            asked[method] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answers = {"runs/search": {"runs": runs}, "experiments/search": {"experiments": [{"experiment_id": "7"}]}}
            body = json.dumps(answers.get(method, {})).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}", asked
        finally:
            listening.shutdown()


def sweep() -> dict[str, Any]:
    """The run of a sweep, whose params are other ones than those of its trials."""
    tags = [{"key": "annpipe.sweep", "value": "true"}]
    return {"data": {"params": [{"key": "method", "value": "grid"}], "tags": tags}}


def run(**params: str) -> dict[str, Any]:
    pairs = [{"key": key, "value": value} for key, value in params.items()]
    return {"data": {"params": pairs, "metrics": [{"key": "train/loss", "value": 1.0}]}}


def test_it_is_a_tag_of_the_experiment() -> None:
    """Written through the server's own interface."""
    with server([run(lr="1"), run(lr="2"), sweep()]) as (address, asked):
        assert prepare_views(address) == {"7"}
        tag = asked["experiments/set-experiment-tag"]
    assert (tag["experiment_id"], tag["key"]) == ("7", TAG)
    assert len(tag["value"]) <= MOST_CHARACTERS
    assert json.loads(json.loads(tag["value"])["state"])["selectedColumns"] == ["params.`lr`"]


@pytest.mark.parametrize("runs", [[], [run(**{f"{i}{'x' * 400}": str(n) for i in range(20)}) for n in range(2)]])
def test_an_experiment_without_runs_or_with_too_much_to_say_has_none(runs: list[dict[str, Any]]) -> None:
    """MLflow takes 5000 characters."""
    with server(runs) as (address, asked):
        assert not prepare_view(address, "7")
    assert "experiments/set-experiment-tag" not in asked


def test_a_server_that_is_away_is_said() -> None:
    with pytest.raises(StoreError, match="no answer to runs/search"):
        prepare_view("http://127.0.0.1:1", "7")
