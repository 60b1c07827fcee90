"""Reads a program ahead of its execution."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.control.words import BEATS, Beat
from hdl.isa import COMMAND_BYTES
from hdl.lib.axi import ADDRESS, ReadMaster, Window
from hdl.lib.level_counter import LevelCounter
from hdl.lib.stream.credit_fifo import CreditFifo


class ProgramReader(wiring.Component):
    """Reads `count` commands from `program` on, config.fetch_ahead at most before they leave.

    Members: `start`; `program` and `count`, stable from then on; `base` and `limit`, the window
    that reads must lie in; `read`, an AXI read master (bursts of 8), whose data always finds room;
    `beats`, stream of Beat, eight a command in order; `leave`, a command has been executed and its
    room is free; `left`, commands that have left; `busy`, from the start until all have; `outside`,
    the next command lies outside the window, and all before it have left.

    Latency from `start` to an address five cycles, from data to a beat two; a burst every three
    cycles, a beat every cycle. `beats` is of registers. A command outside the window, and what
    comes after it, is not read.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "program": In(ADDRESS),
                "count": In(32),
                "base": In(ADDRESS),
                "limit": In(ADDRESS),
                "read": Out(ReadMaster),
                "beats": Out(stream.Signature(Beat)),
                "leave": In(1),
                "left": Out(config.index_bits),
                "busy": Out(1),
                "outside": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        ahead = self.config.fetch_ahead
        m.submodules.window = window = Window()
        m.submodules.inside = inside = LevelCounter(ahead)  # commands asked for that have not left
        m.submodules.fifo = fifo = CreditFifo(Beat, ahead * BEATS)
        count = self.count[: self.config.count_bits]

        # A command counts from its look at the window on, of which there is one at a time: so no
        # more than the one outside is counted, and `more` is right again before the next look.
        address = Signal(self.config.address_bits)
        asked = Signal.like(count)  # commands
        more, ask = Signal(), Signal()
        m.d.comb += [
            window.base.eq(self.base),
            window.limit.eq(self.limit),
            window.check.valid.eq(more & inside.room & window.idle),
            window.check.p.begin.eq(address),
            window.check.p.bytes.eq(COMMAND_BYTES),
            window.check.p.request.address.eq(address),
            window.check.p.request.words.eq(BEATS),
            ask.eq(window.check.valid & window.check.ready),
            inside.up.eq(ask),
            inside.down.eq(self.leave),
        ]
        m.d.sync += more.eq(self.busy & (asked != count) & ~self.start)
        with m.If(ask):
            m.d.sync += [address.eq(address + COMMAND_BYTES), asked.eq(asked + 1)]

        # One burst a command, since programs begin at a multiple of its bytes.
        burst = self.read.address
        m.d.comb += [
            burst.valid.eq(window.request.valid),
            burst.p.address.eq(window.request.p.address),
            burst.p.length.eq(BEATS - 1),
            burst.p.last.eq(1),
            window.request.ready.eq(burst.ready),
        ]

        # The counter of commands is the FIFO's credit.
        beat = self.read.data
        m.d.comb += [
            Value.cast(fifo.input.payload).eq(Cat(beat.p.data, beat.p.resp[1])),
            fifo.input.valid.eq(beat.valid),
            beat.ready.eq(1),
        ]
        wiring.connect(m, fifo.output, wiring.flipped(self.beats))

        # What has left. The end of a program is seen a cycle late.
        left = Signal.like(count)
        m.d.comb += [
            self.left.eq(left),
            self.outside.eq(window.outside & window.idle & (inside.level == 1)),
        ]
        m.d.sync += [left.eq(left + self.leave), self.busy.eq(self.busy & (left != count))]
        with m.If(self.start):
            m.d.sync += [address.eq(self.program), asked.eq(0), left.eq(0), self.busy.eq(1)]
        return m
