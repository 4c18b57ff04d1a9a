"""Is there any file that the reader neither reads nor explains? An atheris target: bytes led by the code they reach.

    pip install atheris
    python tests/fuzz/fuzz_reader.py -max_total_time=60

pytest does not collect it. A crash is kept as a file `crash-…`; put its bytes into tests/spec/test_any_bytes.py.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["annpipe.spec", "yaml"]):
    from annpipe.errors import SpecError
    from annpipe.errors.render import render
    from annpipe.spec.yaml.nodes import plain
    from annpipe.spec.yaml.parser import Parser, parsers
    from annpipe.spec.yaml.reader import read_file


def read_and_explain(data: bytes, path: Path) -> None:
    """Reads the bytes as a spec with each parser: all find the same data, or none finds any and each says why."""
    path.write_bytes(data)
    told = [_told(path, parser) for parser in parsers()]
    assert len(set(told)) == 1, "the parsers differ:\n" + "\n".join(map(str, told))


def _told(path: Path, parser: Parser) -> str | None:
    try:
        return repr(plain(read_file(path, parser)))
    except SpecError as error:
        drawn = [render(problem) for problem in error.problems]
        assert drawn
        assert all(problem.place or path.name in problem.message for problem in error.problems), drawn
        return None


def main() -> None:
    """Fuzzes until libFuzzer's options say that it is enough."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spec.yaml"
        atheris.Setup(sys.argv, lambda data: read_and_explain(data, path))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
