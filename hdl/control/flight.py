"""The commands that an engine holds."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import SEMAPHORES
from hdl.control.words import fifo_of
from hdl.isa import INDEX
from hdl.timing import IN_FLIGHT

FlightNote = data.StructLayout({"signal": SEMAPHORES, "index": INDEX})

FlightPorts = wiring.Signature(
    {
        "begun": In(stream.Signature(FlightNote)),
        "done": In(1),
        "freed": In(1),
        "give": Out(SEMAPHORES),
        "index": Out(INDEX),
        "active": Out(1),
        "holds": Out(1),
    }
)


class Flight(wiring.Component):
    """Keeps a command's index and what it signals until it is done.

    Members of FlightPorts: `begun`, of each command; `done`, a pulse per command in order; `give`,
    two cycles after it; `index` of the oldest, while one is `active`; `holds`: one is, though it
    may not be seen yet. `freed` means nothing.
    """

    def __init__(self, depth: int = IN_FLIGHT):
        self.depth = depth
        super().__init__(FlightPorts)

    def elaborate(self, platform):
        m = Module()
        done = Signal()
        m.submodules.fifo = fifo = fifo_of(FlightNote, self.depth)
        wiring.connect(m, wiring.flipped(self.begun), fifo.input)
        oldest = fifo.output
        m.d.sync += [
            done.eq(self.done),
            self.give.eq(Mux(done & oldest.valid, oldest.p.signal, 0)),
        ]
        m.d.comb += [
            oldest.ready.eq(done),
            self.index.eq(oldest.p.index),
            self.active.eq(oldest.valid),
            self.holds.eq(fifo.level != 0),
        ]
        return m


class EarlyFlight(wiring.Component):
    """As Flight, but what a command signals is given two cycles after `freed`: what it reads may be
    overwritten, at its `done` at the latest."""

    def __init__(self, depth: int = IN_FLIGHT):
        self.depth = depth
        super().__init__(FlightPorts)

    def elaborate(self, platform):
        m = Module()
        done, freed = Signal(), Signal()
        m.submodules.indices = indices = fifo_of(unsigned(INDEX), self.depth)
        m.submodules.gifts = gifts = fifo_of(unsigned(SEMAPHORES), self.depth)
        oldest, gift, begun = indices.output, gifts.output, self.begun
        m.d.sync += [
            done.eq(self.done),
            freed.eq(self.freed),
            self.give.eq(Mux(freed & gift.valid, gift.payload, 0)),
        ]

        # Gifts leave first, so that there is room for them.
        m.d.comb += [
            begun.ready.eq(indices.input.ready),
            indices.input.valid.eq(begun.valid),
            indices.input.payload.eq(begun.p.index),
            gifts.input.valid.eq(begun.valid & begun.ready),
            gifts.input.payload.eq(begun.p.signal),
            oldest.ready.eq(done),
            gift.ready.eq(freed),
            self.index.eq(oldest.payload),
            self.active.eq(oldest.valid),
            self.holds.eq(indices.level != 0),
        ]
        return m
