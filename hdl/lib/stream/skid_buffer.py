"""A place that ends a chain of `ready` signals."""

from amaranth.hdl import Module, Mux, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class SkidBuffer(wiring.Component):
    """Streams through `input` to `output`; what the output cannot take at once waits here, so
    `input.ready` is a register.

    Members: `input`, `output` streams of `shape`; `full`, something waits, a register. Latency
    none, throughput one word a cycle. In the same cycle: `input.valid` and payload to those of
    `output`; nothing from `output.ready`. Whoever drives `input` must hold its word until it moves,
    or `output` changes. Cost: a flip-flop and a LUT a bit, three LUTs.
    """

    def __init__(self, shape: ShapeLike):
        self.shape = shape
        super().__init__(
            {
                "input": In(stream.Signature(shape)),
                "output": Out(stream.Signature(shape)),
                "full": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        held = Signal(self.shape, reset_less=True)
        m.d.comb += [
            self.input.ready.eq(~self.full),
            self.output.valid.eq(self.input.valid | self.full),
            self.output.payload.eq(Mux(self.full, held, self.input.payload)),
        ]
        with m.If(self.output.ready):
            m.d.sync += self.full.eq(0)
        with m.Elif(self.input.valid):
            m.d.sync += self.full.eq(1)
        with m.If(~self.full):
            m.d.sync += held.eq(self.input.payload)
        return m
