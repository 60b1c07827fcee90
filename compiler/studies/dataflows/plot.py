"""The picture of a comparison: a stacked bar a dataflow, by level of the storage hierarchy and
by data type."""

from __future__ import annotations

from pathlib import Path

from compiler.drawing import canvas

from . import Result

LEVELS = {
    "mac": ("MAC", "#b0b0b0"),
    "dram": ("DRAM", "#bc4b51"),
    "buffer": ("buffer", "#f4a259"),
    "array": ("array", "#8cb369"),
    "register": ("register file", "#2a6f97"),
}
KINDS = {
    "ifmap": ("ifmaps", "#5b5f97"),
    "filter": ("filters", "#c9a227"),
    "psum": ("psums", "#7fb7be"),
}


def plot(
    title: str,
    results: list[Result],
    scale: float,
    published: dict[str, float],
    unit: str,
    path: str | Path,
) -> None:
    """Write an SVG. scale: energy that is 1; published: values beside the bars, by dataflow; unit:
    what 1 is. Dataflows that no mapping fits have no bar."""
    with canvas(path, (10, 4.4), 2) as (figure, (left, right)):
        at = range(len(results))
        for axes, parts, of in (
            (left, LEVELS, "levels"),
            (right, {"mac": LEVELS["mac"]} | KINDS, "kinds"),
        ):
            below = [0.0] * len(results)
            for name, (label, colour) in parts.items():
                heights = [
                    (r.levels["mac"] if name == "mac" else getattr(r, of)[name]) / scale
                    if r.fits
                    else 0.0
                    for r in results
                ]
                axes.bar(at, heights, 0.6, bottom=below, color=colour, label=label)
                below = [a + b for a, b in zip(below, heights)]
            for x, r, top in zip(at, results, below):
                axes.annotate(
                    f"{top:.2f}" if r.fits else "does not fit",
                    (x, top),
                    xytext=(0, 3),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                )
            if published:
                axes.plot(
                    [x for x, r in zip(at, results) if r.dataflow in published],
                    [published[r.dataflow] for r in results if r.dataflow in published],
                    linestyle="none",
                    marker="_",
                    markersize=26,
                    markeredgewidth=1.4,
                    color="black",
                    label="published",
                )
            axes.set_xticks(list(at), [r.dataflow.upper() for r in results])
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(
                fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.09), ncols=3
            )
        left.set_ylim(
            0,
            1.12 * max([1e-9, *(r.energy / scale for r in results if r.fits), *published.values()]),
        )
        left.set_ylabel(unit)
        left.set_title("by level", fontsize=9)
        right.set_title("by data type", fontsize=9)
        figure.suptitle(title, fontsize=10)
