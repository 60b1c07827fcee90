"""The picture of a benchmark: cycles of each layer, ours against the chip's, by what they went
to."""

from __future__ import annotations

from pathlib import Path

from compiler.drawing import drawing
from sim.bench.bench import LayerBench

PARTS = {
    "busy": ("MACs", "#2a6f97"),
    "wait_ifmap": ("waiting for ifmaps", "#f4a259"),
    "wait_filter": ("waiting for filters", "#bc4b51"),
    "wait_psum": ("waiting for psums", "#8cb369"),
    "wait_hazard": ("accumulator hazard", "#5b5f97"),
    "idle": ("no pass", "#b0b0b0"),
    "unused": ("PEs left out", "#dddddd"),
}


def plot(title: str, layers: list[LayerBench], path: str | Path) -> None:
    """Write an SVG, one pair of bars a layer."""
    at = range(len(layers))
    with drawing(title, path, (max(7, 0.75 * len(layers) + 3), 4.2)) as axes:
        axes.bar(
            [x - 0.2 for x in at],
            [layer.chip_cycles / 1e6 for layer in layers],
            0.36,
            color="#f0e2c4",
            edgecolor="#a08040",
            label="Eyeriss chip",
        )
        below = [0.0] * len(layers)
        for name, (label, colour) in PARTS.items():
            heights = [layer.cycles * layer.stalls[name] / 1e6 for layer in layers]
            axes.bar([x + 0.2 for x in at], heights, 0.36, bottom=below, color=colour, label=label)
            below = [a + b for a, b in zip(below, heights)]
        axes.set_xticks(
            list(at), [layer.name for layer in layers], rotation=30 if len(layers) > 6 else 0
        )
        axes.set_ylabel("million cycles")


def plot_scaling(title: str, rows: list[dict], path: str | Path) -> None:
    """Write an SVG of cycles by PEs: the model, the RTL where measured, and what all PEs busy
    would take."""
    pes = [row["pes"] for row in rows]
    measured = [row for row in rows if row["rtl_cycles"]]
    with drawing(title, path, (6, 4)) as axes:
        axes.plot(
            pes,
            [row["utilisation"] * row["model_cycles"] / 1e6 for row in rows],
            color="#b0b0b0",
            linestyle="--",
            label="a MAC a cycle and multiplier",
        )
        axes.plot(
            pes,
            [row["model_cycles"] / 1e6 for row in rows],
            color="#2a6f97",
            marker="o",
            label="model",
        )
        axes.plot(
            [row["pes"] for row in measured],
            [row["rtl_cycles"] / 1e6 for row in measured],
            color="#bc4b51",
            marker="x",
            markersize=9,
            linestyle="none",
            label="RTL",
        )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(pes, [str(n) for n in pes])
        axes.minorticks_off()
        axes.set_xlabel("PEs")
        axes.set_ylabel("million cycles")
