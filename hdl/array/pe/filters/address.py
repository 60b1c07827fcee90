"""Which row of its filter spad a PE reads."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config


def walk_ports(config: Config) -> dict[str, wiring.Member]:
    """What says which row it is.

    issue, window_end, pass_end  of the MAC loop: a slot reads; it ends its window, its pass
    load, p                      a pass begins, of so many filters
    index, entry, skip           of the slot its filter (or pair), its entry's place in the window;
                                 whether entries may have been left out
    """
    return {
        "issue": In(1),
        "window_end": In(1),
        "pass_end": In(1),
        "load": In(1),
        "p": In(8),
        "index": In(range(max(2, config.psum_spad // config.simd))),
        "entry": In(max(8, config.place_bits)),
        "skip": In(1),
    }


def address_ports(config: Config) -> dict[str, wiring.Member]:
    """Those and `address`, the row, in the cycle of `issue`; `half`, which of them is in use."""
    rows = 2 * (config.filter_half // config.simd)
    return walk_ports(config) | {"address": Out(range(rows)), "half": Out(1)}


class FilterAddress(wiring.Component):
    """Rows in their order, from the first of a half in every window. Members: `address_ports`."""

    def __init__(self, config: Config):
        self.rows = config.filter_half // config.simd
        super().__init__(address_ports(config))

    def elaborate(self, platform):
        m = Module()
        following = Signal.like(self.address)
        m.d.comb += self.address.eq(following)
        with m.If(self.issue):
            m.d.sync += following.eq(following + 1)
        with m.If(self.window_end):
            m.d.sync += following.eq(Mux(self.half ^ self.pass_end, self.rows, 0))
        with m.If(self.pass_end):
            m.d.sync += self.half.eq(~self.half)
        return m
