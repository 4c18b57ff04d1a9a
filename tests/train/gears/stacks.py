"""Builds stacks of runs, and holds each member to its solo run."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch

from annpipe.backend.device import computing
from annpipe.plan.plan import Plan
from annpipe.testing import compare_with_solo
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.gears.stack import Member, StackedRuns
from annpipe.train.gears.stacked.eligibility import stack_key, why_solo
from annpipe.train.parts import Parts, build
from annpipe.train.schedule import Schedule, schedule
from tests.comparing import hold_state

STEPS = 50
SPEC = """
version: 1
name: stacked
seed: 1
device: {type: cpu, threads: 1, precision: float64}
data:
  formula:
    rows: 29
    inputs: {a: {Uniform: [-1, 1]}, b: {Uniform: [-1, 1]}}
    targets: {y: a*a - 0.5*b}
    noise: {y: {Normal: [0, 0.1]}}
model: [Linear: 7, Tanh, Linear: 5, ReLU, Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.05}}
train: {epochs: 50, batch_size: 8}
"""


@dataclass
class Built:
    """A plan with live parts of its own."""

    plan: Plan
    parts: Parts
    schedule: Schedule

    @property
    def parameters(self) -> list[torch.Tensor]:
        return [parameter.detach() for parameter in self.parts.model.parameters()]


def built(plan: Plan) -> Built:
    parts = build(plan, torch.device("cpu"), torch.get_default_dtype())
    return Built(plan, parts, schedule(plan, len(parts.rows["train"])))


def stack_of(runs: list[Built]) -> StackedRuns:
    return StackedRuns([run.plan for run in runs], [run.parts for run in runs], [run.schedule for run in runs])


def hold_stack(plans: list[Plan], n_steps: int = STEPS, chunks: tuple[int, ...] = ()) -> None:
    """Every loss of every member, then its whole state, is its solo run's; one member asks in other chunks."""
    precision = plans[0].device.precision
    tolerance = {"float32": 1e-5, "float64": 1e-10}[precision]
    with computing(precision, deterministic=False):
        runs = [built(plan) for plan in plans]
        assert {why_solo(run.plan, run.parts) for run in runs} == {None}
        assert len({stack_key(run.plan, run.parts) for run in runs}) == 1
        stack = stack_of(runs)

        def work(member: Member) -> Any:
            asked = chunks if chunks and member is stack.members[0] else (n_steps,)
            losses = torch.cat([member.advance(n) for n in asked])
            gradients = [p.grad.clone() for p in member.parts.parameters if p.grad is not None]
            return losses, copy.deepcopy(member.state()), gradients, member.drain_rates()

        for result, plan in zip(stack.together(work), plans, strict=True):
            if isinstance(result, BaseException):
                raise result
            losses, state, gradients, rates = result
            alone = built(plan)
            gear = Eager(plan, alone.parts, alone.schedule)
            solo = gear.advance(n_steps)
            assert torch.allclose(losses, solo, rtol=tolerance, atol=0), compare_with_solo(plans, n_steps).first
            hold_state(gear.state(), state, tolerance * 10)
            hold_state([p.grad for p in alone.parts.parameters if p.grad is not None], gradients, tolerance * 10)
            assert gear.drain_rates() == rates


OPTIMIZERS = {
    "SGD": ["{SGD: {lr: 0.05}}", "{SGD: {lr: 0.1, weight_decay: 0.1}}"],
    "momentum": [
        "{SGD: {lr: 0.05, momentum: 0.9, dampening: 0.1, maximize: false}}",
        "{SGD: {lr: 0.01, momentum: 0.5, weight_decay: 0.01}}",
    ],
    "nesterov": [
        "{SGD: {lr: 0.05, momentum: 0.9, nesterov: true}}",
        "{SGD: {lr: 1e-3, momentum: 0.1, nesterov: true}}",
    ],
    "maximize": ["{SGD: {lr: 1e-3, maximize: true}}", "{SGD: {lr: 2e-3, maximize: true, weight_decay: 0.1}}"],
    "Adam": ["{Adam: {lr: 0.01}}", "{Adam: {lr: 0.001, betas: [0.8, 0.99], weight_decay: 0.1, eps: 1e-7}}"],
    "unfused": ["{Adam: {lr: 0.01, fused: false}}", "{Adam: {lr: 0.03, fused: false}}"],
    "amsgrad": ["{Adam: {lr: 0.01, amsgrad: true}}", "{Adam: {lr: 0.03, amsgrad: true, betas: [0.5, 0.9]}}"],
    "AdamW": ["{AdamW: {lr: 0.01}}", "{AdamW: {lr: 0.02, weight_decay: 0.3}}"],
    "RMSprop": ["{RMSprop: {lr: 0.01}}", "{RMSprop: {lr: 0.002, alpha: 0.9, weight_decay: 0.1}}"],
    "centered": [
        "{RMSprop: {lr: 0.01, centered: true, momentum: 0.5}}",
        "{RMSprop: {lr: 0.002, centered: true, momentum: 0.9}}",
    ],
    "NAdam": ["{NAdam: {lr: 0.01}}", "{NAdam: {lr: 0.002, momentum_decay: 0.01, weight_decay: 0.1}}"],
    "decoupled": [
        "{NAdam: {lr: 0.01, decoupled_weight_decay: true, weight_decay: 0.1}}",
        "{NAdam: {lr: 0.02, decoupled_weight_decay: true}}",
    ],
    "Adagrad": ["{Adagrad: {lr: 0.1}}", "{Adagrad: {lr: 0.05, lr_decay: 0.01, weight_decay: 0.1}}"],
    "groups": [
        "{Adam: {lr: 0.01}, groups: [{params: '*.bias', lr: 0.1}, {params: '2.*', betas: [0.5, 0.9]}]}",
        "{Adam: {lr: 0.02}, groups: [{params: '*.bias', weight_decay: 0.1}, {params: '2.*', betas: [0.6, 0.9]}]}",
    ],
}
