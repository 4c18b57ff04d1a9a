"""The training loop of a script: full batch or batches, what happens at each step, and at the end of an epoch."""

from __future__ import annotations

from dataclasses import dataclass, field

from annpipe.backend.streams import stream_seed
from annpipe.eject.data import seeding
from annpipe.eject.epoch_end import EpochEnd, averaging, epoch_end
from annpipe.eject.layout import STEP, number
from annpipe.eject.losses import Weighing, weighing
from annpipe.eject.model import draws_while_training
from annpipe.eject.refused import NotEjected, refused
from annpipe.eject.writer import Writer
from annpipe.plan.plan import Plan
from annpipe.registry.traits import AverageTraits, OptimizerTraits
from annpipe.train.parts import Parts
from annpipe.train.schedule import Schedule, schedule

LBFGS = "torch.optim:LBFGS"


def indented(lines: list[str], steps: int = 1) -> list[str]:
    """The lines, further in."""
    return [f"{STEP * steps}{line}" if line else line for line in lines]


@dataclass
class LoopPlan:
    """What the loop of a plan consists of."""

    plan: Plan
    parts: Parts
    writer: Writer
    schedule: Schedule
    weighing: Weighing
    end: EpochEnd
    constants: list[str] = field(default_factory=list)

    @property
    def is_one_step(self) -> bool:
        """Whether each epoch is one step on all rows, in their order."""
        return self.schedule.is_full_batch and self.plan.train.accumulated_size is None

    @property
    def counts_steps(self) -> bool:
        """Whether the number of the step decides something."""
        average = self.plan.average
        averages = average is not None and average.traits(AverageTraits).each == "step"
        return self.ends_within or (averages and bool(average and average.options.get("start")))

    @property
    def ends_within(self) -> bool:
        """Whether the spec says steps, after which an epoch may end before its rows do."""
        return self.plan.train.steps is not None and not self.is_one_step


def loop_of(plan: Plan, parts: Parts, writer: Writer) -> LoopPlan:
    """The loop of a plan; raises NotEjected for what it has no plain form of."""
    _check(plan)
    steps = schedule(plan, len(parts.rows["train"]))
    return LoopPlan(plan, parts, writer, steps, weighing(plan, parts, steps), epoch_end(plan, parts, steps))


def _check(plan: Plan) -> None:
    train = plan.train
    if train.non_finite != "stop":
        raise NotEjected(
            f"`train.non_finite: {train.non_finite}`", "it has no plain form here", path=("train", "non_finite")
        )
    if train.max_seconds is not None:
        raise NotEjected(
            "`train.max_seconds`", "no two runs end at the same step by the clock", path=("train", "max_seconds")
        )
    if plan.optimizer.traits(OptimizerTraits).closure and plan.optimizer.entry.target != LBFGS:
        raise refused(plan.optimizer, "its step evaluates the model several times")


def loop_lines(loop: LoopPlan) -> list[str]:
    """The lines of the loop, with what it keeps."""
    seed = stream_seed(loop.plan.head.seed, "dropout")
    lines = seeding(loop.writer, seed) if draws_while_training(loop.parts) else []
    if lines:
        lines[0] += "  # what layers draw while they train"
    if loop.plan.train.shuffle and not loop.schedule.is_full_batch:
        shuffle = stream_seed(loop.plan.head.seed, "shuffle")
        lines.append(f"shuffle = torch.Generator().manual_seed({shuffle})")
    if loop.is_one_step and loop.plan.optimizer.entry.target == LBFGS:
        lines += (
            ["", "", *_closure(loop, "x_train", "y_train"), "", ""]
            if lines
            else [*_closure(loop, "x_train", "y_train"), "", ""]
        )
    lines.append("train_losses = []")
    lines += loop.end.before
    if loop.counts_steps:
        lines.append("step = 0")
    lines.append("for epoch in range(1, EPOCHS + 1):")
    return lines + indented(_epoch(loop)) + loop.end.after


