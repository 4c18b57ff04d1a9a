"""Layers that hold layers (`residual`, `parallel`, `repeat`, `shared`) and layers of taps (`tap`, `take`, `join`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field

from annpipe import Stack, Taps, layer

Shape = Sequence[int]
By = Literal["concat", "add", "mul"]


@layer(name="residual")
class Residual(torch.nn.Module):
    """Adds what its layers give to what arrives (He et al., 2015, arXiv:1512.03385).

    Where the layers change one width, what arrives goes through a projection without bias: a `Linear` on the last
    dimension, a convolution of kernel 1 on the channels of signals (rows, channels, length) and of images (rows,
    channels, height, width), with a stride where an image shrinks. Raises ValueError where no such projection fits.
    """

    def __init__(
        self,
        layers: Annotated[Stack, Field(description="the layers whose output is added to what arrives")],
        *,
        input_shape: list[int],
        output_shape: list[int],
    ) -> None:
        super().__init__()
        self.layers = layers
        self.projection = _projection(input_shape, output_shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        arrived: torch.Tensor = self.projection(x)
        change: torch.Tensor = self.layers(x)
        return arrived + change


def _projection(arrives: Shape, leaves: Shape) -> torch.nn.Module:
    """What brings a row of shape `arrives` to the shape `leaves`; shapes are without rows."""
    if list(arrives) == list(leaves):
        return torch.nn.Identity()
    if len(arrives) == len(leaves) and arrives[:-1] == leaves[:-1]:
        return torch.nn.Linear(arrives[-1], leaves[-1], bias=False)
    if len(arrives) == len(leaves) == 2 and arrives[1] == leaves[1]:
        return torch.nn.Conv1d(arrives[0], leaves[0], kernel_size=1, bias=False)
    if len(arrives) == len(leaves) == 3 and (stride := _stride(arrives[1:], leaves[1:])):
        return torch.nn.Conv2d(arrives[0], leaves[0], kernel_size=1, stride=stride, bias=False)
    raise ValueError(
        f"its layers change the shape {_row(arrives)} to {_row(leaves)}, which cannot be added to their input"
    )


def _stride(arrives: Shape, leaves: Shape) -> tuple[int, int] | None:
    """The strides with which a kernel of 1 leaves `leaves` of the sizes `arrives`, None where there are none."""
    down, across = (-(-before // after) for before, after in zip(arrives, leaves, strict=True))
    reached = [-(-before // stride) for before, stride in zip(arrives, (down, across), strict=True)]
    return (down, across) if reached == list(leaves) else None


@layer(name="parallel")
class Parallel(torch.nn.Module):
    """Gives what arrives to several stacks of layers and joins what they give.

    `concat` puts the outputs beside one another: along the channels of images (rows, channels, height, width), else
    along the last dimension, unless `dim` says another. `add` and `mul` take outputs of one shape, element by element.
    Raises ValueError where shapes cannot be joined.
    """

    def __init__(
        self,
        branches: Annotated[list[Stack], Field(description="the stacks, each of which takes what arrives")],
        join: Annotated[By, Field(description="whether outputs stand side by side, or add or multiply")] = "concat",
        dim: Annotated[
            int | None, Field(ge=1, description="the dimension along which outputs are joined, rows being 0")
        ] = None,
        *,
        output_shapes: list[list[int]],
    ) -> None:
        super().__init__()
        if len(branches) < 2:
            raise ValueError(f"it needs at least two branches; found {len(branches)}")
        self.branches = torch.nn.ModuleList(branches)
        self.join = join
        shapes_text = f"its branches give {' and '.join(map(_row, output_shapes))}"
        self.dim = _dimension(output_shapes, join, dim, shapes_text, "join")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _joined([branch(x) for branch in self.branches], self.join, self.dim)


def _dimension(shapes: Sequence[Shape], by: By, dim: int | None, shapes_text: str, option: str) -> int:
    """Where values of these shapes are joined; raises ValueError, whose message begins with `shapes_text`."""
    if by != "concat":
        if dim is not None:
            raise ValueError(f"`dim` applies to concat only; `{option}` is {by}")
        if any(list(shape) != list(shapes[0]) for shape in shapes):
            raise ValueError(f"{shapes_text}; `{option}: {by}` needs one shape")
    dim = dim or (1 if len(shapes[0]) == 3 else len(shapes[0]))
    if by == "concat":
        if any(len(shape) != len(shapes[0]) or dim > len(shape) for shape in shapes):
            raise ValueError(f"{shapes_text}, which cannot be joined along dimension {dim}")
        if len({(*shape[: dim - 1], *shape[dim:]) for shape in map(tuple, shapes)}) > 1:
            raise ValueError(f"{shapes_text}; all sizes but that of dimension {dim} must agree")
    return dim


def _joined(values: Sequence[torch.Tensor], by: By, dim: int) -> torch.Tensor:
    """Values (rows, …) side by side along `dim`, or their sum or product."""
    if by == "concat":
        return torch.cat(list(values), dim)
    joined = values[0]
    for value in values[1:]:
        joined = joined + value if by == "add" else joined * value
    return joined


@layer(name="repeat", repeats="times", shares="share")
class Repeat(torch.nn.Module):
    """A stack of layers several times over, each time with weights of its own and the sizes that arrive there.

    With `share` it is one stack that is run several times.
    """

    def __init__(
        self,
        times: Annotated[int, Field(ge=1, description="how many times the layers follow one another")],
        layers: Annotated[Stack, Field(description="the layers of one time")],
        share: Annotated[bool, Field(description="whether each time has the same weights")] = False,
    ) -> None:
        super().__init__()
        self.times = times
        self.layers = layers
        self.share = share

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(self.times if self.share else 1):
            x = self.layers(x)
        return x


@layer(name="shared", uses="block")
def shared(
    block: Annotated[str, Field(description="the block; its own name in its place would give it fresh weights")],
    *,
    stack: Stack,
) -> torch.nn.Module:
    """A block of the spec with the same weights wherever it is used so."""
    return stack


@layer(name="tap", sets="name")
class Tap(torch.nn.Module):
    """Remembers what flows here under a name, for `take` and `join` further on, and passes it on as it is."""

    def __init__(
        self,
        name: Annotated[str, Field(description="the name; a model taps each at one place")],
        *,
        tap_values: Taps,
    ) -> None:
        super().__init__()
        self.name, self.taps = name, tap_values

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.taps.values[self.name] = x
        return x

    def extra_repr(self) -> str:
        return self.name


@layer(name="take", reads="name")
class Take(torch.nn.Module):
    """Drops what flows here and goes on with the value of a tap."""

    def __init__(self, name: Annotated[str, Field(description="the tap")], *, tap_values: Taps) -> None:
        super().__init__()
        self.name, self.taps = name, tap_values

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.taps.value(self.name)

    def extra_repr(self) -> str:
        return self.name


@layer(name="join", reads="taps")
class Join(torch.nn.Module):
    """Joins what flows here with the values of taps, in this order, as `parallel` joins its branches.

    Raises ValueError where shapes cannot be joined.
    """

    def __init__(
        self,
        taps: Annotated[str | list[str], Field(description="the tap, or a list of them")],
        by: Annotated[By, Field(description="whether values stand side by side, or add or multiply")] = "concat",
        dim: Annotated[
            int | None, Field(ge=1, description="the dimension along which values are joined, rows being 0")
        ] = None,
        *,
        input_shape: list[int],
        tap_shapes: list[list[int]],
        tap_values: Taps,
    ) -> None:
        super().__init__()
        self.names = [taps] if isinstance(taps, str) else taps
        if not self.names:
            raise ValueError("it needs at least one tap")
        tapped = [f"'{name}' is {_row(shape)}" for name, shape in zip(self.names, tap_shapes, strict=True)]
        shapes_text = f"its input is {_row(input_shape)}, and {' and '.join(tapped)}"
        self.by = by
        self.dim = _dimension([input_shape, *tap_shapes], by, dim, shapes_text, "by")
        self.taps = tap_values

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _joined([x, *map(self.taps.value, self.names)], self.by, self.dim)

    def extra_repr(self) -> str:
        return ", ".join([*self.names, self.by])


def _row(shape: Shape) -> str:
    return f"(rows, {', '.join(map(str, shape))})" if shape else "(rows,)"
