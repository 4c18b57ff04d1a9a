"""The text of one row's forward and backward pass, layer by layer, with the formulas of well-known layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from annpipe.cli.views.text import paragraph, wrapped
from annpipe.errors import one_line, text_width

if TYPE_CHECKING:
    import torch

    from annpipe.inspection.passes import Differences, LayerPass, RowPass

# What a layer gives for its input x, and what the chain rule makes of d(out), the gradient of the loss by its output.
FORMULAS = {
    "Linear": ("out = weight·x + bias", "d(weight) = d(out)·xᵀ, d(bias) = d(out), d(x) = weightᵀ·d(out)"),
    "ReLU": ("out = max(x, 0)", "d(x) = d(out) where x > 0, else 0"),
    "LeakyReLU": ("out = x where x > 0, else slope·x", "d(x) = d(out) where x > 0, else slope·d(out)"),
    "Tanh": ("out = tanh(x)", "d(x) = d(out)·(1 - out²)"),
    "Sigmoid": ("out = 1 / (1 + e⁻ˣ)", "d(x) = d(out)·out·(1 - out)"),
    "Softplus": ("out = log(1 + eˣ)", "d(x) = d(out)·σ(x)"),
    "Flatten": ("the same numbers in one line", "d(x) = d(out) in the shape of x"),
    "Dropout": ("out = x: it rests outside of training", "d(x) = d(out)"),
    "Identity": ("out = x", "d(x) = d(out)"),
}
LOSSES = {
    "L1Loss": ("mean of |out - y|", "d(out) = sign(out - y) / n"),
    "MSELoss": ("mean of (out - y)²", "d(out) = 2·(out - y) / n"),
    "CrossEntropyLoss": ("-log softmax(out) of the class y", "d(out) = softmax(out) - 1 at y"),
    "BCEWithLogitsLoss": ("-y·log σ(out) - (1 - y)·log(1 - σ(out))", "d(out) = (σ(out) - y) / n"),
}


def row_lines(row: RowPass, position: int, cells: Mapping[str, str], width: int) -> Iterator[str]:
    """Both passes in lines of at most `width` columns."""
    yield from paragraph(f"row {position}, in double precision: " + _named(cells), width)
    yield ""
    yield "forward"
    yield from _tensor("x", row.features, width)
    for layer in row.layers:
        yield from _heading(layer, 0, width)
        yield from _tensor("out", layer.output, width)
    formula = LOSSES.get(row.loss_name or "", ("", ""))
    yield f"  {row.loss_name or 'the sum of the outputs, since the row has no target'}" + _after(formula[0])
    yield f"    {'loss' if row.loss_name else 'sum'} = {row.loss:.6g}"
    yield ""
    yield from paragraph(
        f"backward: d(a) is the gradient, how much the {'loss' if row.loss_name else 'sum'} changes with a", width
    )
    if row.loss_name:
        yield f"  {row.loss_name}{_after(formula[1])}"
    for layer in reversed(row.layers):
        yield from _backward(layer, width)
    if row.gradient is not None:
        yield "  the features"
        yield from _tensor("d(x)", row.gradient, width)
    yield ""
    yield from paragraph(_checked(row.differences), width)


def _named(cells: Mapping[str, str]) -> str:
    shown = [f"{one_line(name)} = {one_line(value)}" for name, value in list(cells.items())[:24]]
    return ", ".join(shown) + (", …" if len(cells) > 24 else "")


def _after(formula: str) -> str:
    return f"   {formula}" if formula else ""


def _heading(layer: LayerPass, which: int, width: int) -> Iterator[str]:
    """The layer's name, and its formula where it is known; on a line of its own where the terminal is narrow."""
    name = f"  {one_line(layer.name)} {layer.layer}"
    formula = FORMULAS.get(layer.layer, ("", ""))[which]
    if text_width(name) + 3 + text_width(formula) <= width:
        yield name + _after(formula)
    else:
        yield name
        yield from (f"    {line}" for line in wrapped(formula, width - 4))


def _backward(layer: LayerPass, width: int) -> Iterator[str]:
    yield from _heading(layer, 1, width)
    if layer.gradient is None:
        yield "    no gradient flows here"
        return
    yield from _tensor("d(out)", layer.gradient, width)
    for name, (value, gradient) in layer.parameters.items():
        yield from _tensor(one_line(name), value, width)
        if gradient is not None:
            yield from _tensor(f"d({one_line(name)})", gradient, width)


def _tensor(name: str, tensor: torch.Tensor, width: int) -> Iterator[str]:
    """`    out (100)  0.1 0 …`: the shape and as many of the numbers as the line holds."""
    shape = "×".join(map(str, tensor.shape)) or "1"
    line = f"    {name} ({shape}) "
    room = width - text_width(line)
    texts: list[str] = []
    for value in tensor.flatten()[: width // 2].tolist():
        text = f"{value + 0.0:.4g}"  # no "-0"
        if sum(map(len, texts)) + len(texts) + len(text) + 3 > room:
            break
        texts.append(text)
    yield line + " ".join([*texts, *(["…"] if len(texts) < tensor.numel() else [])])


def _checked(differences: Differences) -> str:
    if not differences.checked:
        return "finite differences: there is no number to move"
    of = f"{differences.checked:,} of {differences.total:,}" if differences.checked < differences.total else "all"
    text = (
        f"finite differences: the largest difference from these gradients is {differences.largest:.2g}, "
        f"{differences.relative:.1g} of the largest gradient; {of} numbers with a gradient were moved"
    )
    if differences.kinks:
        text += f"; {differences.kinks} lie on a kink, where there is no derivative, and are left out"
    return text
