"""`variables` and `${name}`."""

from __future__ import annotations

import pytest

from annpipe.errors import Problem, SpecError
from annpipe.spec.compose.variables import substituted
from annpipe.spec.yaml.nodes import plain
from annpipe.spec.yaml.reader import read_text


def filled(text: str) -> dict[str, object]:
    result = substituted(read_text(text, "s.yaml"))
    assert not result.problems
    data: dict[str, object] = plain(result.root)
    return data


def problems(text: str) -> list[Problem]:
    try:
        return list(substituted(read_text(text, "s.yaml")).problems)
    except SpecError as error:
        return error.problems


@pytest.mark.parametrize(
    ("value", "use", "expected"),
    [
        ("32", "${v}", 32),
        ("1e-3", '"${v}"', 1e-3),
        ("'7'", "${v}", "7"),
        ("[1, 2]", "${v}", [1, 2]),
        ("{Linear: 3}", "${v}", {"Linear": 3}),
        ("null", "${v}", None),
        ("32", "run_${v}", "run_32"),
        ("1e-3", "'${v} and ${v}'", "1e-3 and 1e-3"),
        ("2", "${v}*x**${v}", "2*x**2"),
        ("2", "$${v}", "${v}"),
        ("2", "a $${v} ${v}", "a ${v} 2"),
    ],
)
def test_a_variable_stands_for_its_value(value: str, use: str, expected: object) -> None:
    """Alone with its type, inside text as text, and `$${` is the sign itself."""
    assert filled(f"variables: {{v: {value}}}\na: {use}\n") == {"a": expected}


def test_a_variable_may_use_those_before_it() -> None:
    """And stands in lists and mappings alike."""
    text = "variables: {a: 2, b: ['${a}', 3]}\nm: {n: [\"${b}\"]}\n"
    assert filled(text) == {"m": {"n": [[2, 3]]}}


def test_values_keep_the_place_of_the_definition_and_know_their_use() -> None:
    """An error can show both."""
    node = substituted(read_text("variables: {v: 32}\na: ${v}\n", "s.yaml")).root.get("a")
    assert node is not None
    assert node.used is not None
    assert (node.place.line, node.used.line) == (1, 2)


def test_an_unknown_variable_is_marked_inside_its_text() -> None:
    """With the nearest name."""
    (problem,) = problems("variables: {width: 32}\nname: run of ${widht}\n")
    assert problem.code == "unknown-variable"
    assert problem.help == "did you mean 'width'?"
    assert problem.place is not None
    assert (problem.place.line, problem.place.column, problem.place.length) == (2, 14, 8)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("variables: {b: '${a}', a: 1}\n", "unknown-variable"),
        ("variables: {a: '${a}'}\n", "unknown-variable"),
        ("a: ${v}\n", "unknown-variable"),
        ("variables: [1]\n", "wrong-type"),
        ("variables: {a b: 1}\n", "wrong-value"),
        ("variables: {v: [1]}\na: x${v}\n", "wrong-type"),
    ],
)
def test_what_cannot_be_filled_in_is_refused(text: str, code: str) -> None:
    """Variables after their use, cycles, no mapping, no name, a list inside text."""
    assert [problem.code for problem in problems(text)] == [code]


@pytest.mark.parametrize("start", ["[x, x]", "xx"])
def test_variables_made_of_variables_cannot_swell(start: str) -> None:
    """A chain that doubles at each step meets the reader's limits."""
    use = "['${{v{0}}}', '${{v{0}}}']" if start.startswith("[") else "'${{v{0}}}${{v{0}}}'"
    lines = [f"  v{n}: {use.format(n - 1)}" for n in range(1, 60)]
    text = "\n".join(["variables:", f"  v0: {start}", *lines, "a: ${v59}", ""])
    assert problems(text)[0].code == "spec-too-large"


def test_variables_nested_in_variables_cannot_grow_too_deep() -> None:
    """Each level adds one."""
    lines = [f"  v{n}: ['${{v{n - 1}}}']" for n in range(1, 200)]
    assert problems("\n".join(["variables:", "  v0: 1", *lines, ""]))[0].code == "spec-too-deep"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("variables: {b: '${a}', a: 1}\n", "move its definition above"),
        ("variables: {a: '${a}'}\n", "use another variable"),
        ("a: ${USER}\n", "the environment is not read"),
        ("variables: {v: 1}\na: ${v * 2}\n", "nothing is computed here"),
        ("variables: {v: 1}\n'${v}': 2\n", "write the name itself"),
    ],
)
def test_what_other_tools_fill_in_is_told_apart(text: str, said: str) -> None:
    """Order, itself, the environment, arithmetic, keys: each has its own remedy."""
    (problem,) = problems(text)
    assert said in (problem.help or "")
