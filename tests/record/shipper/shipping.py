"""Ships runs in this process, into a real store or into one that only notes what it gets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from mlflow.tracking.client import MlflowClient

from annpipe.record.journal import location
from annpipe.record.journal.state import Shipped
from annpipe.record.shipper import follow
from annpipe.record.shipper.retry import TrainerPipe, call_once
from annpipe.record.shipper.sender import Sender
from annpipe.record.store.client import Store
from annpipe.record.store.faults import ItemRefused
from annpipe.record.store.items import Item, item_text


def shipped(folder: Path) -> Shipped:
    """Ships a run whose trainer is gone."""
    with follow.logging_to(folder):
        return follow.ship(folder, follow.store_of(folder), TrainerPipe(None), 1.0)


def client(project: Path) -> Any:
    """MLflow's own client on the project's store."""
    return MlflowClient(tracking_uri=location.embedded_uri(project))


def history(project: Path, run_id: str | None, key: str) -> list[tuple[int, float, int]]:
    """Step, value and time of every point, in order of the steps."""
    points = client(project).get_metric_history(run_id, key)
    return sorted((point.step, point.value, point.timestamp) for point in points)


class Taking:
    """A store that notes what it gets, and refuses what is called `bad`."""

    uri = "http://store"

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def log(self, run: str, items: Sequence[Item]) -> None:
        if any(item.key == "bad" for item in items):
            raise ItemRefused("no")
        self.calls.append([item_text(item) for item in items])

    def check(self, run: str) -> None:
        """The run is there."""

    def artifact(self, run: str, path: Path, to: str) -> None:
        self.calls.append([f"artifact {to}"])

    def end(self, run: str, status: str, time_ms: int) -> None:
        self.calls.append([status])


def sender(store: Taking, folder: Path, **more: Any) -> Sender:
    noted: list[Shipped] = []
    note = lambda folder, state: noted.append(state)  # noqa: E731  # what `write_state` does
    return Sender(folder, cast(Store, store), call_once, Shipped(run_id="1"), note, **more)
