"""The reads of taps."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, LANES
from hdl.isa import ENTRY_ADDR, WORD_ADDR
from hdl.lib.stream.credit_fifo import CreditFifo
from hdl.lib.stream.skid_buffer import SkidBuffer
from hdl.lib.stream.through import through
from hdl.memory.words import Tap, TapMark


class PendingTap(data.Struct):
    """A read under way, or a tap without one."""

    mark: TapMark
    at: 2  # lane of the first entry
    operand: 1  # the first operand of an add: the second follows


class TapReads(wiring.Component):
    """Reads the entries of taps from the global buffer.

    Members: `pending` and `address`, a tap and where its entries are, always taken; `room`: those
    of the next cycle and `ahead` cycles after it fit; `request` and `response` of the global
    buffer; `taps`; `idle`. The first operand of a place that is not read is dropped. place: bits
    of an address; lanes: the most entries of a tap; depth: taps that wait.

    Latency two cycles to a request, one from a response to its tap; throughput a tap a cycle. No
    path leads from `request` and `taps` to `room`, nor between them.
    """

    def __init__(self, place: int = ENTRY_ADDR, lanes: int = LANES, *, depth: int, ahead: int):
        self.place, self.lanes, self.depth, self.ahead = place, lanes, depth, ahead
        super().__init__(
            {
                "pending": In(stream.Signature(PendingTap, always_ready=True)),
                "address": In(place),
                "room": Out(1),
                "request": Out(stream.Signature(WORD_ADDR)),
                "response": In(stream.Signature(128)),
                "taps": Out(stream.Signature(Tap)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.pending = pending = CreditFifo(PendingTap, self.depth)
        m.submodules.asked = asked = CreditFifo(self.place - 2, self.depth)

        # Requests. What has been begun finds room in both queues, so nothing before them stops.
        tap, wanted = self.pending.p, Signal()
        m.d.comb += [
            wanted.eq(self.pending.valid & (tap.mark.read | ~tap.operand)),
            pending.input.valid.eq(wanted),
            pending.input.payload.eq(tap),
            asked.input.valid.eq(wanted & tap.mark.read),
            asked.input.payload.eq(self.address[2:]),
            self.request.payload.eq(asked.output.payload),
            self.request.valid.eq(asked.output.valid),
            asked.output.ready.eq(self.request.ready),
        ]
        m.d.sync += self.room.eq(pending.level < self.depth - self.ahead)

        # Responses.
        waits, head = pending.output, pending.output.p
        held, full = Signal(PendingTap), Signal()
        entries, take, free = Signal(ENTRY_BITS * self.lanes), Signal(), Signal()
        m.d.comb += [
            take.eq(waits.valid & (~head.mark.read | self.response.valid) & free),
            waits.ready.eq(take),
            self.response.ready.eq(waits.valid & head.mark.read & free),
        ]
        with m.If(free):
            m.d.sync += [
                full.eq(take),
                held.eq(head),
                entries.eq(self.response.payload >> (head.at << 4)),
            ]

        # Taps. `crowded`, in a register: both places after the queue are full.
        out = stream.Signature(Tap).create(path=("tap",))
        skid, crowded = SkidBuffer(Tap), Signal()
        wiring.connect(m, through(m, "taps_out", skid, out), wiring.flipped(self.taps))
        m.d.sync += crowded.eq(~self.taps.ready & (crowded | ((full | skid.full) & take)))
        m.d.comb += [
            free.eq(~crowded),
            out.valid.eq(full),
            Value.cast(out.p.entries).eq(entries),
            out.p.operand.eq(held.operand),
            out.p.mark.eq(held.mark),
            self.idle.eq(~(waits.valid | (pending.level != 0) | full | skid.full)),
        ]
        return m
