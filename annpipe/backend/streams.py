"""Named random streams, all spawned from one seed: data, split, init, shuffle, dropout.

Each stream is a generator of its own, so changing the model does not change the data. What torch draws from its
global generator (initial weights, dropout, distributions) is drawn inside `drawing`, which lends the global state to
one stream and takes it back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from annpipe.backend.torch_globals import seeded

STREAMS = ("data", "split", "init", "shuffle", "dropout")


def stream_seed(seed: int, name: str) -> int:
    """The seed of a stream: the first 63 bits of sha256("<seed>/<name>")."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "big") >> 1


def generator(seed: int, name: str) -> torch.Generator:
    """A CPU generator at the start of a stream."""
    return torch.Generator().manual_seed(stream_seed(seed, name))


@contextmanager
def drawing(seed: int, name: str) -> Iterator[None]:
    """Inside, the global generators (torch's of every device, NumPy's, Python's) stand at the start of the stream;
    afterwards as before."""
    begin = stream_seed(seed, name)
    with torch.random.fork_rng(devices=_cuda_devices()), seeded(begin):
        _begin_global(begin)
        yield


def _begin_global(seed: int) -> None:
    """`torch.manual_seed`, which takes a hundred times as long to note who wants to seed devices that are not there."""
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


class GlobalStream:
    """A stream that lives in torch's global generators while the gear runs, and is kept here between."""

    def __init__(self, seed: int, name: str, device: torch.device) -> None:
        self._cuda = device if device.type == "cuda" else None
        with drawing(seed, name):
            self.state = self._global_state()

    def _global_state(self) -> dict[str, torch.Tensor]:
        state = {"cpu": torch.get_rng_state()}
        if self._cuda is not None:
            state["cuda"] = torch.cuda.get_rng_state(self._cuda)
        return state

    def _set_global(self, state: dict[str, torch.Tensor]) -> None:
        torch.set_rng_state(state["cpu"])
        if self._cuda is not None:
            torch.cuda.set_rng_state(state["cuda"], self._cuda)

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Inside, the global generators go on where this stream stopped."""
        before = self._global_state()
        self._set_global(self.state)
        try:
            yield
        finally:
            self.state = self._global_state()
            self._set_global(before)


def _cuda_devices() -> list[int]:
    is_used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]  # torch's own
    return list(range(torch.cuda.device_count())) if is_used else []
