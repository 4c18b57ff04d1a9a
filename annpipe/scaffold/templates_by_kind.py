"""The template of each kind: its file, the component's name in it, and the part of a spec that uses it."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from annpipe.scaffold.names import ComponentName

PACKAGE = "annpipe.scaffold.templates"
NAME = "NAME"  # what stands in the parts of a spec for the component's name

BASE: Mapping[str, str] = {
    "data": "{formula: {rows: 200, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: x**2}}, split: {val: 0.25}}",
    "model": "[Linear: 16, Tanh, Linear: 1]",
    "loss": "MSELoss",
    "optimizer": "{Adam: {lr: 0.01}}",
    "train": "{epochs: 20, batch_size: 32}",
}
"""The sections of a spec that trains in a second, for what a component's own part does not say."""


@dataclass(frozen=True)
class Template:
    """`identifier` is what the template's file calls the component; `sections` are those of a spec that use it."""

    kind: str
    identifier: str
    sections: Mapping[str, str]

    @property
    def is_class(self) -> bool:
        """Whether the component is a class, and no function."""
        return self.identifier[0].isupper()

    @property
    def source(self) -> str:
        """The text of the component's file."""
        return _text(f"{self.kind}.py")

    @property
    def identifiers(self) -> frozenset[str]:
        """All names that the file uses, but the component's."""
        return frozenset(token.string for token in _names(self.source)) - {self.identifier}

    def component(self, name: ComponentName) -> str:
        """The component's file with its names changed; the words of docstrings stay."""
        renamed = _renamed(self.source, self.identifier, name.identifier)
        bare = f"@{self.kind}"
        marked = re.sub(rf'^{bare}\(name="\w+"\)', bare, renamed, flags=re.MULTILINE)
        if name.needs_mark:
            in_brackets = marked.replace(f"{bare}(", f'{bare}(name="{name.spec}", ', 1)
            marked = in_brackets if in_brackets != marked else marked.replace(bare, f'{bare}(name="{name.spec}")', 1)
        return marked

    def test(self, name: ComponentName, module: str) -> str:
        """The test's file, which imports the component from `module`."""
        text = _text(f"test_{self.kind}.py").replace(f"{PACKAGE}.{self.kind}", module)
        return _renamed(text, self.identifier, name.identifier)

    def used(self, name: ComponentName) -> dict[str, str]:
        """The sections of a spec that use the component."""
        return {section: text.replace(NAME, name.spec) for section, text in self.sections.items()}


def spec_text(title: str, sections: Mapping[str, str], plugin: str | None = None) -> str:
    """A whole spec that has these sections; `plugin` is the file that it lists."""
    listed = {"plugins": f"[{plugin}]"} if plugin else {}
    lines = {"version": "1", "name": title, **listed, **BASE, **sections}
    return "".join(f"{name}: {text}\n" for name, text in lines.items())


def _text(file: str) -> str:
    return (files(PACKAGE) / file).read_text(encoding="utf-8")


def _names(source: str) -> list[tokenize.TokenInfo]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [token for token in tokens if token.type == tokenize.NAME]


def _renamed(source: str, old: str, new: str) -> str:
    """The source with an identifier changed, and those that begin with it: `spiral_fields` goes with `spiral`."""
    lines = source.splitlines(keepends=True)
    for token in reversed(_names(source)):
        if token.string == old or token.string == f"{old}_fields":
            row, column = token.start
            line = lines[row - 1]
            lines[row - 1] = line[:column] + new + line[column + len(old) :]
    return "".join(lines)


_FORMULA = "formula: {rows: 200, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: x**2}}"
_TEMPLATES = (
    Template("data", "spiral", {"data": "{NAME: {rows: 300}, split: {val: 0.25}}", "loss": "BCEWithLogitsLoss"}),
    Template("transform", "MaxAbs", {"data": f"{{{_FORMULA}, transforms: {{number: NAME}}}}"}),
    Template("layer", "Swish", {"model": "[Linear: 16, NAME: {beta: 2.0}, Linear: 1]"}),
    Template(
        "initializer", "signs_", {"model": "{layers: [Linear: 16, Tanh, Linear: 1], init: {weight: {NAME: 0.2}}}"}
    ),
    Template("loss", "PinballLoss", {"loss": "{NAME: 0.9}"}),
    Template("optimizer", "Lion", {"optimizer": "{NAME: {lr: 1e-3}}"}),
    Template("scheduler", "InverseRoot", {"scheduler": "{NAME: {slow: 5}}"}),
    Template("average", "PolynomialDecay", {"average": "{NAME: {eta: 5}}"}),
    Template(
        "distribution",
        "Triangular",
        {"data": "{formula: {rows: 200, inputs: {x: {NAME: [2, 0.5]}}, targets: {y: x**2}}, split: {val: 0.25}}"},
    ),
    Template("metric", "WorstError", {"metrics": "[NAME]"}),
    Template("callback", "GoodEnough", {"callbacks": "[NAME: {level: 0.01}]"}),
    Template("plot", "error_histogram", {"plots": "[NAME]"}),
)

TEMPLATES: Mapping[str, Template] = {template.kind: template for template in _TEMPLATES}
