"""The passes over chunked data are made once for each request, and their memory is freed when they are used."""

from __future__ import annotations

from typing import Any, cast

from annpipe.datasets.on_disk.passes import ChunkPasses, PassCache


def test_the_passes_are_made_once_for_a_key() -> None:
    made: list[str] = []

    def read(key: str) -> Any:
        return lambda: made.append(key) or cast(ChunkPasses, object())

    cache = PassCache()
    first = cache.get("one", read("one"))
    assert cache.get("one", read("one")) is first
    assert cache.get("two", read("two")) is not first
    assert cache.get("one", read("one")) is not first, "only the last ones are kept"
    assert made == ["one", "two", "one"]


def test_a_cleared_cache_makes_them_again() -> None:
    cache = PassCache()
    first = cache.get("one", lambda: cast(ChunkPasses, object()))
    cache.clear()
    assert cache.get("one", lambda: cast(ChunkPasses, object())) is not first
