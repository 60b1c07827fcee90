"""The arithmetic of STORE: add, ReLU, pooling."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, LANES
from hdl.isa import Pool
from hdl.lib.arithmetic.round_shift import RoundShift
from hdl.lib.stream.credit_fifo import CreditFifo
from hdl.memory.words import Entries, Tap
from hdl.timing import DIVISORS

SUM = 32  # 65025 entries of 16 bits
QUEUE = 32  # entries behind a pooler in which nothing stops: those on their way, and a few


def reciprocal(n: int) -> tuple[int, int]:
    """(reciprocal, shift) with which an average over n is (sum*reciprocal + half) >> shift."""
    if n == 0:
        return 0, 15
    shift = 15 + (n - 1).bit_length()
    return (2 ** (shift + 1) // n + 1) // 2, shift


class Packed(data.Struct):
    """Entries of one lane."""

    entry: ENTRY_BITS
    first: 1
    last: 1
    lane: 2


class Pooler(wiring.Component):
    """Adds two operands, applies ReLU, pools the taps of a window.

    Members: `taps` in, `out` stream of Entries, one per window; `idle`; the parameters of
    the command, to be changed only when idle: `add`, `relu`, `shift_a`, `shift_b`,
    `shift_out`, `pool`, `chunk`, `fixed`, `reciprocal`, `shift`.

    Of an add the operands come one after the other. Latency from the last tap six cycles, for
    averages eleven and `chunk` more. Throughput one tap per cycle; averages share one multiplier,
    so a window takes `chunk` cycles or its taps. lanes: the most entries of a tap. registered, of
    one lane: a queue behind it keeps room for all that is under way, so that no signal enables all
    of it; three cycles more, four for averages.
    """

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

    def __init__(self, lanes: int = LANES, registered: bool = False):
        self.lanes = lanes
        # nothing stops between `taps` and a queue before `out`
        self.flows = registered and lanes == 1
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        lanes = range(self.lanes)
        advance = Signal()  # the stages before the accumulator move together
        average = Signal()
        room = Signal()  # of the queue, if all flows
        shift_a, shift_b, shift_out = Signal(4), Signal(4), Signal(5)
        m.d.sync += [
            average.eq(self.pool == Pool.AVERAGE),
            shift_a.eq(Mux(self.add, self.shift_a, 0)),
            shift_b.eq(Mux(self.add, self.shift_b, 0)),
            shift_out.eq(Mux(self.add, self.shift_out, 0)),
        ]

        class Meta(data.Struct):
            read: 1
            first: 1
            last: 1
            count: 5
            strip_first: 1
            strip_last: 1
            lane: 2

        halves = 2 if self.flows else 1
        stages = 2 + RoundShift.LATENCY + halves - 1
        values = [Signal(signed(ENTRY_BITS), name=f"value_{i}") for i in lanes]
        valid = [Signal(name=f"valid_{i}") for i in range(stages)]
        meta = [Signal(Meta, name=f"meta_{i}") for i in range(stages)]
        left_shift = Signal(4)
        operand = Signal()  # the entries shifted are an add's first
        held = Signal()  # they have come with the tap before
        m.d.comb += [
            self.taps.ready.eq(room if self.flows else advance),
            left_shift.eq(Mux(self.taps.p.operand, shift_a, shift_b)),
        ]
        with m.If(advance):
            m.d.sync += [
                valid[0].eq(self.taps.valid & ~self.taps.p.operand & (room if self.flows else 1)),
                operand.eq(self.taps.p.operand),
                held.eq(self.taps.valid),
            ]
            m.d.sync += [meta[0][n].eq(self.taps.p[n]) for n, _ in data.Layout.cast(Meta)]
            for i in range(1, stages):
                m.d.sync += [valid[i].eq(valid[i - 1]), meta[i].eq(meta[i - 1])]
        for i in lanes:
            shifted, kept = (
                Signal(signed(31), name=f"shifted_{i}"),
                Signal(signed(31), name=f"kept_{i}"),
            )
            total = Signal(signed(32), name=f"total_{i}")
            m.submodules[f"round_{i}"] = rounding = RoundShift(32, len(shift_out), halves)
            m.d.comb += [
                rounding.enable.eq(advance),
                rounding.value.eq(total),
                rounding.shift.eq(shift_out),
                rounding.relu.eq(self.relu),
                values[i].eq(rounding.entry),
            ]
            with m.If(advance):
                m.d.sync += [
                    shifted.eq(self.taps.p.entries[i] << left_shift),
                    total.eq(shifted + kept),
                ]
            with m.If(~self.add):
                m.d.sync += kept.eq(0)
            with m.Elif(advance & operand & (held if self.flows else 1)):
                m.d.sync += kept.eq(shifted)

        # ---- accumulate -----------------------------------------------------------------
        full = Signal()  # the accumulators hold a finished window
        window = Signal(Meta)  # its tail
        sums = [Signal(signed(SUM), name=f"sum_{i}") for i in lanes]  # a maximum in the low bits
        accept = Signal()  # the next stage takes a finished window
        tap = meta[-1]
        m.d.comb += advance.eq(1 if self.flows else ~full | accept)
        with m.If(advance):
            m.d.sync += full.eq(valid[-1] & tap.last)
            with m.If(valid[-1]):
                m.d.sync += window.eq(tap)
                for total, value in zip(sums, values):
                    with m.If(
                        tap.first | tap.read & (average | (value > total[:ENTRY_BITS].as_signed()))
                    ):
                        with m.If(tap.read & (tap.first | ~average)):
                            m.d.sync += total.eq(value)
                        with m.Elif(tap.first):
                            m.d.sync += total.eq(Cat(Const(0, ENTRY_BITS - 1), ~average))
                        with m.Else():
                            m.d.sync += total.eq(total + value)

        depth = 2 + RoundShift.LATENCY + halves - 1  # products, their sum, and the rounding

        # ---- divide ---------------------------------------------------------------------
        table = [reciprocal(n) for n in range(DIVISORS + 1)]
        spare = [(0, 15)] * (31 - DIVISORS)
        factors = Array(r for r, _ in table + spare)
        shifts = Array(s for _, s in table + spare)
        busy = Signal()
        queue = Signal(SUM * self.lanes)  # sums still to be divided, next in the low bits
        left = Signal(3)
        factor, shift = Signal(16), Signal(6)
        tail = Signal(Meta)
        out = self.out
        move = Signal()
        if self.flows:
            out = stream.Signature(Entries).create(path=("ahead",))
            m.submodules.queue = behind = CreditFifo(Shape.cast(Packed).width, QUEUE)
            packed, head = Signal(Packed), Signal(Packed)
            m.d.sync += room.eq(behind.level < QUEUE - 3 - stages - 2 - depth)
            m.d.comb += [
                move.eq(1),
                out.ready.eq(1),
                packed.entry.eq(out.p.entries[0]),
                packed.first.eq(out.p.first),
                packed.last.eq(out.p.last),
                packed.lane.eq(out.p.lane),
                behind.w_en.eq(out.valid),
                behind.w_data.eq(Value.cast(packed)),
                Value.cast(head).eq(behind.r_data),
                self.out.valid.eq(behind.r_rdy),
                behind.r_en.eq(behind.r_rdy & self.out.ready),
                self.out.p.entries[0].eq(head.entry),
                self.out.p.first.eq(head.first),
                self.out.p.last.eq(head.last),
                self.out.p.lane.eq(head.lane),
            ]
            waits = behind.r_rdy | (behind.level != 0)
        else:
            m.d.comb += move.eq(~out.valid | out.ready)
            waits = 0

        def ends(v):
            return [
                out.p.first.eq(v.strip_first),
                out.p.last.eq(v.strip_last),
                out.p.lane.eq(v.lane),
            ]

        with m.If(out.ready):
            m.d.sync += out.valid.eq(0)
        with m.If(~average):
            m.d.comb += accept.eq(move)
            with m.If(full & move):
                m.d.sync += [out.valid.eq(1), *ends(window)]
                m.d.sync += [out.p.entries[i].eq(sums[i][:ENTRY_BITS]) for i in lanes]
        with m.Else():
            m.d.comb += accept.eq(~busy | (move & (left == 1)))

        low = Signal(signed(SUM))
        m.d.comb += low.eq(queue[:SUM])
        flow = [Signal(name=f"flow_{i}") for i in range(depth)]
        index = [Signal(2, name=f"index_{i}") for i in range(depth)]
        closing = [Signal(name=f"closing_{i}") for i in range(depth)]
        tails = [Signal(Meta, name=f"tail_{i}") for i in range(depth)]
        lane = Signal(2)
        # Each half of the sum has a multiplier block of its own.
        product_low, product_high = Signal(2 * ENTRY_BITS), Signal(signed(2 * ENTRY_BITS + 1))
        product = Signal(signed(SUM + 17))
        product_shift = [Signal(6, name=f"product_shift_{i}") for i in range(2)]
        m.submodules.quotient = quotient = RoundShift(SUM + 17, len(shift), halves)
        m.d.comb += [
            quotient.enable.eq(move),
            quotient.value.eq(product),
            quotient.shift.eq(product_shift[1]),
        ]
        with m.If(move):
            for chain, value in (
                (flow, busy),
                (index, lane),
                (closing, left == 1),
                (tails, tail),
                (product_shift, shift),
            ):
                m.d.sync += [after.eq(before) for before, after in zip((value, *chain), chain)]
            m.d.sync += [
                product_low.eq(low[:ENTRY_BITS] * factor),
                product_high.eq(low[ENTRY_BITS:].as_signed() * factor),
                product.eq(product_low + (product_high << ENTRY_BITS)),
                queue.eq(queue[SUM:]),
                lane.eq(lane + 1),
                left.eq(left - 1),
            ]
            with m.If(left == 1):
                m.d.sync += busy.eq(0)
            with m.If(flow[-1]):
                m.d.sync += out.p.entries[index[-1] if self.lanes > 1 else 0].eq(quotient.entry)
                with m.If(closing[-1]):
                    m.d.sync += [out.valid.eq(1), *ends(tails[-1])]
        with m.If(average & full & accept):
            m.d.sync += [
                busy.eq(1),
                queue.eq(Cat(sums)),
                left.eq(self.chunk),
                lane.eq(0),
                tail.eq(window),
                factor.eq(Mux(self.fixed, self.reciprocal, factors[window.count])),
                shift.eq(Mux(self.fixed, self.shift, shifts[window.count])),
            ]
        m.d.comb += self.idle.eq(
            ~(Cat(valid).any() | full | busy | Cat(flow).any() | out.valid | waits)
        )
        return m
