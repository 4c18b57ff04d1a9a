"""Layers that hold stacks of layers: `residual`, `parallel`, `repeat`, `shared`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field

from annpipe import Stack, layer

Shape = Sequence[int]


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
        given: torch.Tensor = self.layers(x)
        return arrived + given


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
    raise ValueError(f"its layers turn {_row(arrives)} into {_row(leaves)}, which cannot be added to what arrives")


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
        join: Annotated[
            Literal["concat", "add", "mul"], Field(description="whether outputs stand side by side, or add or multiply")
        ] = "concat",
        dim: Annotated[
            int | None, Field(ge=1, description="the dimension along which outputs are joined, rows being 0")
        ] = None,
        *,
        output_shapes: list[list[int]],
    ) -> None:
        super().__init__()
        if len(branches) < 2:
            raise ValueError(f"it needs two branches at least; found {len(branches)}")
        if dim is not None and join != "concat":
            raise ValueError(f"`dim` says where outputs are joined by concat; join is {join}")
        self.branches = torch.nn.ModuleList(branches)
        self.join = join
        self.dim = dim or (1 if len(output_shapes[0]) == 3 else len(output_shapes[0]))
        self._check(output_shapes)

    def _check(self, shapes: Sequence[Shape]) -> None:
        said = " and ".join(map(_row, shapes))
        place = self.dim - 1
        if self.join != "concat":
            if any(list(shape) != list(shapes[0]) for shape in shapes):
                raise ValueError(f"its branches give {said}; `join: {self.join}` needs one shape")
            return
        if any(len(shape) != len(shapes[0]) or place >= len(shape) for shape in shapes):
            raise ValueError(f"its branches give {said}, which cannot be joined along dimension {self.dim}")
        if len({(*shape[:place], *shape[place + 1 :]) for shape in map(tuple, shapes)}) > 1:
            raise ValueError(f"its branches give {said}; all sizes but that of dimension {self.dim} must agree")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs = [branch(x) for branch in self.branches]
        if self.join == "concat":
            return torch.cat(outputs, self.dim)
        joined: torch.Tensor = outputs[0]
        for output in outputs[1:]:
            joined = joined + output if self.join == "add" else joined * output
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


def _row(shape: Shape) -> str:
    return f"(rows, {', '.join(map(str, shape))})" if shape else "(rows,)"
