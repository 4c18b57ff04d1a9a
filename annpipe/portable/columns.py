"""Raw columns in, features out, and predictions back in the units of the targets: plain PyTorch, part of the model.

A copy of this file goes beside `network.py` where a model has transforms: it needs nothing but torch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch


class Columns(torch.nn.Module):
    """Groups of columns, each with its own steps, whose outputs are placed side by side.

    `groups` has for each the positions of its columns and its steps. **Shape:** (rows, columns) -> (rows, features).
    """

    def __init__(self, groups: Sequence[tuple[Sequence[int], Sequence[torch.nn.Module]]]) -> None:
        super().__init__()
        self.positions = [list(positions) for positions, _ in groups]
        self.steps = torch.nn.ModuleList(torch.nn.Sequential(*steps) for _, steps in groups)
        self.register_load_state_dict_pre_hook(sized)  # type: ignore[no-untyped-call]  # torch's own

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        groups = [steps(x[:, positions]) for positions, steps in zip(self.positions, self.steps, strict=True)]
        return groups[0] if len(groups) == 1 else torch.cat(groups, 1)


class Whole(torch.nn.Sequential):
    """Steps for one input of a shape of its own, as images are. **Shape:** (rows, …) -> (rows, …)."""

    def __init__(self, *steps: torch.nn.Module) -> None:
        super().__init__(*steps)
        self.register_load_state_dict_pre_hook(sized)  # type: ignore[no-untyped-call]  # torch's own


class Targets(torch.nn.Module):
    """Target columns, each with its own steps; `inverse` transforms predictions back.

    `groups` has for each column its steps, `widths` the number of outputs for it, as scores of classes are several,
    `variances` the position of a variance among them. **Shape:** (rows, targets) -> (rows, targets).
    """

    def __init__(
        self,
        groups: Sequence[Sequence[torch.nn.Module]],
        widths: Sequence[int] = (),
        variances: Sequence[int | None] = (),
    ) -> None:
        super().__init__()
        self.widths = list(widths) or [1] * len(groups)
        self.variances = list(variances) or [None] * len(groups)
        self.steps = torch.nn.ModuleList(torch.nn.ModuleList(steps) for steps in groups)
        self.register_load_state_dict_pre_hook(sized)  # type: ignore[no-untyped-call]  # torch's own

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return torch.cat([self._through(number, y[:, number, None]) for number in range(len(self.steps))], 1)

    def _through(self, number: int, column: torch.Tensor) -> torch.Tensor:
        for step in self.steps[number]:  # type: ignore[attr-defined]  # a ModuleList
            column = step(column)
        return column

    def inverse(self, y: torch.Tensor) -> torch.Tensor:
        """Predictions in the units of the data, double precision."""
        columns = []
        is_output = y.shape[1] == sum(self.widths)  # predictions, or targets
        widths = self.widths if is_output else [1] * len(self.widths)
        parts = torch.split(y.double(), widths, 1)
        for column, steps, variance in zip(parts, self.steps, self.variances, strict=True):
            back = _inverse(column, steps)
            if is_output and variance is not None:  # the scale is affine: all steps of 1 are as wide
                step = _inverse(torch.ones_like(column), steps) - _inverse(torch.zeros_like(column), steps)
                back = back.clone()
                back[:, variance] = column[:, variance] * step[:, variance] ** 2
            columns.append(back)
        return torch.cat(columns, 1)


def _inverse(column: torch.Tensor, steps: Any) -> torch.Tensor:
    """Numbers of one target transformed back through its steps."""
    for step in reversed(list(steps)):
        column = step.inverse(column)
    return column


class Model(torch.nn.Module):
    """A network between its columns and targets: raw rows in, predictions in the units of the data out.

    **Shape:** (rows, columns) or (rows, …), double precision -> (rows, …).
    """

    def __init__(
        self,
        columns: torch.nn.Module | None,
        network: torch.nn.Module,
        targets: Targets | None,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.columns, self.network, self.targets, self.dtype = columns, network, targets, dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = x if self.columns is None else self.columns(x.double())
        output: torch.Tensor = self.network(features.to(self.dtype) if features.is_floating_point() else features)
        return output if self.targets is None else self.targets.inverse(output)


def begun_with(columns: torch.nn.Module, network: torch.nn.Module) -> torch.nn.Module:
    """The stack of layers with `columns` before them; the layers keep their numbers as names."""
    stack: torch.nn.Module = type(network)(OrderedDict(columns=columns, **dict(network.named_children())))
    return stack


def sized(module: torch.nn.Module, state: dict[str, torch.Tensor], prefix: str, *_: Any) -> None:
    """Before a state is loaded, gives each buffer of a transform the size that it has in the state."""
    for name, kept in state.items():
        if not name.startswith(prefix):
            continue
        path, _dot, leaf = name.removeprefix(prefix).rpartition(".")
        try:
            owner = module.get_submodule(path)
        except AttributeError:
            continue  # torch itself reports that there is no such module
        if leaf in owner._buffers:
            owner.register_buffer(leaf, torch.empty_like(kept))
