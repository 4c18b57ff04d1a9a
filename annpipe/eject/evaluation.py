"""The evaluation of a script, its figure, and what it saves."""

from __future__ import annotations

from annpipe.contract import Dataset
from annpipe.datasets.steps.tensors import Rows
from annpipe.eject.epoch_end import predicted
from annpipe.eject.layout import quoted
from annpipe.eject.writer import Writer
from annpipe.plan.plan import Plan
from annpipe.train.parts import Parts

POSITIVE = ("L1Loss", "MSELoss", "SmoothL1Loss", "HuberLoss", "CrossEntropyLoss", "BCEWithLogitsLoss")
DRAWN = ("learning_curve", "predictions", "data", "confusion_matrix")


def evaluation_lines(plan: Plan, parts: Parts) -> list[str]:
    """The lines that print loss and metrics of each split at the end."""
    lines = ["model.eval()", "with torch.no_grad():"]
    for name, rows in parts.rows.items():
        assert isinstance(rows, Rows)
        lines.append(f"    predicted_{name} = {predicted('model', f'x_{name}', len(rows))}")
    for name in parts.rows:
        loss = "train_losses[-1]" if name == "train" else f"loss_function(predicted_{name}, y_{name}).item()"
        lines.append(f'print(f"{name} loss {{{loss}:.4f}}")')
        if parts.metrics:
            lines.append(f"for name, value in measure(predicted_{name}, y_{name}).items():")
            lines.append(f'    print(f"{name} {{name}} {{value:.4f}}")')
    return lines


def figure_lines(plan: Plan, parts: Parts, writer: Writer) -> list[str]:
    """The lines that draw the learning curve, and predictions beside the truth where there is one target."""
    writer.imports.module("matplotlib.pyplot", "plt")
    second = _predictions(plan, parts)
    lines = ["figure, axes = plt.subplots(1, 2, figsize=(10, 4))" if second else "figure, curve = plt.subplots()"]
    curve = "axes[0]" if second else "curve"
    lines.append(f'{curve}.plot(range(1, len(train_losses) + 1), train_losses, label="train")')
    if "val" in parts.rows:
        stride = plan.train.evaluate_every
        epochs = "1, len(val_losses) + 1" if stride == 1 else f"{stride}, {stride} * len(val_losses) + 1, {stride}"
        lines.append(f'{curve}.plot(range({epochs}), val_losses, label="val")')
    scale = ', yscale="log"' if plan.loss.name in POSITIVE else ""
    lines.append(f'{curve}.set(xlabel="epoch", ylabel="loss"{scale})')
    lines.append(f"{curve}.legend()")
    return lines + second


def _predictions(plan: Plan, parts: Parts) -> list[str]:
    """Of one input and one number the curve; of classes the table of counts; of other numbers truth and prediction."""
    assert isinstance(parts.dataset, Dataset)
    rows = parts.rows["train"]
    assert isinstance(rows, Rows)
    part = next((name for name in ("test", "val") if name in parts.rows), "train")
    if plan.outputs or len(plan.fields.targets) > 1:
        return []
    (target,) = plan.fields.targets
    if not rows.y.is_floating_point():
        return _confusion(parts, part, target) if rows.y.ndim == 1 else []
    width = plan.model[-1].output_shape
    if width != (1,) or parts.transformed.targets is not None:
        return []
    inputs = list(plan.fields.inputs)
    if len(inputs) == 1 and rows.x.ndim == 2 and rows.x.shape[1] == 1 and parts.fitted is None:
        return [
            f"by_x = x_{part}.flatten().argsort()",
            f'axes[1].scatter(x_{part}, y_{part}, s=4, alpha=0.5, label="data")',
            f'axes[1].plot(x_{part}[by_x], predicted_{part}[by_x], color="C1", label="prediction")',
            f"axes[1].set(xlabel={label(inputs[0])}, ylabel={label(target)})",
            "axes[1].legend()",
        ]
    return [
        f"axes[1].scatter(y_{part}, predicted_{part}, s=8, alpha=0.5)",
        f'axes[1].axline((float(y_{part}.mean()), float(y_{part}.mean())), slope=1, color="C1", label="exact")',
        f'axes[1].set(xlabel={label(f"true {target}")}, ylabel="predicted")',
        "axes[1].legend()",
    ]


def _confusion(parts: Parts, part: str, target: str) -> list[str]:
    assert isinstance(parts.dataset, Dataset)
    words = parts.dataset.categories.get(target, ())
    lines = [
        f"n_classes = predicted_{part}.shape[1]",
        "counts = torch.zeros(n_classes, n_classes)",
        f"counts.index_put_((y_{part}, predicted_{part}.argmax(1)), torch.ones(len(y_{part})), accumulate=True)",
        'axes[1].imshow(counts, cmap="Blues")',
        "for row in range(n_classes):",
        "    for column in range(n_classes):",
        '        axes[1].text(column, row, f"{int(counts[row, column])}", ha="center", va="center")',
        'axes[1].set(xlabel="predicted class", ylabel="true class")',
    ]
    if words and len(words) == len(set(words)):
        names = "[" + ", ".join(map(label, words)) + "]"
        lines.append(f"axes[1].set_xticks(range({len(words)}), {names})")
        lines.append(f"axes[1].set_yticks(range({len(words)}), {names})")
    return lines


def label(text: str) -> str:
    """A user's text as a label of matplotlib's, for which dollars would begin a formula."""
    return quoted(text.replace("$", r"\$"))


def save_lines(plan: Plan, stem: str) -> list[str]:
    """The lines that write figure and weights, beside where the script is run."""
    return [f"figure.savefig({quoted(f'{stem}.png')})", f"torch.save(model.state_dict(), {quoted(f'{stem}.pt')})"]


def left_out_plots(plan: Plan) -> list[str]:
    """The figures of the spec that the script does not draw."""
    return [plot.name for plot in plan.plots if plot.name not in DRAWN]
