"""Axes of a picture that is written as an SVG."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path


@contextmanager
def drawing(title: str, path: str | Path, size: tuple[float, float]):
    """Axes to draw on, written as an SVG that is the same for the same drawing. What is labelled gets into a legend."""
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot
    matplotlib.rcParams["svg.hashsalt"] = "eyrie"
    figure, axes = pyplot.subplots(figsize=size)
    yield axes
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
