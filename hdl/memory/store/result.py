"""What STORE makes of a window's sum, maximum or only tap: scaled, within bounds."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, LANES
from hdl.isa import Pool, Rounding
from hdl.lib.arithmetic.delay import after
from hdl.lib.arithmetic.scaler import Scaler
from hdl.memory.words import COUNT_BITS, ResultScale, pooled_entries, window_sum
from hdl.timing import DIVISORS

LEAST, MOST = -(1 << ENTRY_BITS - 1), (1 << ENTRY_BITS - 1) - 1


def reciprocal(n: int) -> tuple[int, int]:
    """(multiplier, shift) of 1 / n, n above 0: multiplier * 2**(shift - 31), rounded up."""
    shift = 1 - (n - 1).bit_length()
    return -(-(1 << 31 - shift) // n), shift


ONE, _ = reciprocal(1)  # with a left shift of 1


class ResultScaler(wiring.Component):
    """Scales windows: an average by the reciprocal of its count, of which DIVISORS are built in, or
    with `fixed`, as what has been added and all with `scaled`, by `scale`; what is neither stays.
    Its bounds are those of `scale` with `scaled`, else those of an entry, with `relu` from 0 on.

    Members: `windows` in; `out`; `idle`; `pool`, `add`, `fixed`, `scaled`, `relu` and `scale`, to
    be changed only when `idle`. lanes: the most lanes of a window.

    Nothing stops in it: latency LATENCY cycles, throughput a window a cycle. (docs/architecture.md,
    Numbers)
    """

    LATENCY = Scaler.LATENCY

    def __init__(self, lanes: int = LANES):
        self.lanes = lanes
        super().__init__(
            {
                "windows": In(stream.Signature(window_sum(lanes), always_ready=True)),
                "out": Out(stream.Signature(pooled_entries(lanes), always_ready=True)),
                "idle": Out(1),
                "pool": In(Pool, init=Pool.NONE),
                "add": In(1),
                "fixed": In(1),
                "scaled": In(1),
                "relu": In(1),
                "scale": In(ResultScale),
            }
        )

    def elaborate(self, platform):
        m = Module()
        window, scale, average = self.windows.p, self.scale, self.pool == Pool.AVERAGE

        # What depends on the command alone; what is not scaled is doubled and halved.
        own, given, rounding = Signal(), Signal(), Signal(Rounding)
        left, right = Signal(5), Signal(6)
        lo, hi = Signal.like(scale.lo), Signal.like(scale.hi)
        scales = average | self.add | self.scaled
        m.d.sync += [
            own.eq(average & ~self.fixed),
            given.eq(scales),
            rounding.eq(Mux(scales, scale.rounding, Rounding.SINGLE)),
            left.eq(Mux(scales, Mux(scale.shift > 0, scale.shift, 0), 1)),
            right.eq(Mux(scales & (scale.shift < 0), -scale.shift, 0)),
            lo.eq(Mux(self.scaled, scale.lo, Mux(self.relu, 0, LEAST))),
            hi.eq(Mux(self.scaled, scale.hi, MOST)),
        ]

        # The reciprocal of a window's own count; 0 of one that is none.
        table = dict.fromkeys(range(1 << COUNT_BITS), (0, 0))
        table |= {n: reciprocal(n) for n in range(1, DIVISORS + 1)}
        multipliers, shifts = zip(*table.values())
        multiplier, count = Signal.like(scale.multiplier), window.mark.count
        m.d.comb += multiplier.eq(
            Mux(own, Array(multipliers)[count], Mux(given, scale.multiplier, ONE))
        )
        own_left = Array(max(shift, 0) for shift in shifts)[count]
        own_right = Array(max(-shift, 0) for shift in shifts)[count]

        for lane in range(self.lanes):
            m.submodules[f"scaler_{lane}"] = scaler = Scaler()
            m.d.comb += [
                scaler.enable.eq(1),
                scaler.value.eq(window.sums[lane]),
                scaler.multiplier.eq(multiplier),
                scaler.left.eq(Mux(own, own_left, left)),
                scaler.right.eq(Mux(own, own_right, right)),
                scaler.rounding.eq(rounding),
                scaler.lo.eq(lo),
                scaler.hi.eq(hi),
                self.out.p.entries[lane].eq(scaler.entry),
            ]

        # What is known of a window goes along.
        valid = Signal(self.LATENCY)
        m.d.sync += valid.eq(valid << 1 | self.windows.valid)
        m.d.comb += [
            self.out.valid.eq(valid[-1]),
            self.out.p.ends.eq(after(m, 1, self.LATENCY, window.mark.ends.as_value(), "ends")),
            self.idle.eq(~valid.any()),
        ]
        return m
