"""The block RAM of an ECP5: a DP16KD with two registers between an address and its word."""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.marks import on_instance


class Shape(NamedTuple):
    """A DP16KD by its words: bits of a word, those of them that are used here, bits of the address
    below the word's, and what a write has in these: byte enables, all of them."""

    words: int
    width: int
    used: int
    below: int
    enables: int


NARROW = (
    Shape(1 << 10, 18, 16, 4, 0b11),
    Shape(1 << 11, 9, 8, 3, 0),
    Shape(1 << 12, 4, 4, 2, 0),
    Shape(1 << 13, 2, 2, 1, 0),
    Shape(1 << 14, 1, 1, 0, 0),
)
WIDE = Shape(1 << 9, 36, 32, 5, 0b1111)


def narrow(depth: int) -> Shape:
    """Of the blocks side by side that are as narrow as `depth` words ask for."""
    return NARROW[bisect_left([shape.words for shape in NARROW], depth)]


def ram_ports(address: int, bits: int) -> wiring.Signature:
    """`read` and `write`, each with `en`, `addr` and `data`, as a Memory's ports."""
    read = wiring.Signature({"en": In(1), "addr": In(address), "data": Out(bits)})
    write = wiring.Signature({"en": In(1), "addr": In(address), "data": In(bits)})
    return wiring.Signature({"read": Out(read), "write": Out(write)})


def _block(m: Module, shape: Shape, ports: wiring.PureInterface, marks: dict[str, int], **own):
    """Instance arguments of what all have: clocks, addresses, enables."""
    found = {}
    for port, below, side in (("A", shape.enables, ports.write), ("B", 0, ports.read)):
        address = Signal(14, name=f"address_{port.lower()}")
        m.d.comb += address.eq(Cat(Const(below, shape.below), side.addr))
        found |= {f"i_AD{port}{n}": address[n] for n in range(14)}
        found |= {
            f"p_DATA_WIDTH_{port}": shape.width,
            f"p_CSDECODE_{port}": "0b000",
            f"p_CLK{port}MUX": f"CLK{port}",
            f"i_CLK{port}": ClockSignal(),
            f"i_RST{port}": Const(0),
            f"i_OCE{port}": Const(1),
        }
    m.submodules.block = Instance(
        "DP16KD",
        **on_instance(marks),
        **found,
        **own,
        p_REGMODE_A="NOREG",
        p_RESETMODE="SYNC",
        p_GSR="DISABLED",
        p_WRITEMODE_A="NORMAL",
        p_WRITEMODE_B="NORMAL",
        i_CEA=ports.write.en,
        i_WEA=ports.write.en,
        i_CEB=ports.read.en,
        i_WEB=Const(0),
    )


def _bits(direction: str, port: str, value: Value) -> dict[str, Value]:
    return {f"{direction}{port}{n}": value[n] for n in range(len(value))}


class Dp16kd(wiring.Component):
    """A block of `shape`'s words, read through its output register.

    Members: those of ram_ports. Read data come two cycles after the address; `read.en` holds the
    first of the two registers.
    """

    def __init__(self, shape: Shape, address: int, marks: dict[str, int]):
        self.shape, self.marks = shape, marks
        super().__init__(ram_ports(address, shape.used))

    def elaborate(self, platform):
        m = Module()
        data, out = Signal(18), Signal(18)
        m.d.comb += [data.eq(self.write.data), self.read.data.eq(out)]
        own = _bits("i_DI", "A", data) | _bits("o_DO", "B", out)
        _block(m, self.shape, self, self.marks, **own, p_REGMODE_B="OUTREG")
        return m


class WideDp16kd(wiring.Component):
    """A block of 32 bits a word, read through both ports at once. What their output registers do
    then is not documented, so the second register is of flip-flops.

    Members: as Dp16kd's.
    """

    def __init__(self, shape: Shape, address: int, marks: dict[str, int]):
        self.shape, self.marks = shape, marks
        super().__init__(ram_ports(address, shape.used))

    def elaborate(self, platform):
        m = Module()
        data, out = Signal(36), Signal(36)
        shown = Signal(self.shape.used, reset_less=True)
        m.d.sync += shown.eq(out)
        m.d.comb += [data.eq(self.write.data), self.read.data.eq(shown)]
        own = _bits("i_DI", "A", data[:18]) | _bits("i_DI", "B", data[18:])
        own |= _bits("o_DO", "A", out[:18]) | _bits("o_DO", "B", out[18:])
        _block(m, self.shape, self, self.marks, **own, p_REGMODE_B="NOREG")
        return m
