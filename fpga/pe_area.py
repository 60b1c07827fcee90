"""What a PE or the array costs on an ECP5, and how fast it is:

python -m fpga.pe_area [array] [seed=N] [field=value ...]
"""

import json
import re
import subprocess
import sys

from amaranth.hdl import Cat, ClockDomain, Elaboratable, Module, Signal, Value
from amaranth.lib import io
from amaranth.lib.wiring import In
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from hdl.array import ProcessingArray
from hdl.config import Config
from hdl.pe import ProcessingElement
from hdl.verilog import BUILD

from .pll import Ecp5Pll
from .tools import environment

CLOCK_HZ = 200_000_000   # asked for, so that routing does not stop at less than there is


class Harness(Elaboratable):
    """A component between two shift registers, in place of some five hundred pins."""

    def __init__(self, name: str, component):
        self.name, self.component = name, component

    def elaborate(self, platform):
        m = Module()
        m.submodules.clock_in = pad = io.Buffer("i", platform.request("clk25", 0, dir="-"))
        m.submodules.pll = pll = Ecp5Pll(25_000_000, CLOCK_HZ)
        m.domains.sync = sync = ClockDomain(reset_less=True)
        m.d.comb += [pll.clk_in.eq(pad.i), sync.clk.eq(pll.clk_out)]
        m.submodules.button = button = io.Buffer("i", platform.request("button_fire", 0, dir="-"))
        m.submodules.led = led = io.Buffer("o", platform.request("led", 0, dir="-"))
        m.submodules[self.name] = component = self.component
        ports = [(member, Value.cast(value)) for _, member, value in component.signature.flatten(component)]
        into, out = (Cat(v for member, v in ports if (member.flow == In) == way) for way in (True, False))
        feed, kept = Signal(len(into)), Signal(len(out))
        take = Signal()
        m.d.sync += [feed.eq(Cat(button.i, feed)), take.eq(feed[-1])]
        with m.If(take):
            m.d.sync += kept.eq(out)
        with m.Else():
            m.d.sync += kept.eq(kept >> 1)
        m.d.comb += [into.eq(feed), led.o.eq(kept[0])]
        return m


COMPONENTS = {"pe": ProcessingElement, "array": ProcessingArray}


def measure(config: Config, seed: int = 1, name: str = "pe") -> dict:
    """LUTs (a carry counts two, a RAM of 16x4 bits six), FFs, multipliers, block RAMs and fmax of one of COMPONENTS."""
    platform = ULX3S_85F_Platform()
    plan = platform.prepare(
        Harness(name, COMPONENTS[name](config)), "top", emit_src=False, synth_opts="-nowidelut",
        nextpnr_opts=f"--seed {seed} --timing-allow-fail --report report.json --router router2")
    root = plan.extract(str(BUILD / "fpga" / f"{name}-{config.name}"))
    with open(root / "build.log", "w", encoding="utf-8") as log:
        subprocess.run(["sh", f"{plan.script}.sh"], cwd=root, env=environment(platform.required_tools),
                       stdout=log, stderr=log, check=True)
    netlist = json.loads((root / "top.json").read_text())["modules"]["top"]
    return count(netlist, name) | {
        "fmax_mhz": round(min(c["achieved"] for c in json.loads((root / "report.json").read_text())["fmax"].values()), 1)}


# The output of a cell that says where it belongs, and what the cell takes of nextpnr's TRELLIS_COMB.
OUTPUTS = {"LUT4": ("Z", 1), "CCU2C": ("S0", 2), "TRELLIS_DPR16X4": ("DO", 6), "TRELLIS_FF": ("Q", 0),
           "MULT18X18D": ("P0", 0), "DP16KD": ("DOB0", 0)}
KINDS = {"TRELLIS_FF": "ff", "MULT18X18D": "dsp", "DP16KD": "bram"}


def owners(netlist: dict) -> dict[int, str]:
    """The deepest hierarchical name of every bit of a flat netlist."""
    names = {}
    for name, net in netlist["netnames"].items():
        for bit in net["bits"]:
            if isinstance(bit, int) and (bit not in names or name.count(".") > names[bit].count(".")):
                names[bit] = name
    return names


def by_component(netlist: dict, depth: int) -> dict[str, dict[str, int]]:
    """{component: {lut, ff, dsp, bram}}, cells told by the name of what they drive. depth: parts of a name."""
    names, table = owners(netlist), {}
    for cell in netlist["cells"].values():
        if cell["type"] not in OUTPUTS:
            continue
        port, luts = OUTPUTS[cell["type"]]
        bits = [b for b in cell["connections"].get(port, ()) if isinstance(b, int)]
        name = names.get(bits[0], "") if bits else ""
        row = table.setdefault(".".join(name.split(".")[:-1][:depth]), dict.fromkeys(("lut", "ff", "dsp", "bram"), 0))
        row["lut"] += luts
        if cell["type"] in KINDS:
            row[KINDS[cell["type"]]] += 1
    return table


def count(netlist: dict, prefix: str) -> dict[str, int]:
    """Cells of the component at `prefix` and below it."""
    inside = [row for name, row in by_component(netlist, 99).items() if re.match(re.escape(prefix) + r"(\.|$)", name)]
    return {key: sum(row[key] for row in inside) for key in ("lut", "ff", "dsp", "bram")}


if __name__ == "__main__":
    asked = sys.argv[1:]
    chosen = "array" if "array" in asked else "pe"
    seeds = [int(a.removeprefix("seed=")) for a in asked if a.startswith("seed=")] or [1]
    fields = [a for a in asked if a != "array" and not a.startswith("seed=")]
    for one in seeds:
        print(measure(Config.load("ecp5-45").override(fields), one, chosen), flush=True)
