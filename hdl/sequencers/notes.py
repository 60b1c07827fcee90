"""What a sequencer remembers of its reads until their words are there."""

from amaranth.hdl import Module, ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.level_counter import LevelCounter
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
        m.submodules.level = level = LevelCounter(UNDER_WAY)
        m.d.comb += [
            self.room.eq(level.room),
            level.up.eq(self.push),
            level.down.eq(self.noted.valid & self.noted.ready),
            fifo.input.valid.eq(self.push),
            fifo.input.payload.eq(self.note),
        ]
        wiring.connect(m, fifo.output, wiring.flipped(self.noted))
        return m
