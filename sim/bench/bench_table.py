"""The tables and the sums of `make bench` and `make bench-fc`."""

from __future__ import annotations

import functools

from rich.table import Table

from compiler.model.cost import added, per_mac
from compiler.tables import new_table
from sim.bench.bench import LayerBench
from sim.bench.bench_fc import FcResult

STALLS = ("busy", "wait_ifmap", "wait_filter", "wait_psum", "idle", "unused")


def totals(results: list[LayerBench]) -> dict:
    """Of all layers."""
    total = {
        name: sum(getattr(r, name) for r in results)
        for name in (
            "cycles",
            "macs",
            "nonzero_macs",
            "dram_bytes",
            "mismatches",
            "chip_cycles",
            "model_cycles",
        )
    }
    total["accesses_per_mac"] = total["dram_bytes"] / 2 / total["macs"]
    total["accesses"] = functools.reduce(added, (r.accesses for r in results), {})
    total["counters_equal"] = all(r.counters_equal for r in results)
    return total


def bench_table(title: str, results: list[LayerBench], multipliers: int) -> Table:
    """A row a layer beside the Eyeriss chip's cycles, and one for all. multipliers: of the
    configuration."""
    table = new_table(
        title,
        ("layer", "mapping"),
        "layer",
        "mapping",
        "cycles",
        "chip's",
        "faster",
        "of peak %",
        "model %",
        "MACs %",
        "ifmap %",
        "filter %",
        "psum %",
        "no pass %",
        "unused %",
        "DRAM MB",
        "DRAM/MAC",
        "GLB/MAC",
        "wrong",
    )
    for r in results:
        table.add_row(
            r.name,
            r.mapping,
            f"{r.cycles:,}",
            f"{r.chip_cycles:,.0f}",
            f"{r.chip_cycles / r.cycles:.2f}x",
            f"{100 * r.utilisation:.1f}",
            f"{100 * (r.model_cycles / r.cycles - 1):+.1f}",
            *(f"{100 * r.stalls[name]:.1f}" for name in STALLS),
            f"{r.dram_bytes / 1e6:.2f}",
            f"{r.dram_bytes / 2 / r.macs:.4f}",
            f"{per_mac(r.accesses, 'glb', r.macs):.4f}",
            str(r.mismatches),
        )
    total = totals(results)
    cycles, macs = total["cycles"], total["macs"]
    table.add_section()
    table.add_row(
        "all",
        "",
        f"{cycles:,}",
        f"{total['chip_cycles']:,.0f}",
        f"{total['chip_cycles'] / cycles:.2f}x",
        f"{100 * macs / cycles / multipliers:.1f}",
        f"{100 * (total['model_cycles'] / cycles - 1):+.1f}",
        *[""] * len(STALLS),
        f"{total['dram_bytes'] / 1e6:.2f}",
        f"{total['accesses_per_mac']:.4f}",
        f"{per_mac(total['accesses'], 'glb', macs):.4f}",
        str(total["mismatches"]),
    )
    return table


def fc_table(results: list[FcResult]) -> Table:
    """A row a sparse layer, placement and queue depth."""
    table = new_table(
        "64 sparse PEs, weights on chip; efficiency = non-zero MACs / (64 x cycles)",
        ("layer", "placement"),
        "layer",
        "placement",
        "queue",
        "cycles",
        "non-zero MACs",
        "padding",
        "efficiency %",
        "with padding %",
        "EIE's %",
        "starved %",
        "fill cycles",
        "blocks",
        "mismatches",
    )
    for r in results:
        table.add_row(
            r.name,
            r.placement,
            str(r.queue_depth),
            f"{r.cycles:,}",
            f"{r.nonzero_macs:,}",
            f"{r.padding_entries:,}",
            f"{100 * r.efficiency:.1f}",
            f"{100 * r.with_padding:.1f}",
            f"{100 * r.published:.1f}" if r.published else "-",
            f"{100 * r.starved:.1f}",
            f"{r.fill_cycles:,}",
            str(r.blocks),
            str(r.mismatches),
        )
    return table
