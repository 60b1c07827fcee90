"""What a sequencer remembers of its reads until their words are there."""

from amaranth.hdl import Module, ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.stream.buffered_fifo import BufferedFifo

UNDER_WAY = 16  # reads between a sequencer and its network: twice the global buffer's latency


class Notes(wiring.Component):
    """A FIFO of UNDER_WAY notes of `shape` that has room, or not, in a register.

    Members: `room`; `push`, only then, and `note`; `noted`, a stream of the notes. Latency two
    cycles, one note a cycle.
    """

    def __init__(self, shape: ShapeLike):
        self.shape = shape
        super().__init__(
            {
                "room": Out(1),
                "push": In(1),
                "note": In(shape),
                "noted": Out(stream.Signature(shape)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = BufferedFifo(self.shape, UNDER_WAY)
        m.d.comb += [fifo.input.valid.eq(self.push), fifo.input.payload.eq(self.note)]
        # One note may come as this is found out. What has been told stays true until then.
        m.d.sync += self.room.eq((self.room & ~self.push) | (fifo.level < UNDER_WAY - 1))
        wiring.connect(m, fifo.output, wiring.flipped(self.noted))
        return m
