"""The picture of a supervised run: loss and token accuracy over the steps."""

from pathlib import Path

from trainer.runs.history import read_metrics

__all__ = ["plot_loss"]

_PANELS = {"loss": "loss, nats a token", "mean_token_accuracy": "tokens right"}


def plot_loss(metrics: Path, target: Path) -> None:
    """Draws a metrics file as PNG; a file without lines gives an empty picture.

    Args:
        metrics: As :class:`trainer.runs.history.MetricsFile` writes it.
        target: The PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    lines = read_metrics(metrics)
    figure = Figure(figsize=(8, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(_PANELS), 1, sharex=True)
    for axes, (name, label) in zip(panels, _PANELS.items(), strict=True):
        points = [(line["step"], line[name]) for line in lines if name in line]
        if points:
            steps, values = zip(*points, strict=True)
            axes.plot(steps, values, color="#1b6ca8", linewidth=2)
        axes.set_ylabel(label)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].set_yscale("log")  # it falls from a first value that all else would vanish beside
    panels[1].set_ylim(0, 1.03)
    panels[0].set_title("Supervised training", loc="left", fontweight="bold")
    panels[-1].set_xlabel("step")
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=130)
