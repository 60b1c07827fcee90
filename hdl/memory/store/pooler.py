"""The arithmetic of STORE: add, pooling, scaling."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import LANES
from hdl.isa import Pool
from hdl.lib.stream.credit_fifo import CreditFifo
from hdl.memory.store.accumulator import WindowAccumulator
from hdl.memory.store.add_operands import AddOperands
from hdl.memory.store.result import ResultScaler
from hdl.memory.words import Entries, OperandScale, ResultScale, Tap, pooled_entries, window_tap
from hdl.timing import POOLED


class Pooler(wiring.Component):
    """Adds two operands or pools the taps of a window, and scales what comes of it.

    Members: `taps` in, `out` stream of Entries, one per window; `idle`; the parameters of the
    command, to be changed only when idle: `add` and `pool`, of which one is 0, `relu`, `fixed`,
    `scaled`, `scale_a`, `scale_b`, `scale`. lanes: the most entries of a tap.

    Of an add the operands come one after the other. A tap enters only if the queue before `out` has
    room for all that is under way, so nothing stops between. Latency from the last tap 14 cycles,
    of an add 20. Throughput a tap a cycle.
    """

    # From `taps` to the queue, and the two cycles in which its room is found out.
    UNDER_WAY = AddOperands.LATENCY + WindowAccumulator.LATENCY + ResultScaler.LATENCY + 2

    taps: In(stream.Signature(Tap))
    out: Out(stream.Signature(Entries))
    idle: Out(1)
    add: In(1)
    pool: In(Pool, init=Pool.NONE)
    relu: In(1)
    fixed: In(1)
    scaled: In(1)
    scale_a: In(OperandScale)
    scale_b: In(OperandScale)
    scale: In(ResultScale)

    def __init__(self, lanes: int = LANES):
        self.lanes = lanes
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.operands = operands = AddOperands(self.lanes)
        m.submodules.accumulator = accumulator = WindowAccumulator(self.lanes)
        m.submodules.result = result = ResultScaler(self.lanes)
        m.submodules.queue = queue = CreditFifo(pooled_entries(self.lanes), POOLED)
        m.d.comb += [operands.scale_a.eq(self.scale_a), operands.scale_b.eq(self.scale_b)]
        for name in ("pool", "add", "fixed", "scaled", "relu", "scale"):
            m.d.comb += getattr(result, name).eq(getattr(self, name))

        # Taps, as long as there is room.
        room, taken, add = Signal(), Signal(), Signal()
        plain, plain_valid = Signal(window_tap(self.lanes)), Signal()
        m.d.sync += [
            room.eq(queue.level < POOLED - self.UNDER_WAY),
            add.eq(self.add),
            accumulator.adds.eq(self.add | (self.pool == Pool.AVERAGE)),
            plain_valid.eq(taken & ~add),
            plain.mark.eq(self.taps.p.mark),
            *(value.eq(entry) for value, entry in zip(plain.values, self.taps.p.entries)),
        ]
        m.d.comb += [
            self.taps.ready.eq(room),
            taken.eq(self.taps.valid & room),
            operands.taps.valid.eq(taken & add),
            operands.taps.payload.eq(self.taps.payload),
        ]

        # An add is a window of its scaled operands.
        m.d.comb += [
            accumulator.taps.valid.eq(operands.out.valid | plain_valid),
            accumulator.taps.payload.eq(Mux(add, operands.out.payload, plain)),
        ]
        wiring.connect(m, accumulator.out, result.windows)
        wiring.connect(m, result.out, queue.input)

        # What has been pooled.
        head, empty, idle = queue.output.p, Signal(), Signal()  # empty: the queue
        m.d.comb += [
            self.out.valid.eq(queue.output.valid),
            queue.output.ready.eq(self.out.ready),
            Cat(self.out.p.entries).eq(Cat(head.entries)),
            self.out.p.first.eq(head.ends.first),
            self.out.p.last.eq(head.ends.last),
            self.out.p.lane.eq(head.ends.lane),
            empty.eq((queue.level == 0) & ~queue.output.valid),
            idle.eq(operands.idle & ~plain_valid & ~accumulator.out.valid & result.idle),
            self.idle.eq(idle & empty),
        ]
        return m
