"""A register in every direction between two ends of a stream."""

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class RegisterSlice(wiring.Component):
    """Streams from `input` to `output` through two places, so that `input.ready`, `output.valid`
    and the payload are registers.

    Members: `input`, `output` streams of `shape`. Latency one cycle, throughput one word a cycle.
    No path from an input to an output in the same cycle. Cost: two flip-flops and a LUT a bit, four
    LUTs.
    """

    def __init__(self, shape: ShapeLike):
        self.shape = shape
        super().__init__(
            {"input": In(stream.Signature(shape)), "output": Out(stream.Signature(shape))}
        )

    def elaborate(self, platform):
        m = Module()
        word, spare = Signal(self.shape, reset_less=True), Signal(self.shape, reset_less=True)
        valid, full = Signal(), Signal()  # full: `spare` waits for `word` to go
        m.d.comb += [
            self.input.ready.eq(~full),
            self.output.valid.eq(valid),
            self.output.payload.eq(word),
        ]
        with m.If(~full):
            m.d.sync += spare.eq(self.input.payload)
        with m.If(self.output.ready | ~valid):
            m.d.sync += [valid.eq(full | self.input.valid), full.eq(0)]
            with m.If(full):
                m.d.sync += word.eq(spare)
            with m.Else():
                m.d.sync += word.eq(self.input.payload)
        with m.Elif(self.input.valid):
            m.d.sync += full.eq(1)
        return m
