"""The addresses of an operand's taps."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import ENTRY_ADDR
from hdl.memory.words import TapTurn


class TapAddress(wiring.Component):
    """Of each loop the address at which its turn began: a step of a loop begins all those within
    it. One adder does for all.

    Members: `now`; `ends`: the chunk is a block's last; `first`, the next strip's address; what to
    add in a step to the next tap, row, chunk, block and window: `by_tap`, `by_row`, `by_chunk`,
    `by_block`, `by_window`; `address`, two cycles after the tap's turn began. place: bits of an
    address.
    """

    def __init__(self, place: int = ENTRY_ADDR):
        self.place = place
        steps = ("tap", "row", "chunk", "block", "window")
        super().__init__(
            {
                "now": In(TapTurn),
                "ends": In(1),
                "first": In(place),
                **{f"by_{name}": In(place) for name in steps},
                "address": Out(place),
            }
        )

    def elaborate(self, platform):
        m = Module()
        flags = self.now.flags

        # A cycle after the walk: what is added to what, and which loops begin.
        load, select, moves, by = Signal(), Signal(2), Signal(4), Signal(self.place)
        m.d.sync += [
            load.eq(flags.strip),
            select.eq(Cat(flags.x & ~flags.window | flags.turn, flags.window)),
            moves.eq(Cat(self.now.turn, self.now.turn & flags.x, self.now.window, self.now.begins)),
            by.eq(
                Mux(
                    flags.window,
                    Mux(
                        flags.turn,
                        Mux(flags.strip, self.first, self.by_window),
                        Mux(self.ends, self.by_block, self.by_chunk),
                    ),
                    Mux(flags.x, self.by_row, self.by_tap),
                )
            ),
        ]

        begun = [Signal(self.place, name=name) for name in ("tap", "row", "chunk", "window")]
        base, after = Signal(self.place), Signal(self.place)
        with m.Switch(select):
            for n, value in enumerate(begun):
                with m.Case(n):
                    m.d.comb += base.eq(value)
        m.d.comb += [after.eq(Mux(load, 0, base) + by), self.address.eq(begun[0])]
        for moved, value in zip(moves, begun):
            with m.If(moved):
                m.d.sync += value.eq(after)
        return m
