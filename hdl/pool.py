"""The arithmetic of STORE: add, ReLU, pooling."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import ENTRY_BITS, LANES
from .isa import Pool
from .packer import Entries

DIVISORS = 16     # reciprocals in the table; larger windows bring their own
LOW, HIGH = -(1 << ENTRY_BITS - 1), (1 << ENTRY_BITS - 1) - 1
SUM = 32          # 65025 entries of 16 bits


def reciprocal(n: int) -> tuple[int, int]:
    """(reciprocal, shift) with which an average over n is (sum*reciprocal + half) >> shift."""
    if n == 0:
        return 0, 15
    shift = 15 + (n - 1).bit_length()
    return (2 ** (shift + 1) // n + 1) // 2, shift


class Tap(data.Struct):
    """A window's entry of up to four channels, or a place in it where nothing was read."""
    a: data.ArrayLayout(signed(ENTRY_BITS), LANES)
    b: data.ArrayLayout(signed(ENTRY_BITS), LANES)
    read: 1
    first: 1          # of a window
    last: 1
    count: 5          # the average's divisor
    strip_first: 1
    strip_last: 1
    lane: 2


class Pooler(wiring.Component):
    """Adds two operands, applies ReLU, pools the taps of a window.

    Members: `taps` in, `out` stream of Entries, one per window; `idle`; the parameters of
    the command, to be changed only when idle: `add`, `relu`, `shift_a`, `shift_b`,
    `shift_out`, `pool`, `chunk`, `fixed`, `reciprocal`, `shift`.

    Latency from the last tap six cycles, for averages nine and `chunk` more. Throughput one
    tap per cycle; averages share one multiplier, so a window takes `chunk` cycles or its taps.
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

    def elaborate(self, platform):
        m = Module()
        lanes = range(LANES)
        advance = Signal()       # the stages before the accumulator move together
        average = Signal()
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

        stages = 4
        values = [Signal(signed(ENTRY_BITS), name=f"value_{l}") for l in lanes]
        valid = [Signal(name=f"valid_{i}") for i in range(stages)]
        meta = [Signal(Meta, name=f"meta_{i}") for i in range(stages)]
        m.d.comb += self.taps.ready.eq(advance)
        with m.If(advance):
            m.d.sync += valid[0].eq(self.taps.valid)
            m.d.sync += [meta[0][n].eq(self.taps.p[n]) for n, _ in data.Layout.cast(Meta)]
            for i in range(1, stages):
                m.d.sync += [valid[i].eq(valid[i - 1]), meta[i].eq(meta[i - 1])]
            for l in lanes:
                xa, xb = Signal(signed(31), name=f"xa_{l}"), Signal(signed(31), name=f"xb_{l}")
                total = Signal(signed(33), name=f"total_{l}")
                shifted = Signal(signed(33), name=f"shifted_{l}")
                m.d.sync += [
                    xa.eq(self.taps.p.a[l] << shift_a),
                    xb.eq(Mux(self.add, self.taps.p.b[l], 0) << shift_b),
                    total.eq(xa + xb + ((1 << shift_out) >> 1)),
                    shifted.eq(total >> shift_out),
                ]
                value = values[l]
                with m.If(self.relu & (shifted < 0)):
                    m.d.sync += value.eq(0)
                with m.Elif(shifted > HIGH):
                    m.d.sync += value.eq(HIGH)
                with m.Elif(shifted < LOW):
                    m.d.sync += value.eq(LOW)
                with m.Else():
                    m.d.sync += value.eq(shifted)

        # ---- accumulate -----------------------------------------------------------------
        full = Signal()                 # the accumulators hold a finished window
        window = Signal(Meta)           # its tail
        sums = [Signal(signed(SUM), name=f"sum_{l}") for l in lanes]
        accept = Signal()               # the next stage takes a finished window
        m.d.comb += advance.eq(~full | accept)
        with m.If(advance):
            m.d.sync += full.eq(valid[-1] & meta[-1].last)
            with m.If(valid[-1]):
                m.d.sync += window.eq(meta[-1])
                for l in lanes:
                    value = values[l]
                    before = Signal(signed(SUM), name=f"before_{l}")
                    m.d.comb += before.eq(Mux(meta[-1].first, Mux(average, 0, LOW), sums[l]))
                    with m.If(~meta[-1].read | ~average & (before > value)):
                        m.d.sync += sums[l].eq(before)
                    with m.Elif(average):
                        m.d.sync += sums[l].eq(before + value)
                    with m.Else():
                        m.d.sync += sums[l].eq(value)

        # ---- divide ---------------------------------------------------------------------
        table = [reciprocal(n) for n in range(DIVISORS + 1)]
        spare = [(0, 15)] * (31 - DIVISORS)
        factors = Array(r for r, _ in table + spare)
        shifts = Array(s for _, s in table + spare)
        busy = Signal()
        queue = Signal(SUM * LANES)     # sums still to be divided, next in the low bits
        left = Signal(3)
        factor, shift = Signal(16), Signal(6)
        tail = Signal(Meta)
        out = self.out
        move = Signal()
        m.d.comb += move.eq(~out.valid | out.ready)

        def ends(v):
            return [out.p.first.eq(v.strip_first), out.p.last.eq(v.strip_last),
                    out.p.lane.eq(v.lane)]

        with m.If(out.ready):
            m.d.sync += out.valid.eq(0)
        with m.If(~average):
            m.d.comb += accept.eq(move)
            with m.If(full & move):
                m.d.sync += [out.valid.eq(1), *ends(window)]
                m.d.sync += [out.p.entries[l].eq(sums[l][:ENTRY_BITS]) for l in lanes]
        with m.Else():
            m.d.comb += accept.eq(~busy | (move & (left == 1)))

        low = Signal(signed(SUM))
        m.d.comb += low.eq(queue[:SUM])
        flow = [Signal(name=f"flow_{i}") for i in range(2)]
        index = [Signal(2, name=f"index_{i}") for i in range(2)]
        closing = [Signal(name=f"closing_{i}") for i in range(2)]
        tails = [Signal(Meta, name=f"tail_{i}") for i in range(2)]
        lane = Signal(2)
        product = Signal(signed(SUM + 17))
        product_shift = Signal(6)
        quotient = Signal(signed(SUM + 18))
        with m.If(move):
            m.d.sync += [
                flow[0].eq(busy), flow[1].eq(flow[0]), index[0].eq(lane), index[1].eq(index[0]),
                closing[0].eq(left == 1), closing[1].eq(closing[0]),
                tails[0].eq(tail), tails[1].eq(tails[0]),
                product.eq(low * factor), product_shift.eq(shift),
                quotient.eq((product + ((1 << product_shift) >> 1)) >> product_shift),
                queue.eq(queue[SUM:]), lane.eq(lane + 1), left.eq(left - 1),
            ]
            with m.If(left == 1):
                m.d.sync += busy.eq(0)
            with m.If(flow[1]):
                entry = out.p.entries[index[1]]
                with m.If(quotient > HIGH):
                    m.d.sync += entry.eq(HIGH)
                with m.Elif(quotient < LOW):
                    m.d.sync += entry.eq(LOW)
                with m.Else():
                    m.d.sync += entry.eq(quotient)
                with m.If(closing[1]):
                    m.d.sync += [out.valid.eq(1), *ends(tails[1])]
        with m.If(average & full & accept):
            m.d.sync += [busy.eq(1), queue.eq(Cat(sums)), left.eq(self.chunk), lane.eq(0),
                         tail.eq(window),
                         factor.eq(Mux(self.fixed, self.reciprocal, factors[window.count])),
                         shift.eq(Mux(self.fixed, self.shift, shifts[window.count]))]
        m.d.comb += self.idle.eq(~(Cat(valid).any() | full | busy | Cat(flow).any() | out.valid))
        return m
