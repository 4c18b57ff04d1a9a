"""Option types out of Python annotations: what YAML can say, and what it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union

import pytest
import torch

from annpipe.contract import Loss, MetricKey
from annpipe.expression import Expression
from annpipe.portable.stack import Stack
from annpipe.registry.annotations import from_annotation
from annpipe.registry.types import UnsupportedType


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (int, "int"),
        (None, "None"),
        (Path, "path"),
        (Any, "any"),
        (Expression, "expression"),
        (torch.Tensor, "tensor"),
        (torch.nn.Module, "layer"),
        (torch.distributions.Distribution, "distribution"),
        (torch.optim.Optimizer, "optimizer"),
        (Stack, "stack"),
        (list[Stack], "list[stack]"),
        (Loss, "loss"),
        (MetricKey, "metric_key"),
        (MetricKey | None, "metric_key | None"),
        (torch.optim.lr_scheduler.LRScheduler, "scheduler"),
        (Optional[int], "int | None"),  # noqa: UP045  # the older spelling is read too
        (Union[int, str, None], "int | str | None"),  # noqa: UP007  # as above
        (int | float | None, "int | float | None"),
        (torch.Tensor | float, "tensor"),
        (torch.Tensor | float | None, "tensor | None"),
        (Literal["a", "b"], "'a' | 'b'"),
        (Literal["a", None], "'a' | None"),
        (Literal[1, 2] | str, "1 | 2 | str"),
        (Annotated[int, "words"], "int"),
        (list, "list[any]"),
        (dict, "dict[str, any]"),
        (list[int], "list[int]"),
        (Sequence[float], "list[float]"),
        (tuple, "list[any]"),
        (MutableMapping[str, int], "dict[str, int]"),
        (Iterable[str], "list[str]"),
        (tuple[int, ...], "list[int]"),
        (tuple[int, float], "tuple[int, float]"),
        (int | tuple[int, int], "int | tuple[int, int]"),
        (Mapping[str, torch.distributions.Distribution], "dict[str, distribution]"),
        (dict[str, list[int | None]], "dict[str, list[int | None]]"),
    ],
)
def test_an_annotation_becomes_the_type_that_yaml_can_say(hint: Any, text: str) -> None:
    assert str(from_annotation(hint)) == text


@pytest.mark.parametrize(
    "hint",
    [
        complex,
        Callable[[int], int],
        dict[int, str],
        object,
        torch.device,
        type[int],
        set[int],
        Iterator[int],
        Mapping,
        tuple[()],
        int | complex,
        list[complex],
        "int",
        [int],
    ],
)
def test_an_annotation_that_yaml_cannot_say_is_refused(hint: Any) -> None:
    with pytest.raises(UnsupportedType):
        from_annotation(hint)
