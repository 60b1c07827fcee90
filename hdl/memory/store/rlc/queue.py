"""Slots that wait for their words."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.axi import ADDRESS
from hdl.lib.stream.stream_fifo import StreamFifo
from hdl.memory.words import KnownSlot, Slot
from hdl.timing import STRIPS_AHEAD


class SlotQueue(wiring.Component):
    """Keeps STRIPS_AHEAD slots, and finds whether their lengths lie next to each other.

    Members: `slots` in, `known` out. Latency one cycle, throughput a slot a cycle.
    """

    slots: In(stream.Signature(Slot))
    known: Out(stream.Signature(KnownSlot))

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = StreamFifo(KnownSlot, STRIPS_AHEAD)
        coming, following = Signal(KnownSlot), Signal(ADDRESS)  # after the last length that came
        m.d.comb += [
            coming.slot.eq(self.slots.p),
            coming.beside.eq(self.slots.p.table == following),
            fifo.input.payload.eq(coming),
            fifo.input.valid.eq(self.slots.valid),
            self.slots.ready.eq(fifo.input.ready),
        ]
        wiring.connect(m, fifo.output, wiring.flipped(self.known))
        with m.If(self.slots.valid & self.slots.ready):
            m.d.sync += following.eq(self.slots.p.table + 2)
        return m
