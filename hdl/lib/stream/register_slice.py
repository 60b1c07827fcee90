"""A register in every direction between two ends of a stream."""

from amaranth.hdl import Module, Mux, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class RegisterSlice(wiring.Component):
    """Streams from `input` to `output` through two places, so that `input.ready`, `output.valid`
    and the payload are registers.

    Members: `input`, `output` streams of `shape`; `load`, in the next cycle the payload of `output`
    is what `next` is now, for who looks at words a cycle ahead. Latency one cycle, throughput one
    word a cycle. No path from an input to the streams' outputs in the same cycle; `load` has
    `output.ready` in it, `next` the payload of `input`. Cost: two flip-flops and a LUT a bit, four
    LUTs.
    """

    def __init__(self, shape: ShapeLike):
        self.shape = shape
        super().__init__(
            {
                "input": In(stream.Signature(shape)),
                "output": Out(stream.Signature(shape)),
                "load": Out(1),
                "next": Out(shape),
            }
        )

    def elaborate(self, platform):
        m = Module()
        word, spare = Signal(self.shape, reset_less=True), Signal(self.shape, reset_less=True)
        valid, full = Signal(), Signal()  # full: `spare` waits for `word` to go
        m.d.comb += [
            self.input.ready.eq(~full),
            self.output.valid.eq(valid),
            self.output.payload.eq(word),
            self.load.eq(self.output.ready | ~valid),
            self.next.eq(Mux(full, spare, self.input.payload)),
        ]
        with m.If(~full):
            m.d.sync += spare.eq(self.input.payload)
        with m.If(self.load):
            m.d.sync += [word.eq(self.next), valid.eq(full | self.input.valid), full.eq(0)]
        with m.Elif(self.input.valid):
            m.d.sync += full.eq(1)
        return m
