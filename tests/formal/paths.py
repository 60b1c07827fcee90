"""Which outputs depend on which inputs: a search of the and-inverter graph, without an engine."""

from __future__ import annotations

from collections.abc import Iterable

from tests.formal.engine import Graph

NO_INPUTS = ("clk", "rst", "init:")  # the last: of a register that starts as anything


def _name(port: str) -> str:
    """As the component's members are called: output.payload[1]."""
    base, bracket, place = port.partition("[")
    return base.replace("__", ".") + bracket + place


class Reach:
    """From inputs to outputs, by name and bit."""

    def __init__(self, graph: Graph):
        lines = graph.text.splitlines()
        inputs, latches, outputs, gates = (int(n) for n in lines[0].split()[2:6])
        body = [[int(n) for n in line.split()] for line in lines[1 : 1 + inputs + latches]]
        at = 1 + inputs + latches
        drivers = [int(line) for line in lines[at : at + outputs]]
        at += outputs
        ands = [[int(n) for n in line.split()] for line in lines[at : at + gates]]
        names = dict(line.split(" ")[:2] for line in lines[at + gates :] if line[:1] in "io")

        self.inputs = {
            _name(names[f"i{n}"]): body[n][0] >> 1
            for n in range(inputs)
            if not names.get(f"i{n}", "init:").startswith(NO_INPUTS)
        }
        self.outputs = {_name(names[f"o{n}"]): drivers[n] >> 1 for n in range(outputs)}
        self.gates = {gate >> 1: (left >> 1, right >> 1) for gate, left, right in ands}
        self.latches = {latch[0] >> 1: latch[1] >> 1 for latch in body[inputs:]}

    def sources(self, output: str, *, registers: bool) -> set[str]:
        """The inputs that `output` depends on: in the same cycle, or in any before too."""
        seen, left = set(), [self.outputs[output]]
        while left:
            node = left.pop()
            if node not in seen:
                seen.add(node)
                left += self.gates.get(node, ())
                if registers and node in self.latches:
                    left.append(self.latches[node])
        return {name for name, node in self.inputs.items() if node in seen}

    def combinational(self, *, bits: bool = False) -> set[str]:
        """Every "input > output" in the same cycle; by members unless `bits`."""
        return {
            f"{_member(source, bits)} > {_member(output, bits)}"
            for output in self.outputs
            for source in self.sources(output, registers=False)
        }

    def data(self) -> list[str]:
        """What of the payload goes elsewhere than to the same bit of a payload, and bits of a
        payload that never come out: both ends are called `payload`, or the output `next`."""
        wrong = []
        payloads = {name for name in self.inputs if ".payload" in name}
        for output in self.outputs:
            found = self.sources(output, registers=True) & payloads
            carries = _member(output, bits=False).endswith((".payload", "next"))
            wanted = {f"input.payload[{_bit(output)}]"} if carries else set()
            wrong += [f"{name} > {output}" for name in sorted(found - wanted)]
            wrong += [f"no {name} > {output}" for name in sorted(wanted - found)]
        return wrong


def _member(name: str, bits: bool) -> str:
    return name if bits else name.partition("[")[0]


def _bit(name: str) -> str:
    return name.partition("[")[2].rstrip("]")


def differences(found: Iterable[str], declared: Iterable[str]) -> list[str]:
    """Paths that the contract does not have, and those of it that are not there."""
    found, declared = set(found), set(declared)
    return sorted(found - declared) + [f"no {path}" for path in sorted(declared - found)]
