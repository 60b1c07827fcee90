"""Averages of STORE: a window's sum by its divisor."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, LANES
from hdl.lib.arithmetic.round_shift import RoundShift
from hdl.memory.words import SUM_BITS, StripEnds, pooled_entries, window_sum
from hdl.timing import DIVISORS

FACTOR_BITS, SHIFT_BITS, COUNT_BITS = 16, 6, 5
PRODUCT_BITS = SUM_BITS + FACTOR_BITS + 1


def reciprocal(n: int) -> tuple[int, int]:
    """(reciprocal, shift) with which an average over n is (sum*reciprocal + half) >> shift."""
    if n == 0:
        return 0, 15
    shift = 15 + (n - 1).bit_length()
    return (2 ** (shift + 1) // n + 1) // 2, shift


class Averager(wiring.Component):
    """Divides the sums of a window, one lane after the other.

    Members: `windows` in, not within `chunk` cycles of the one before; `out`, the averages of
    each; `chunk`, lanes that count; `fixed`: all are divided by what `reciprocal` and `shift` say,
    not by a window's own divisor, of which DIVISORS have reciprocals built in. These are to be
    changed only when `idle`. lanes: the most lanes of a window.

    Nothing stops in it: latency LATENCY cycles and `chunk` - 1, throughput a lane a cycle.
    (docs/architecture.md, Numbers)
    """

    ROUNDED = 2  # the stage at which the product is there: its halves, their sum
    DIVIDE = ROUNDED + RoundShift.LATENCY + 1
    LATENCY = 1 + DIVIDE

    def __init__(self, lanes: int = LANES):
        self.lanes = lanes
        super().__init__(
            {
                "windows": In(stream.Signature(window_sum(lanes), always_ready=True)),
                "out": Out(stream.Signature(pooled_entries(lanes), always_ready=True)),
                "idle": Out(1),
                "chunk": In(3),
                "fixed": In(1),
                "reciprocal": In(FACTOR_BITS),
                "shift": In(SHIFT_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # The window under way: its sums, the next in the low bits, and what they are divided by.
        busy, queue = Signal(), Signal(SUM_BITS * self.lanes)
        left, lane = Signal(range(self.lanes)), Signal(range(self.lanes))
        factor, shift, ends = Signal(FACTOR_BITS), Signal(SHIFT_BITS), Signal(StripEnds)
        table = [reciprocal(n) for n in range(DIVISORS + 1)]
        table += [(0, 15)] * (2**COUNT_BITS - len(table))
        factors, shifts = Array(f for f, _ in table), Array(s for _, s in table)
        window = self.windows.p
        with m.If(self.windows.valid):
            m.d.sync += [
                busy.eq(1),
                queue.eq(Cat(window.sums)),
                left.eq(self.chunk - 1),
                lane.eq(0),
                ends.eq(window.mark.ends),
                factor.eq(Mux(self.fixed, self.reciprocal, factors[window.mark.count])),
                shift.eq(Mux(self.fixed, self.shift, shifts[window.mark.count])),
            ]
        with m.Else():
            m.d.sync += [
                busy.eq(left != 0),
                queue.eq(queue >> SUM_BITS),
                left.eq(Mux(left != 0, left - 1, 0)),
                lane.eq(lane + 1),
            ]

        # Each half of the sum has a multiplier block of its own.
        low = queue[:SUM_BITS].as_signed()
        product_low, product_high = Signal(2 * ENTRY_BITS), Signal(signed(2 * ENTRY_BITS + 1))
        product, product_shift = (
            Signal(signed(PRODUCT_BITS)),
            [Signal(SHIFT_BITS, name=f"product_shift_{n}") for n in range(self.ROUNDED)],
        )
        m.d.sync += [
            product_low.eq(low[:ENTRY_BITS] * factor),
            product_high.eq(low[ENTRY_BITS:].as_signed() * factor),
            product.eq(product_low + (product_high << ENTRY_BITS)),
            product_shift[0].eq(shift),
            product_shift[1].eq(product_shift[0]),
        ]
        m.submodules.quotient = quotient = RoundShift(PRODUCT_BITS, SHIFT_BITS, halves=2)
        m.d.comb += [
            quotient.enable.eq(1),
            quotient.value.eq(product),
            quotient.shift.eq(product_shift[-1]),
        ]

        # What belongs to a quotient.
        stages = range(self.DIVIDE)
        valid, last = Signal(self.DIVIDE), Signal(self.DIVIDE)
        lanes = [Signal.like(lane, name=f"lane_{n}") for n in stages]
        tails = [Signal(StripEnds, name=f"ends_{n}") for n in stages]
        m.d.sync += [valid.eq(valid << 1 | busy), last.eq(last << 1 | (left == 0))]
        for chain, value in ((lanes, lane), (tails, ends)):
            m.d.sync += [after.eq(before) for before, after in zip((value, *chain), chain)]

        # The last lane's goes out with those gathered before.
        gathered = [Signal(ENTRY_BITS, name=f"gathered_{n}") for n in range(self.lanes)]
        for n, entry in enumerate(gathered):
            mine = Signal(name=f"mine_{n}")
            m.d.comb += [
                mine.eq(lanes[-1] == n),
                self.out.p.entries[n].eq(Mux(mine, quotient.entry, entry)),
            ]
            with m.If(mine):
                m.d.sync += entry.eq(quotient.entry)
        m.d.comb += [
            self.out.valid.eq(valid[-1] & last[-1]),
            self.out.p.ends.eq(tails[-1]),
            self.idle.eq(~busy & ~valid.any()),
        ]
        return m
