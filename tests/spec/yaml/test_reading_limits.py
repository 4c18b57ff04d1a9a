"""No text makes the reader crash, hang or swell: the dearest, of the largest size allowed, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from annpipe.spec.yaml.parser import parsers

pytest.importorskip("resource", reason="memory is measured as POSIX systems do")

HANGS = 10.0  # seconds; the figures are a tenth of this, and a busy machine must not fail the test
SWELLS = 200  # MiB


@pytest.mark.slow
def test_no_text_crashes_hangs_or_swells_the_reader() -> None:
    """Each of the hostile texts, with each parser, is read or refused in bounded time and memory."""
    program = Path(__file__).with_name("hostile_texts.py")
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=300, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"died after {lines[-1:]}: {done.stderr[-2000:]}"
    assert len(lines) == 40 * len(parsers())
    assert [line for line in lines if line["s"] > HANGS] == []
    assert [line for line in lines if sys.platform == "linux" and line["MiB"] > SWELLS] == []
    assert {line["said"] for line in lines} > {"MappingNode", "spec-too-deep", "spec-too-large"}
