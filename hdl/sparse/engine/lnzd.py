"""Leading non-zero detection: a node per four PEs, in a tree (EIE, ISCA 2016, section IV)."""

from amaranth.hdl import Module, ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.stream.forward_slice import ForwardSlice
from hdl.lib.stream.through import into

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
        found = into(m, "found", ForwardSlice(self.layout), wiring.flipped(self.output))
        children = [getattr(self, f"child_{n}") for n in range(FAN_IN)]
        earlier = 0
        for child in children:
            m.d.comb += child.ready.eq(found.ready & ~earlier)
            earlier = earlier | child.valid
        m.d.comb += [found.valid.eq(earlier), found.payload.eq(children[-1].payload)]
        for child in reversed(children[:-1]):
            with m.If(child.valid):
                m.d.comb += found.payload.eq(child.payload)
        return m
