"""A register on a stream's way."""

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class Stage(wiring.Component):
    """Streams of `shape` from `input` to `output` through a register.

    Latency one cycle, throughput one a cycle. half: `input.ready` is a register too, and throughput
    one every two cycles.
    """

    def __init__(self, shape: ShapeLike, half: bool = False):
        self.shape, self.half = shape, half
        super().__init__(
            {"input": In(stream.Signature(shape)), "output": Out(stream.Signature(shape))}
        )

    def elaborate(self, platform):
        m = Module()
        out = Signal(self.shape, reset_less=True)
        m.d.comb += [
            self.input.ready.eq(~self.output.valid | (0 if self.half else self.output.ready)),
            self.output.payload.eq(out),
        ]
        with m.If(self.output.ready):
            m.d.sync += self.output.valid.eq(0)
        with m.If(self.input.ready):
            m.d.sync += out.eq(self.input.payload)
            with m.If(self.input.valid):
                m.d.sync += self.output.valid.eq(1)
        return m


def stage(
    m: Module, wanted: bool, name: str, source: stream.Interface, half: bool = False
) -> stream.Interface:
    """The stream that goes on from `source`: of a Stage if `wanted`, else itself."""
    if not wanted:
        return source
    m.submodules[name] = one = Stage(source.payload.shape(), half)
    wiring.connect(m, source, one.input)
    return one.output


def stage_before(
    m: Module, wanted: bool, name: str, sink: stream.Interface, half: bool = False
) -> stream.Interface:
    """The stream to drive so that it goes on to `sink`: of a Stage if `wanted`, else itself."""
    if not wanted:
        return sink
    m.submodules[name] = one = Stage(sink.payload.shape(), half)
    wiring.connect(m, one.output, wiring.flipped(sink))
    return one.input
