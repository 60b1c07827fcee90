"""A register on a stream's way."""

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class Stage(wiring.Component):
    """Streams of `shape` from `input` to `output` through a register.

    Latency one cycle, throughput one a cycle; `input.ready` waits for `output.ready` in the same
    cycle.
    """

    def __init__(self, shape: ShapeLike):
        self.shape = shape
        super().__init__(
            {"input": In(stream.Signature(shape)), "output": Out(stream.Signature(shape))}
        )

    def elaborate(self, platform):
        m = Module()
        out = Signal(self.shape, reset_less=True)
        m.d.comb += [
            self.input.ready.eq(~self.output.valid | self.output.ready),
            self.output.payload.eq(out),
        ]
        with m.If(self.output.ready):
            m.d.sync += self.output.valid.eq(0)
        with m.If(self.input.ready):
            m.d.sync += out.eq(self.input.payload)
            with m.If(self.input.valid):
                m.d.sync += self.output.valid.eq(1)
        return m
