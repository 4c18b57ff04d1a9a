"""What a record lacks: items and points that are expected and not held."""

from __future__ import annotations

from annpipe.record.store.content import Content

WHOLE = Content("FINISHED", frozenset({"param lr", "tag a", "artifact x/y.csv"}), {"loss": 10, "lr": 2})


def test_what_is_lacking_is_told_in_words() -> None:
    """Status, items, and how many points of how many; no more than five of them."""
    held = Content("RUNNING", frozenset({"tag a", "tag b"}), {"loss": 7, "lr": 2})
    lacking = WHOLE.lacking_in(held)
    assert lacking == Content("FINISHED", frozenset({"param lr", "artifact x/y.csv"}), {"loss": 7})
    assert lacking.text(WHOLE) == "the status FINISHED, artifact x/y.csv, param lr, 3 of 10 points of loss"
    many = Content(None, frozenset(f"tag {n}" for n in range(8)))
    assert many.text(many).endswith("tag 4 and 3 more")


def test_nothing_is_lacking_in_itself() -> None:
    """Nor is anything, of nothing."""
    assert not WHOLE.lacking_in(WHOLE)
    assert not Content().lacking_in(WHOLE)
    assert WHOLE.with_items(["tag b"]).lacking_in(WHOLE).of_kind("tag") == ["b"]


def test_it_is_kept_as_json() -> None:
    """In the run's `shipped.json`."""
    assert Content.from_data(WHOLE.to_data()) == WHOLE
