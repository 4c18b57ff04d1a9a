"""What a script does at the end of an epoch: validation, the scheduler, averages, early stopping, a line of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from annpipe.backend.streams import stream_seed
from annpipe.datasets.steps.tensors import Rows
from annpipe.draft.component import Component
from annpipe.draft.metric_keys import large_is_good, run_metrics
from annpipe.eject.layout import STEP, number, quoted
from annpipe.eject.refused import refused
from annpipe.plan.plan import Plan
from annpipe.registry.traits import AverageTraits
from annpipe.train.parts import Parts
from annpipe.train.schedule import Schedule

EARLY = "annpipe_std.callbacks.best:EarlyStopping"
WRITE_ONLY = (
    *("annpipe_std.callbacks.best:Checkpoint", "annpipe_std.callbacks.histograms:Histograms"),
    "annpipe_std.callbacks.samples:SamplePredictions",
)
"""Callbacks of the built-in library that write files and change no number: a script goes without them."""
BLOCK = 8192  # rows at a time that annpipe evaluates


@dataclass
class EpochEnd:
    """Lines before the loop, at the end of each epoch, and after the loop; `left_out` names callbacks."""

    before: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    evaluates: bool = False
    follows_metric: bool = False


def epoch_end(plan: Plan, parts: Parts, schedule: Schedule) -> EpochEnd:
    """What a plan asks for at the end of its epochs; raises NotEjected at a callback that has no plain form."""
    end = EpochEnd()
    end.lines += _each_epoch(plan, schedule)
    stopping = _stopping(plan, end)
    look = _look(plan, parts, end, stopping)
    end.lines += _when(look, schedule)
    end.lines += _progress(plan, parts, schedule)
    if plan.average is not None:
        end.after += _settled(plan, parts)
    return end


def _each_epoch(plan: Plan, schedule: Schedule) -> list[str]:
    """The average of epochs and a scheduler of epochs; an epoch that the run ends within has neither."""
    lines: list[str] = []
    if plan.average is not None and plan.average.traits(AverageTraits).each == "epoch":
        lines += averaging("epoch", plan, schedule.total_steps, schedule.steps_per_epoch)
    if plan.scheduler is not None and plan.followed_metric is None and plan.train.scheduler_each == "epoch":
        lines.append("scheduler.step()")
    if schedule.total_steps % schedule.steps_per_epoch and lines:
        whole = schedule.total_steps // schedule.steps_per_epoch
        return [f"if epoch <= {whole}:  # the last epoch is none that is whole", *(f"{STEP}{line}" for line in lines)]
    return lines


def averaging(counter: str, plan: Plan, total_steps: int, stride: int = 1) -> list[str]:
    """The lines that take the parameters into the average, once so much of the run is over."""
    assert plan.average is not None
    begin = float(plan.average.options.get("start") or 0.0) * total_steps
    first = int(begin // stride) + 1
    first -= first > 1 and (first - 1) * stride > begin
    update = "averaged.update_parameters(model)"
    return [update] if first <= 1 else [f"if {counter} >= {first}:", f"{STEP}{update}"]


def _stopping(plan: Plan, end: EpochEnd) -> Component | None:
    """The callback that stops the run early; the others are noted, or refused."""
    stopping = None
    for callback in plan.callbacks:
        if callback.entry.target == EARLY and stopping is None:
            stopping = callback
        elif callback.entry.target in WRITE_ONLY:
            end.left_out.append(callback.name)
        else:
            raise refused(callback, "only one `early_stopping` and callbacks that write files can be")
    return stopping


def _look(plan: Plan, parts: Parts, end: EpochEnd, stopping: Component | None) -> list[str]:
    """What happens where the run looks: validation, then the scheduler that follows it, then early stopping."""
    lines: list[str] = []
    followed = plan.followed_metric
    watched = None if stopping is None else str(stopping.options["monitor"])
    if "val" in parts.rows:
        end.evaluates = True
        end.before.append("val_losses = []")
        keys = [key for key in (followed, watched) if key]
        end.follows_metric = any(map(is_metric, keys))
        lines += _validated(plan, parts, keys)
    if followed is not None:
        lines.append(f"scheduler.step({_value(followed)})")
    if stopping is not None and watched is not None:
        lines += _early(plan, stopping, watched, end)
    return lines


def _value(key: str) -> str:
    """The variable that holds a metric of the epoch."""
    if key == "train/loss":
        return "train_losses[-1]"
    if key == "lr":
        return 'optimizer.param_groups[0]["lr"]'
    return "val_losses[-1]" if key == "val/loss" else f"measured[{quoted(key.partition('/')[2])}]"


def _validated(plan: Plan, parts: Parts, watched: Sequence[str]) -> list[str]:
    rows = parts.rows["val"]
    assert isinstance(rows, Rows)
    lines: list[str] = []
    evaluated = "model"
    if plan.average is not None:
        lines += _averaged_so_far(plan, parts)
        evaluated = "current"
    else:
        lines.append("model.eval()")
    lines += ["with torch.no_grad():", f"{STEP}prediction = {predicted(evaluated, 'x_val', len(rows))}"]
    lines.append("val_losses.append(loss_function(prediction, y_val).item())")
    if any(is_metric(key) for key in watched):
        lines.append("measured = measure(prediction, y_val)")
    return lines


def is_metric(key: str) -> bool:
    """Whether a key that something follows is one of the metrics of the val split."""
    return key.startswith("val/") and key != "val/loss"


def predicted(model: str, x: str, n_rows: int) -> str:
    """The predictions for many rows, in the blocks in which annpipe makes them."""
    if n_rows <= BLOCK:
        return f"{model}({x})"
    return f"torch.cat([{model}(block) for block in {x}.split({BLOCK})])"


def _averaged_so_far(plan: Plan, parts: Parts) -> list[str]:
    """The model to evaluate: the average once it has begun."""
    assert plan.average is not None
    lines = ["current = averaged.module if averaged.n_averaged > 0 else model"]
    if plan.average.traits(AverageTraits).update_bn:
        lines += ["if averaged.n_averaged > 0:", *(f"{STEP}{line}" for line in measured_again(plan, parts))]
    return [*lines, "current.eval()"]


def measured_again(plan: Plan, parts: Parts) -> list[str]:
    """The statistics of BatchNorm, measured on the train split for the averaged parameters."""
    size = "len(x_train)" if plan.train.batch_size == "all" else "BATCH_SIZE"
    rows = len(parts.rows["train"])
    x = "x_train"
    if plan.train.drop_last and plan.train.batch_size != "all":
        step_rows = min(plan.train.batch_size * plan.train.accumulate, rows)
        n_whole = max(1, rows // step_rows * plan.train.accumulate)
        x = f"x_train[:{n_whole * plan.train.batch_size}]"
    seed = stream_seed(plan.head.seed, "dropout")
    return [
        "with torch.random.fork_rng(devices=[]):",
        f"{STEP}torch.manual_seed({seed})",
        f"{STEP}torch.optim.swa_utils.update_bn({x}.split({size}), averaged.module)",
    ]


def _early(plan: Plan, stopping: Component, watched: str, end: EpochEnd) -> list[str]:
    """Stops when a metric has not become better for some epochs, and goes back to the best one."""
    options = stopping.options
    is_high = options["goal"] == "maximize" or (options["goal"] is None and _is_high(plan, watched))
    restores = options["restore_best"]
    if restores and plan.average is not None:
        raise refused(stopping, "`restore_best` beside an average; say `restore_best: false`")
    delta = options["min_delta"]
    sign, change = (">", "+") if is_high else ("<", "-")
    bound = "best" if not delta else f"best {change} {number(delta)}"
    end.before += [f'best = {"-" if is_high else ""}float("inf")', "best_epoch = None"]
    first = "1" if plan.train.evaluate_every == 1 else "epoch"
    lines = ["if best_epoch is None:", f"{STEP}best_epoch = epoch"] if first == "epoch" else []
    if first != "epoch":
        end.before[-1] = "best_epoch = 1"
    kept = [f"{STEP}best_state = copy.deepcopy(model.state_dict())"] if restores else []
    if restores:
        end.before.append("best_state = None")
        end.after += ["if best_state is not None:", f"{STEP}model.load_state_dict(best_state)"]
    value = _value(watched)
    return [
        *lines,
        f"if {value} {sign} {bound}:",
        f"{STEP}best, best_epoch = {value}, epoch",
        *kept,
        f"if epoch - best_epoch >= {options['patience']}:",
        f"{STEP}break",
    ]


def _is_high(plan: Plan, key: str) -> bool:
    metric = run_metrics(plan.metrics, plan.outputs).get(key.partition("/")[2])
    return metric is not None and large_is_good(metric[0])


def _when(look: list[str], schedule: Schedule) -> list[str]:
    """The lines of a look, at the epochs that have one."""
    if not look or schedule.look_every is None:
        return []
    if schedule.look_every == 1:
        return look
    condition = f"if epoch % {schedule.look_every} == 0 or epoch == EPOCHS:"
    return [condition, *(f"{STEP}{line}" for line in look)]


def _progress(plan: Plan, parts: Parts, schedule: Schedule) -> list[str]:
    """A line of text now and then."""
    epochs = -(-schedule.total_steps // schedule.steps_per_epoch)
    stride = max(1, epochs // 10)
    val = ", val {val_losses[-1]:.4f}" if "val" in parts.rows and schedule.look_every == 1 else ""
    line_of_text = f'print(f"epoch {{epoch:,}}: loss {{train_losses[-1]:.4f}}{val}")'
    return [line_of_text] if stride == 1 else [f"if epoch % {stride} == 0:", f"{STEP}{line_of_text}"]


def _settled(plan: Plan, parts: Parts) -> list[str]:
    """The average becomes the model, once there is one."""
    lines = ["if averaged.n_averaged > 0:"]
    assert plan.average is not None
    inner = measured_again(plan, parts) if plan.average.traits(AverageTraits).update_bn else []
    inner.append("model.load_state_dict(averaged.module.state_dict())")
    return [*lines, *(f"{STEP}{line}" for line in inner)]