def epochs_of(loop: LoopPlan) -> int:
    """The epochs that the loop begins."""
    per_epoch = loop.schedule.steps_per_epoch
    return -(-loop.schedule.total_steps // per_epoch)


def _epoch(loop: LoopPlan) -> list[str]:
    lines = ["model.train()"] if loop.end.evaluates else []
    lines += _one_step(loop) if loop.is_one_step else _steps(loop)
    return lines + loop.end.lines


def _one_step(loop: LoopPlan) -> list[str]:
    return [*_gradient_step(loop, "x_train", "y_train"), "train_losses.append(loss.item())"]


def _steps(loop: LoopPlan) -> list[str]:
    """Batches in an order that is drawn anew, and the mean over their rows."""
    train, steps = loop.plan.train, loop.schedule
    n_rows = len(loop.parts.rows["train"])
    if steps.is_full_batch:
        lines, order = [], "torch.arange(len(x_train))"
    elif train.shuffle:
        lines, order = ["order = torch.randperm(len(x_train), generator=shuffle)"], "order"
    else:
        lines, order = [], "torch.arange(len(x_train))"
    whole = steps.steps_per_epoch * steps.step_rows
    if train.drop_last and whole < n_rows:
        order += f"[:{whole}]"
    size = "BATCH_SIZE" if train.accumulated_size is None else f"{train.accumulate} * BATCH_SIZE"
    batches = f"{order}.split({size})"
    if loop.ends_within:
        batches += "[: STEPS - step]"
    lines += loop.weighing.begin
    lines.append(f"for rows in {batches}:")
    lines += indented(_of_batch(loop))
    return [*lines, f"train_losses.append({loop.weighing.mean(steps)})"]


def _of_batch(loop: LoopPlan) -> list[str]:
    lines = [] if loop.plan.train.accumulated_size is None else _accumulated(loop)
    if not lines:
        lines = _gradient_step(loop, "x_train[rows]", "y_train[rows]")
    return [*lines, *loop.weighing.take]


def _gradient_step(loop: LoopPlan, x: str, y: str) -> list[str]:
    """Forward, backward, and the step of the optimizer."""
    forward = _forward(loop, f"loss = loss_function(model({x}), {y})")
    if loop.plan.optimizer.entry.target == LBFGS:
        defined = [] if loop.is_one_step else ["", *_closure(loop, x, y), ""]
        lines = [*defined, "loss = optimizer.step(closure)"]
    else:
        lines = ["optimizer.zero_grad()", *forward, "loss.backward()", *_clipping(loop), "optimizer.step()"]
    return lines + _after_step(loop)


def _closure(loop: LoopPlan, x: str, y: str) -> list[str]:
    """What an optimizer calls that evaluates the loss several times a step."""
    forward = _forward(loop, f"loss = loss_function(model({x}), {y})")
    body = ["optimizer.zero_grad()", *forward, "loss.backward()", *_clipping(loop), "return loss"]
    return ["def closure():", *indented(body)]


def _forward(loop: LoopPlan, line: str) -> list[str]:
    if loop.plan.device.autocast == "off":
        return [line]
    return [f'with torch.autocast("cpu", torch.{loop.plan.device.autocast}):', f"{STEP}{line}"]


def _accumulated(loop: LoopPlan) -> list[str]:
    """A step whose gradients are gathered over several batches, each with its share of the rows."""
    if loop.plan.optimizer.traits(OptimizerTraits).closure:
        raise refused(loop.plan.optimizer, "with `train.accumulate`")
    scale = "" if loop.weighing.is_sum else " * (len(batch) / len(rows))"
    inner = _forward(loop, f"loss = loss_function(model(x_train[batch]), y_train[batch]){scale}")
    return [
        "optimizer.zero_grad()",
        "parts = []",
        "for batch in rows.split(BATCH_SIZE):",
        *indented([*inner, "loss.backward()", "parts.append(loss.detach())"]),
        "loss = torch.stack(parts).sum()",
        *_clipping(loop),
        "optimizer.step()",
        *_after_step(loop),
    ]


def _clipping(loop: LoopPlan) -> list[str]:
    train, lines = loop.plan.train, []
    what = "model.parameters()"
    if any(True for _ in loop.parts.loss.parameters()):
        what = "[*model.parameters(), *loss_function.parameters()]"
    if train.clip_value is not None:
        lines.append(f"nn.utils.clip_grad_value_({what}, {number(train.clip_value)})")
    if train.clip_norm is not None:
        lines.append(f"nn.utils.clip_grad_norm_({what}, {number(train.clip_norm)})")
    return lines


def _after_step(loop: LoopPlan) -> list[str]:
    """What follows each step: counting, the average, the scheduler."""
    plan, lines = loop.plan, list[str]()
    if loop.counts_steps:
        lines.append("step += 1")
    if plan.average is not None and plan.average.traits(AverageTraits).each == "step":
        lines += averaging("step", plan, loop.schedule.total_steps)
    if plan.scheduler is not None and plan.followed_metric is None and plan.train.scheduler_each == "step":
        lines.append("scheduler.step()")
    return lines
