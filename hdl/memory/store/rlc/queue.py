"""Slots that wait for their words."""

from amaranth.hdl import Module, Shape, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from hdl.lib.axi import ADDRESS
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
        m.submodules.fifo = fifo = SyncFIFO(width=Shape.cast(KnownSlot).width, depth=STRIPS_AHEAD)
        coming, following = Signal(KnownSlot), Signal(ADDRESS)  # after the last length that came
        m.d.comb += [
            coming.slot.eq(self.slots.p),
            coming.beside.eq(self.slots.p.table == following),
            fifo.w_data.eq(Value.cast(coming)),
            fifo.w_en.eq(self.slots.valid),
            self.slots.ready.eq(fifo.w_rdy),
            Value.cast(self.known.p).eq(fifo.r_data),
            self.known.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.known.ready),
        ]
        with m.If(self.slots.valid & self.slots.ready):
            m.d.sync += following.eq(self.slots.p.table + 2)
        return m
