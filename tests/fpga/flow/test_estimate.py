"""Estimated delays: a netlist made by hand, and what Yosys makes of a component."""

import pytest

from fpga.flow.estimate import CLOCK_TO_Q, LUT, OUTPUT_REGISTER, SETUP, endpoints, groups, wire


def cell(kind, outputs, inputs, **parameters):
    return {
        "type": kind,
        "parameters": parameters,
        "connections": {p: [b] for p, b in {**outputs, **inputs}.items()},
        "port_directions": dict.fromkeys(outputs, "output") | dict.fromkeys(inputs, "input"),
    }


def netlist(**cells):
    bits = sorted(
        {
            b
            for c in cells.values()
            for bits in c["connections"].values()
            for b in bits
            if isinstance(b, int)
        }
    )
    return {"cells": cells, "netnames": {f"top.part_{b}.net": {"bits": [b]} for b in bits}}


def test_a_chain_of_luts():
    """Register, two LUTs, register; the second net goes to three places."""
    made = netlist(
        a=cell("TRELLIS_FF", {"Q": 2}, {"DI": 9, "CLK": 1}),
        one=cell("LUT4", {"Z": 3}, {"A": 2, "B": "0"}),
        two=cell("LUT4", {"Z": 4}, {"A": 3, "B": 3}),
        b=cell("TRELLIS_FF", {"Q": 5}, {"DI": 4, "CE": 3, "CLK": 1}),
    )
    slowest, second, third = endpoints(made)
    assert (slowest.end, slowest.port, [net for net, _, _ in slowest.steps]) == (
        "top.part_5.net",
        "DI",
        ["top.part_2.net", "top.part_3.net", "top.part_4.net"],
    )
    assert slowest.ns == pytest.approx(
        CLOCK_TO_Q["TRELLIS_FF"] + 2 * LUT + 2 * wire(1) + wire(3) + SETUP["TRELLIS_FF"]
    )
    assert second.port == "CE" and second.ns < slowest.ns and third.end == "top.part_2.net"
    assert list(groups([slowest, second, third], 2)) == [
        ("top.part_2", "top.part_5"),
        ("top.part_9", "top.part_2"),
    ]


@pytest.mark.parametrize("mode, ns", [("OUTREG", OUTPUT_REGISTER), ("NOREG", CLOCK_TO_Q["DP16KD"])])
def test_a_block_ram_with_and_without_its_register(mode, ns):
    made = netlist(
        ram=cell("DP16KD", {"DOB0": 2}, {"CLKB": 1}, REGMODE_A="NOREG", REGMODE_B=mode),
        b=cell("TRELLIS_FF", {"Q": 3}, {"DI": 2, "CLK": 1}),
    )
    (path,) = endpoints(made)
    assert path.ns == pytest.approx(ns + wire(1) + SETUP["TRELLIS_FF"])


def test_a_long_carry_chain():
    """A thousand cells: the carry costs little, and the walk does not recurse."""
    chain = {
        f"c{n}": cell(
            "CCU2C", {"COUT": 10 + n, "S1": 2000 + n}, {"CIN": 9 + n if n else "0", "A0": 2}
        )
        for n in range(1000)
    }
    made = netlist(
        a=cell("TRELLIS_FF", {"Q": 2}, {"CLK": 1}),
        b=cell("TRELLIS_FF", {"Q": 5}, {"DI": 1009, "CLK": 1}),
        **chain,
    )
    (path,) = endpoints(made)
    assert len(path.steps) == 1001 and path.ns == pytest.approx(
        0.5 + wire(1000) + 0.45 + 999 * 0.07 + wire(1) + 0.3
    )
