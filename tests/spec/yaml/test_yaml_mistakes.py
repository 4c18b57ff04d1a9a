"""What is no YAML is explained: the exact place, what is wrong in plain words, and what to write instead."""

from __future__ import annotations

import re

import pytest

from annpipe.errors import Problem, SpecError
from annpipe.spec.yaml.composer import compose
from annpipe.spec.yaml.parser import Parser, parsers

# text, code, what the carets stand under, words of message and help; `⟦…⟧` marks the place in the text
MISTAKES = [
    ("a: 1\n⟦\t⟧b: 2", "yaml-tab", "indent with spaces"),
    ("a:\n⟦\t\t⟧b: 2", "yaml-tab", "indent with spaces"),
    ("a: |\n⟦\t⟧b\n", "yaml-tab", "indent with spaces"),
    ("-⟦\t⟧- a", "yaml-tab", "indent with spaces"),
    ("a: 1\n⟦b⟧\nc: 2", "yaml-colon", "write `b: value`"),
    ("a: 1\n⟦lr = 0.1⟧ # fast\nc: 2", "yaml-colon", "write `lr: 0.1`"),
    ("a: 1\n⟦key:⟧value\nb: 2", "yaml-colon", "write `key: value`"),
    ("⟦key:⟧value\nb: 2", "yaml-colon", "write `key: value`"),
    ("a: 1\n⟦-⟧b\nc: 2", "yaml-colon", "write `- b`"),
    ("a: b⟦:⟧ c", "yaml-colon", 'a second colon .* put the value in quotes: "b: c"'),
    ('a: b⟦:⟧ "c" # d', "yaml-colon", "put the value in quotes: 'b: \"c\"'"),
    ("a: {b⟦:⟧[1]}", "yaml-colon", "a space is missing after this colon"),
    ("a: 1\n  ⟦b: 2⟧", "yaml-indent", "more than the one above, .* column 1"),
    ("a:\n    b: 1\n  ⟦c: 2⟧", "yaml-indent", "begins in column 3, .* in column 5 as `b: 1`, or in column 1 as `a:`"),
    ("a:\n  - b: 1\n   ⟦c: 2⟧", "yaml-indent", "in column 5 as `b: 1`"),
    ("a:\n  - b\n ⟦- c⟧", "yaml-indent", "in column 3 as `- b`"),
    ("  a: 1\n⟦b: 2⟧", "yaml-indent", "in column 3 as `a: 1`"),
    ("a: 1\n⟦- b⟧", "yaml-indent", "a list entry stands among keys"),
    ("a:\n  - b\n  ⟦c: 1⟧", "yaml-indent", "among list entries and is none .* `- `"),
    ("a:\n⟦[⟧b]\nc: 1", "yaml-indent", "cannot stand in the column of the keys"),
    ("a: ⟦-⟧ b", "yaml-indent", "a list cannot begin on the line of its key"),
    ("a: ⟦[⟧1, 2", "yaml-unclosed", "write ']' after its last entry"),
    ("a: 1\n학습: ⟦{⟧b: 2\nc: 3", "yaml-unclosed", "write '}' after its last entry"),
    ("a: [1, {b: 2⟦]⟧", "yaml-unclosed", "'{' cannot be closed by ']'"),
    ("a: [1⟦]⟧]".replace("1⟦]⟧]", "1]⟦]⟧"), "yaml-unclosed", "nothing is open that ']' could close"),
    ("a: b\n⟦}⟧", "yaml-unclosed", "nothing is open that '}' could close"),
    ("a: ⟦'⟧b\nc: d", "yaml-unclosed", "the quote ' is opened here and never closed"),
    ('a: ⟦"⟧b\n---\nc: d', "yaml-unclosed", 'the quote " is opened here and never closed'),
    ("a: 'it'⟦s'⟧", "yaml-quotes", "text goes on after its closing quote"),
    ("a: [1] ⟦b⟧", "yaml-quotes", "the value ends before this"),
    ("a: ⟦@b⟧ # c", "yaml-quotes", "a word cannot begin with '@'.* \"@b\""),
    ("a: {b: ⟦%c⟧, d: 1}", "yaml-quotes", "a word cannot begin with '%'"),
    ("a: ⟦`b`⟧", "yaml-quotes", "a word cannot begin with '`'"),
    ("a: {lr: ⟦${lr}⟧, b: 1}", "yaml-quotes", r"write it in quotes here: \"\$\{lr\}\""),
    ("a: [1, x⟦${y}⟧]", "yaml-quotes", r"write it in quotes here: \"\$\{y\}\""),
    ('a: "C:⟦\\d⟧ata"', "yaml-quotes", r"'\\d' has no meaning .* twice"),
    ('a: "⟦\\x⟧1"', "yaml-quotes", r"'\\x' has no meaning"),
    ("a: [⟦:⟧b]", "yaml-quotes", "cannot begin with ':'"),
    ("a: [⟦?⟧b]", "yaml-quotes", "cannot begin with '\\?'"),
    ("a: [⟦-⟧]", "yaml-quotes", "cannot begin with '-'"),
    ("a: [1⟦,⟧, 2]".replace("1⟦,⟧, 2", "1,⟦,⟧ 2"), "not-yaml", "a value is missing before ','"),
    ("a: {b: 1 c⟦:⟧ 2}", "not-yaml", "a comma or '}' is missing"),
    ("a: >⟦b⟧", "not-yaml", "after '>' the line has to end"),
    ("a: >⟦#⟧ b\n  c", "not-yaml", "after '>' the line has to end"),
    ("a: ⟦*⟧ b", "not-yaml", "a name is missing or wrong after '\\*'"),
    ('a: "b"⟦#⟧c', "not-yaml", "a space is missing before '#'"),
    ("a: [b,⟦#⟧c\n d]", "not-yaml", "a space is missing before '#'"),
    ("⟦:⟧ a", "yaml-key", "a key is missing before this colon"),
    ("a: ⟦!secret⟧ b", "yaml-tag", "the tag '!secret' is not allowed"),
    ("a: &x ⟦!!int⟧ 3", "yaml-tag", "the tag '!!int' is not allowed"),
    ("⟦%YAML 1.1⟧\n---\na: 1", "yaml-directive", "leave this line out"),
    ("a: 1\nb:⟦\u00a0⟧2\nc: 3", "yaml-character", r"U\+00A0"),
    ("a: ⟦\u30001⟧", "yaml-character", r"U\+3000"),
    ("a: b⟦\u0007⟧", "yaml-character", r"U\+0007"),
    ("a: 1\n...\n⟦b: 2⟧", "several-documents", "delete the line `...`"),
]


