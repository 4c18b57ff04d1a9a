"""A plot: a figure of a run."""

from matplotlib.figure import Figure

from annpipe import RunView, plot


@plot
def error_histogram(view: RunView, bins: int = 30) -> Figure:
    """How far off the predictions are, target by target, counted in `bins` parts."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    predicted = view.predict(view.train.inputs)
    for name, target in view.train.targets.items():
        axes.hist((target - predicted[name]).numpy(), bins=bins, alpha=0.6, label=name)
    axes.set(xlabel="target - prediction", ylabel="rows")
    axes.legend()
    return figure
