"""A register on the way forward of a stream."""

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class ForwardSlice(wiring.Component):
    """Streams from `input` to `output` through one place: `output.valid` and the payload are
    registers, `input.ready` goes back through a gate.

    Members: `input`, `output` streams of `shape`. Latency one cycle, throughput one word a cycle.
    In the same cycle: `output.ready` to `input.ready`; nothing else. Cost: a flip-flop a bit and
    one, two LUTs. Where a chain of `ready` must end: RegisterSlice.
    """

    def __init__(self, shape: ShapeLike):
        self.shape = shape
        super().__init__(
            {"input": In(stream.Signature(shape)), "output": Out(stream.Signature(shape))}
        )

    def elaborate(self, platform):
        m = Module()
        word = Signal(self.shape, reset_less=True)

        m.d.comb += [
            self.input.ready.eq(~self.output.valid | self.output.ready),
            self.output.payload.eq(word),
        ]

        with m.If(self.input.ready):
            m.d.sync += [self.output.valid.eq(self.input.valid), word.eq(self.input.payload)]
        return m
