"""Delays of a netlist before placement: where the long paths are, in seconds instead of a
place-and-route's hour.

Yosys's mapping has one depth for the whole design: as long as any path is long, others are left
long too. So look at the first groups, mend them, and look again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fpga.flow.cells import owners

# ECP5, speed grade 6, in ns: from nextpnr's reports of routed designs. A wire's delay grows with
# its fan-out.
LUT, MULTIPLIER = 0.24, 4.0
CLOCK_TO_Q = {"TRELLIS_FF": 0.5, "DP16KD": 5.6, "PDPW16KD": 5.6, "MULT18X18D": 1.0}
OUTPUT_REGISTER = 0.9  # of a block RAM
SETUP = {"TRELLIS_FF": 0.3}
OTHER_SETUP = 0.5
COMBINATIONAL = {"LUT4", "PFUMX", "L6MUX21", "CCU2C", "TRELLIS_DPR16X4"}


def wire(fan_out: int) -> float:
    return 0.75 + 0.22 * math.log2(max(1, fan_out))


def _cell_delay(kind: str, into: str, out: str) -> float:
    if kind == "CCU2C":
        if into == "CIN":
            return 0.07 if out == "COUT" else 0.4
        return {"COUT": 0.45, "S0": 0.25}.get(out, 0.55)
    return MULTIPLIER if kind == "MULT18X18D" else LUT


@dataclass(frozen=True)
class Path:
    """`steps`: (net, ns at its driver, fan-out) from a register's output to the net at the end's
    input `port`."""

    ns: float
    end: str
    port: str
    steps: tuple[tuple[str, float, int], ...]

    @property
    def start(self) -> str:
        return self.steps[0][0]

    def __str__(self):
        shown = " > ".join(f"{net} {ns:.1f}" for net, ns, _ in self.steps)
        return f"{self.ns:5.1f} ns  {shown} > {self.end}.{self.port}"


def endpoints(netlist: dict) -> list[Path]:
    """The slowest path to every input of a register or memory, the slowest first."""
    cells, names = netlist["cells"], owners(netlist)
    driver, fan_out, found = {}, {}, {}

    def bits(cell, port):
        return [b for b in cell["connections"].get(port, ()) if isinstance(b, int)]

    def registered(cell):
        return cell["parameters"].get("REG_OUTPUT_CLK", "NONE") != "NONE"

    def passes(cell):
        return cell["type"] in COMBINATIONAL or (
            cell["type"] == "MULT18X18D" and not registered(cell)
        )

    for name, cell in cells.items():
        for port, direction in cell["port_directions"].items():
            for bit in bits(cell, port):
                if direction == "output":
                    driver[bit] = name, port
                else:
                    fan_out[bit] = fan_out.get(bit, 0) + 1

    def starts(cell, port):
        if (
            cell["type"] in ("DP16KD", "PDPW16KD")
            and cell["parameters"].get(f"REGMODE_{port[2]}") == "OUTREG"
        ):
            return OUTPUT_REGISTER
        return CLOCK_TO_Q.get(cell["type"], 0.5)

    def inputs(cell, out):
        """Of a combinational cell those that reach an output. Of a RAM of LUTs the address it
        reads."""
        if cell["type"] == "TRELLIS_DPR16X4":
            return ("RAD",)
        return [
            port
            for port, direction in cell["port_directions"].items()
            if direction == "input"
            and not (cell["type"] == "CCU2C" and out == "S0" and port.endswith("1"))
        ]

    def arrival(bit):
        """Puts (ns, the net before) of a net and all behind it into `found`; without recursion,
        carry chains are long."""
        waiting = [bit]
        while waiting:
            bit = waiting[-1]
            name, out = driver.get(bit, (None, None))
            if bit in found or name is None:
                found.setdefault(bit, (0.0, None))
                waiting.pop()
                continue
            cell = cells[name]
            if not passes(cell):
                found[bit] = starts(cell, out), None
                waiting.pop()
                continue
            before = [(port, b) for port in inputs(cell, out) for b in bits(cell, port)]
            missing = [b for _, b in before if b not in found]
            if missing:
                waiting.extend(missing)
                continue
            best = 0.0, None
            for port, b in before:
                inner = port == "CIN" or (
                    cell["type"] in ("PFUMX", "L6MUX21") and port not in ("C0", "SD")
                )
                ns = (
                    found[b][0]
                    + (0 if inner else wire(fan_out[b]))
                    + _cell_delay(cell["type"], port, out)
                )
                best = max(best, (ns, b), key=lambda item: item[0])
            found[bit] = best
            waiting.pop()

    paths = []
    for cell in cells.values():
        through = passes(cell)
        if through and cell["type"] != "TRELLIS_DPR16X4":
            continue
        outs = [
            b
            for port, direction in cell["port_directions"].items()
            if direction == "output"
            for b in bits(cell, port)
        ]
        end = names.get(outs[0], "?") if outs else "?"
        for port, direction in cell["port_directions"].items():
            if (
                direction == "output"
                or "CLK" in port
                or port in ("CK", "WCK")
                or (through and port == "RAD")
            ):
                continue
            for bit in bits(cell, port):
                arrival(bit)
                paths.append(
                    (
                        found[bit][0] + wire(fan_out[bit]) + SETUP.get(cell["type"], OTHER_SETUP),
                        end,
                        port,
                        bit,
                    )
                )
    paths.sort(key=lambda path: -path[0])

    def path(ns, end, port, bit):
        steps = []
        while bit is not None:
            steps.append((names.get(bit, str(bit)), found[bit][0], fan_out.get(bit, 0)))
            bit = found[bit][1]
        return Path(ns, end, port, tuple(reversed(steps)))

    return [path(*found_path) for found_path in paths]


def _component(net: str, depth: int) -> str:
    return ".".join(net.split(".")[:-1][:depth])


def groups(paths: list[Path], depth: int) -> dict[tuple[str, str], list[Path]]:
    """By the components that paths begin and end in, told by `depth` parts of a name; the
    slowest group first."""
    table: dict[tuple[str, str], list[Path]] = {}
    for path in paths:
        table.setdefault((_component(path.start, depth), _component(path.end, depth)), []).append(
            path
        )
    return table
