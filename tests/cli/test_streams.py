"""What a command prints can be read on a terminal whose encoding lacks some of it."""

from __future__ import annotations

import io

import pytest

from annpipe.cli.streams import show_all


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("┌─ spec.yaml\n│ x → y …", "cp1252", "+- spec.yaml\n| x -> y …"),
        ("2 × 3 ≤ 6 ‘a’", "ascii", "2 x 3 <= 6 'a'"),
        ("값 \udce9", "cp1252", r"\uac12 \udce9"),
        ("값 ─", "cp949", "값 ─"),
        ("값 \udce9", "utf-8", r"값 \udce9"),
    ],
)
def test_what_an_encoding_lacks_is_shown_in_ascii(text: str, encoding: str, shown: str) -> None:
    """Lines and arrows as what looks like them, all else as an escape; what it has stays."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    show_all(stream)
    stream.write(text)
    stream.flush()
    assert stream.buffer.getvalue().decode(encoding) == shown  # type: ignore[attr-defined]  # it is a BytesIO