def _problem(text: str, parser: Parser) -> Problem:
    with pytest.raises(SpecError) as caught:
        compose(text, "f", parser)
    return caught.value.problems[0]


@pytest.mark.parametrize("parser", parsers())
@pytest.mark.parametrize(("marked", "code", "words"), MISTAKES)
def test_a_mistake_is_explained_at_its_exact_place(marked: str, code: str, words: str, parser: Parser) -> None:
    """The carets stand under what is wrong, and the words are ours, whichever parser reads."""
    before, place = marked.split("⟦")[0], marked[marked.index("⟦") + 1 : marked.index("⟧")]
    problem = _problem(marked.replace("⟦", "").replace("⟧", ""), parser)
    assert problem.place is not None
    assert (problem.code, problem.place.line, problem.place.column, problem.place.length) == (
        code,
        before.count("\n") + 1,
        len(before) - before.rfind("\n"),
        len(place),
    )
    assert re.search(words, f"{problem.message} {problem.help}")


@pytest.mark.parametrize("parser", parsers())
@pytest.mark.parametrize(
    ("text", "line", "column", "note"),
    [
        ("a: [1,\n  2", 2, 4, "the text ends here"),
        ("a: [1\nb: 2", 2, 2, "not expected before it is closed"),
        ("a: [1, {b: 2]", 1, 8, "opened here"),
        ("a: 1\n  b: 2", 1, 1, "this has its value already"),
    ],
)
def test_the_other_place_of_a_mistake_is_shown_too(
    text: str, line: int, column: int, note: str, parser: Parser
) -> None:
    """Where a bracket should have been closed by, or the line that a line was compared with."""
    [(place, said)] = _problem(text, parser).related
    assert (place.line, place.column, said) == (line, column, note)


@pytest.mark.parametrize("text", [mistake[0] for mistake in MISTAKES])
def test_both_parsers_lead_to_the_same_words(text: str) -> None:
    """A diagnostic does not depend on how PyYAML was built."""
    text = text.replace("⟦", "").replace("⟧", "")
    assert len({_problem(text, parser) for parser in parsers()}) == 1


def test_no_words_of_the_parsers_reach_the_user() -> None:
    """Nothing of what PyYAML's own messages are made of is left."""
    jargon = re.compile("token|scalar|block|flow|mapping values|indicator|expected (key|node)|simple key|stream", re.I)
    for text, _, _ in MISTAKES:
        problem = _problem(text.replace("⟦", "").replace("⟧", ""), parsers()[0])
        assert not jargon.search(f"{problem.message} {problem.help}"), problem
