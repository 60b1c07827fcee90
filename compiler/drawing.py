"""Pictures that are written as SVG, the same for the same drawing."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path


@contextmanager
def canvas(path: str | Path, size: tuple[float, float], columns: int = 1):
    """A figure, and axes or a row of them that share what is up, to draw on."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "eyrie"
    figure, axes = pyplot.subplots(1, columns, figsize=size, sharey=True)
    yield figure, axes
    figure.tight_layout()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


@contextmanager
def drawing(title: str, path: str | Path, size: tuple[float, float]):
    """Axes to draw on. What is labelled gets into a legend."""
    with canvas(path, size) as (_, axes):
        yield axes
        axes.set_title(title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8, frameon=False)
