"""The templates of `annpipe new`: one for each kind, of the same code as the guide for plugins."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from annpipe.registry.kinds import KINDS
from annpipe.scaffold.names import component_name
from annpipe.scaffold.templates_by_kind import TEMPLATES, Template

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "plugins" / "README.md").read_text(encoding="utf-8")


def test_every_kind_has_a_template() -> None:
    """In the order of the kinds."""
    assert list(TEMPLATES) == list(KINDS)


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_a_template_is_the_example_of_the_guide(template: Template) -> None:
    """So that the two teach the same; the first block of a kind with its mark is the example."""
    blocks = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)
    example = next(block for block in blocks if re.search(rf"^@{template.kind}\b", block, re.MULTILINE))
    without_docstring = re.compile(r'\A"""[^\n]*"""\n\n')
    assert without_docstring.sub("", template.source) == without_docstring.sub("", example)


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
@pytest.mark.parametrize("name", ["RadialBasis", "radial_basis"])
def test_a_name_stands_wherever_the_templates_did(template: Template, name: str) -> None:
    """In the component, its functions, its test and its part of a spec; what is named otherwise says so in its mark."""
    names = component_name(template.kind, name, is_class=template.is_class, used=template.identifiers)
    component, test = template.component(names), template.test(names, "radial_basis")
    for text in (component, test, *template.used(names).values()):
        assert not re.search(rf"(?<![\w.]){template.identifier}(_fields)?\b", _without_docstrings(text)), text
    assert re.search(rf"^(class|def) {names.identifier}\b", component, re.MULTILINE)
    assert f'name="{name}"' in component or names.identifier == name
    assert "max_abs" not in component
    assert f"from radial_basis import {names.identifier}" in test
    assert any(name in text for text in template.used(names).values())


def _without_docstrings(text: str) -> str:
    return re.sub(r'""".*?"""', "", text, flags=re.DOTALL)
