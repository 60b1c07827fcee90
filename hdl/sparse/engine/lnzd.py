"""Leading non-zero detection: a node per four PEs, in a tree (EIE, ISCA 2016, section IV)."""

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

FAN_IN = 4


class LnzdNode(wiring.Component):
    """Passes on the first of up to four non-zero activations that are waiting.

    Members: `child_<n>` streams, `output` stream. Lower numbers first; the order of columns
    does not matter to the sums. One a cycle, latency one cycle.
    """

    def __init__(self, layout: ShapeLike):
        self.layout = layout
        super().__init__(
            {f"child_{n}": In(stream.Signature(layout)) for n in range(FAN_IN)}
            | {"output": Out(stream.Signature(layout))}
        )

    def elaborate(self, platform):
        m = Module()
        room = Signal()
        m.d.comb += room.eq(~self.output.valid | self.output.ready)
        children = [getattr(self, f"child_{n}") for n in range(FAN_IN)]
        with m.If(room):
            m.d.sync += self.output.valid.eq(0)
        earlier = 0
        for child in children:
            m.d.comb += child.ready.eq(room & ~earlier)
            with m.If(child.valid & child.ready):
                m.d.sync += [self.output.valid.eq(1), self.output.payload.eq(child.payload)]
            earlier = earlier | child.valid
        return m
