"""The arithmetic of STORE: add, ReLU, pooling."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import LANES
from hdl.isa import Pool
from hdl.lib.stream.credit_fifo import CreditFifo
from hdl.memory.store.accumulator import WindowAccumulator
from hdl.memory.store.adder import OperandAdder
from hdl.memory.store.average import Averager
from hdl.memory.words import Entries, Tap, pooled_entries
from hdl.timing import POOLED


class Pooler(wiring.Component):
    """Adds two operands, applies ReLU, pools the taps of a window.

    Members: `taps` in, `out` stream of Entries, one per window; `idle`; the parameters of the
    command, to be changed only when idle: `add`, `relu`, `shift_a`, `shift_b`, `shift_out`, `pool`,
    `chunk`, `fixed`, `reciprocal`, `shift`. lanes: the most entries of a tap.

    Of an add the operands come one after the other. A tap enters only if the queue before `out` has
    room for all that is under way, so nothing stops between. Latency from the last tap eight
    cycles, for averages fourteen and `chunk` more. Throughput one tap a cycle; averages share one
    multiplier, so a window takes `chunk` cycles or its taps.
    """

    # From `taps` to the queue, and the two cycles in which its room is found out.
    UNDER_WAY = OperandAdder.LATENCY + 1 + Averager.LATENCY + 2

    taps: In(stream.Signature(Tap))
    out: Out(stream.Signature(Entries))
    idle: Out(1)
    add: In(1)
    relu: In(1)
    shift_a: In(4)
    shift_b: In(4)
    shift_out: In(5)
    pool: In(Pool, init=Pool.NONE)
    chunk: In(3)
    fixed: In(1)
    reciprocal: In(16)
    shift: In(6)

    def __init__(self, lanes: int = LANES):
        self.lanes = lanes
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.adder = adder = OperandAdder(self.lanes)
        m.submodules.accumulator = accumulator = WindowAccumulator(self.lanes)
        m.submodules.averager = averager = Averager(self.lanes)
        pooled = Signal(pooled_entries(self.lanes))
        m.submodules.queue = queue = CreditFifo(pooled.shape(), POOLED)
        average, empty = Signal(), Signal()  # empty: the queue
        m.d.sync += average.eq(self.pool == Pool.AVERAGE)
        m.d.comb += accumulator.average.eq(average)
        for part, names in (
            (adder, ("add", "relu", "shift_a", "shift_b", "shift_out")),
            (averager, ("chunk", "fixed", "reciprocal", "shift")),
        ):
            m.d.comb += [getattr(part, name).eq(getattr(self, name)) for name in names]

        # Taps, as long as there is room; the last of a window when its averages follow those of the
        # window before.
        room, gap = Signal(), Signal(range(LANES))
        taken = self.taps.valid & self.taps.ready
        m.d.sync += room.eq(queue.level < POOLED - self.UNDER_WAY)
        m.d.comb += [
            self.taps.ready.eq(room & ((gap == 0) | ~self.taps.p.mark.last)),
            adder.taps.valid.eq(taken),
            adder.taps.payload.eq(self.taps.payload),
        ]
        with m.If(taken & self.taps.p.mark.last & ~self.taps.p.operand & average):
            m.d.sync += gap.eq(self.chunk - 1)
        with m.Elif(gap != 0):
            m.d.sync += gap.eq(gap - 1)

        # Windows, and their averages if they are wanted.
        window = accumulator.out
        wiring.connect(m, adder.out, accumulator.taps)
        m.d.comb += [
            averager.windows.payload.eq(window.payload),
            averager.windows.valid.eq(window.valid & average),
            pooled.ends.eq(window.p.mark.ends),
            *(entry.eq(total) for entry, total in zip(pooled.entries, window.p.sums)),
            queue.input.valid.eq(Mux(average, averager.out.valid, window.valid)),
            queue.input.payload.eq(Mux(average, averager.out.payload, pooled)),
        ]

        # What has been pooled.
        head = queue.output.p
        m.d.comb += [
            self.out.valid.eq(queue.output.valid),
            queue.output.ready.eq(self.out.ready),
            Cat(self.out.p.entries).eq(Cat(head.entries)),
            self.out.p.first.eq(head.ends.first),
            self.out.p.last.eq(head.ends.last),
            self.out.p.lane.eq(head.ends.lane),
            empty.eq((queue.level == 0) & ~queue.output.valid),
            self.idle.eq(adder.idle & ~window.valid & averager.idle & empty),
        ]
        return m
