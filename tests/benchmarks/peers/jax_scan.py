"""The seed job in JAX, as its documentation would have it: `jit` of a `lax.scan` over the steps, Adam written out."""

from __future__ import annotations

import functools
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SIZES = (1, 100, 10, 6, 1)
RATE, BETA1, BETA2, EPS = 2e-4, 0.9, 0.999, 1e-8


def _loss(parameters: Any, x: Any, y: Any) -> Any:
    for number, (weight, bias) in enumerate(parameters):
        x = x @ weight + bias
        if number < len(parameters) - 1:
            x = jax.nn.relu(x)
    return jnp.abs(x - y).mean()


def _step(x: Any, y: Any, carried: Any, _: None) -> tuple[Any, Any]:
    parameters, mean, square, count = carried
    loss, gradient = jax.value_and_grad(_loss)(parameters, x, y)
    count = count + 1
    mean = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, mean, gradient)
    square = jax.tree.map(lambda s, g: BETA2 * s + (1 - BETA2) * g * g, square, gradient)

    def moved(p: Any, m: Any, s: Any) -> Any:
        return p - RATE * (m / (1 - BETA1**count)) / (jnp.sqrt(s / (1 - BETA2**count)) + EPS)

    return (jax.tree.map(moved, parameters, mean, square), mean, square, count), loss


class JaxScan:
    """The job with its state; `train` takes steps, always as many, and brings the losses to the host."""

    def __init__(self, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], n_steps: int) -> None:
        draw = np.random.default_rng(0)
        parameters = []
        for inputs, outputs in pairwise(SIZES):
            bound = inputs**-0.5
            shapes = ((inputs, outputs), (outputs,))
            parameters.append(tuple(jnp.asarray(draw.uniform(-bound, bound, one), jnp.float32) for one in shapes))
        zeros = jax.tree.map(jnp.zeros_like, parameters)
        self._carried: Any = (parameters, zeros, zeros, jnp.float32(0))
        step = functools.partial(_step, jnp.asarray(x), jnp.asarray(y))
        self._run = jax.jit(lambda carried: jax.lax.scan(step, carried, None, length=n_steps))

    def train(self) -> list[float]:
        """The losses of the steps."""
        self._carried, losses = self._run(self._carried)
        return [float(one) for one in np.asarray(losses)]
