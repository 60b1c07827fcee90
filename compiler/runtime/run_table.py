"""What `make run` prints: layers, compressed layers, coded feature maps, predictions."""

from __future__ import annotations

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from compiler.runtime.run import FmapResult, RunReport
from compiler.sparse.compression import Report
from compiler.tables import new_table
from hdl.config import Config


def print_layers(console: Console, report: RunReport, config: Config) -> None:
    """The table of `run`: a row a layer, means of a batch."""
    table = Table(
        title=f"{config.name}: {config.pes} PEs, batch of {report.batch}, "
        f"DRAM at {config.dram_bytes_per_cycle:g} B/cycle",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    sparse = any(row.load_bound for row in report.layers)
    for name in (
        "layer",
        "shape",
        "mapping",
        "cycles",
        "filter bound",
        *["load bound"] * sparse,
        "MACs",
        "util. %",
        "DRAM bytes",
        "wrapped",
        "mismatches",
    ):
        table.add_column(
            name, justify="left" if name in ("layer", "shape", "mapping") else "right", min_width=8
        )

    def number(x):
        return f"{x:,.0f}" if x else "-"

    for row in report.layers:
        table.add_row(
            row.name,
            row.shape,
            row.mapping,
            number(row.cycles),
            number(row.filter_bound),
            *[number(row.load_bound)] * sparse,
            number(row.macs),
            f"{100 * row.utilisation:.1f}" if row.utilisation else "-",
            number(row.dram_bytes),
            str(row.wrapped),
            str(row.mismatches),
        )
    cycles, macs = (sum(getattr(row, n) for row in report.layers) for n in ("cycles", "macs"))
    table.add_section()
    table.add_row(
        "all",
        "",
        "",
        number(cycles),
        "",
        *[""] * sparse,
        number(macs),
        f"{100 * macs / (cycles * config.multipliers):.1f}" if cycles else "-",
        number(sum(row.dram_bytes for row in report.layers)),
        str(sum(row.wrapped for row in report.layers)),
        str(report.mismatches),
    )
    console.print(table)
    console.print(
        "filter bound: cycles to bring every filter once over DRAM; a layer that uses each "
        "filter word a few times only cannot be faster. "
        + "load bound: cycles to bring what a compressed layer loads, weights, pointers and "
        "vectors. " * sparse + "wrapped: final psums beyond psum_bits",
        style="dim",
    )


def print_compression(console: Console, reports: list[Report]) -> None:
    """Sizes of the sparse layers, stage by stage."""
    table = new_table(
        "compressed layers, sizes in bytes",
        ("layer",),
        "layer",
        "density %",
        "non-zeros",
        "padding",
        "16-bit dense",
        "pruned",
        "shared",
        "of it pointers",
        "Huffman",
        "bits a weight",
        "smaller by",
    )
    for r in reports:
        table.add_row(
            r.name,
            f"{100 * r.density:.1f}",
            f"{r.nonzeros:,}",
            f"{r.padding:,}",
            *(f"{n / 8:,.0f}" for n in (r.dense, r.pruned, r.shared, r.pointers, r.huffman)),
            f"{r.bits_per_weight:.2f}",
            f"{r.ratio:.1f}x, {r.huffman_ratio:.1f}x",
        )
    console.print(table)
    console.print(
        "pruned: 16-bit values and 4-bit runs; shared: 4-bit indices into 15 values, as the "
        "engine stores "
        "them; Huffman: as files hold them",
        style="dim",
    )


def print_fmaps(console: Console, fmaps: list[FmapResult]) -> None:
    """Run-length coded feature maps beside the entropy limit."""
    table = new_table(
        "run-length coded feature maps, bytes of all images",
        ("tensor",),
        "tensor",
        "zeros %",
        "dense",
        "coded",
        "ratio",
        "entropy limit",
    )
    for f in fmaps:
        table.add_row(
            f.name,
            f"{100 * f.zeros:.1f}",
            f"{f.dense:,}",
            f"{f.coded:,}",
            f"{f.ratio:.2f}x",
            f"{f.entropy:.2f}x",
        )
    dense, coded = (sum(getattr(f, n) for f in fmaps) for n in ("dense", "coded"))
    table.add_section()
    table.add_row("all", "", f"{dense:,}", f"{coded:,}", f"{dense / coded:.2f}x", "")
    console.print(table)
    console.print(
        "coded: words of strips and their lengths; entropy limit: zeros that come independently, "
        "levels of 16 bits",
        style="dim",
    )


def print_predictions(
    console: Console, guesses: dict[str, np.ndarray], labels: np.ndarray | None
) -> None:
    """Predictions against labels, and the accuracies. guesses: classes of the images, by what made
    them, the device last."""
    device = list(guesses)[-1]
    shown = 40
    table = Table(title="predictions", title_justify="left", show_header=False)
    if labels is not None:
        table.add_row("label", " ".join(f"{x:>2}" for x in labels[:shown].tolist()))
    table.add_row(device, " ".join(f"{x:>2}" for x in guesses[device][:shown].tolist()))
    if len(guesses[device]) > shown:
        table.add_row("", f"... {len(guesses[device]) - shown} more")
    console.print(table)
    if labels is not None:
        console.print(
            "accuracy: "
            + ", ".join(
                f"{name} {100 * (guess == labels).mean():.2f} %" for name, guess in guesses.items()
            )
            + f" of {len(labels)} images"
        )
