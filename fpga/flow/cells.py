"""Counting the cells of a netlist that Yosys has made for an ECP5, by component."""

import re

# The output of a cell that says where it belongs, and what the cell takes of nextpnr's
# TRELLIS_COMB.
OUTPUTS = {
    "LUT4": ("Z", 1),
    "CCU2C": ("S0", 2),
    "TRELLIS_DPR16X4": ("DO", 6),
    "TRELLIS_FF": ("Q", 0),
    "MULT18X18D": ("P0", 0),
    "DP16KD": ("DOB0", 0),
}
KINDS = {"TRELLIS_FF": "ff", "MULT18X18D": "dsp", "DP16KD": "bram"}


def owners(netlist: dict) -> dict[int, str]:
    """The deepest hierarchical name of every bit of a flat netlist."""
    names = {}
    for name, net in netlist["netnames"].items():
        for bit in net["bits"]:
            if isinstance(bit, int) and (
                bit not in names or name.count(".") > names[bit].count(".")
            ):
                names[bit] = name
    return names


def by_component(netlist: dict, depth: int) -> dict[str, dict[str, int]]:
    """{component: {lut, ff, dsp, bram}}, cells told by the name of what they drive. depth: parts
    of a name."""
    names, table = owners(netlist), {}
    for cell in netlist["cells"].values():
        if cell["type"] not in OUTPUTS:
            continue
        port, luts = OUTPUTS[cell["type"]]
        bits = [b for b in cell["connections"].get(port, ()) if isinstance(b, int)]
        name = names.get(bits[0], "") if bits else ""
        row = table.setdefault(
            ".".join(name.split(".")[:-1][:depth]), dict.fromkeys(("lut", "ff", "dsp", "bram"), 0)
        )
        row["lut"] += luts
        if cell["type"] in KINDS:
            row[KINDS[cell["type"]]] += 1
    return table


def count(netlist: dict, prefix: str) -> dict[str, int]:
    """Cells of the component at `prefix` and below it."""
    inside = [
        row
        for name, row in by_component(netlist, 99).items()
        if re.match(re.escape(prefix) + r"(\.|$)", name)
    ]
    return {key: sum(row[key] for row in inside) for key in ("lut", "ff", "dsp", "bram")}
