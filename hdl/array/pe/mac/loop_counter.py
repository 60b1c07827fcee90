"""The count of a PE's loop, which says in time when it is in its last turn."""

from amaranth.hdl import Const, Instance, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.technology import on_ecp5

# LUT contents of a bit of CCU2C, input A being the lowest of its index and D the highest: propagate
# is ~B if D else A. Generate is A, from the lowest four: what propagate is when counting, and
# nothing when loading, the count being zero.
COUNT_OR_LOAD = sum((1 - (n >> 1 & 1) if n & 8 else n & 1) << n for n in range(16))


class LoopCounter(wiring.Component):
    """Counts from -limit; in the last of `limit` turns the count is -1, behind it zero.

    Members: `limit` of at least 1; `load` begins the loop, only while the count is zero (after the
    reset, and after the step that ends a loop); `step` ends a turn; `last`, the turn is the last,
    two cycles after the `load` or `step` that began it.

    On an ECP5 counting, loading and finding the end share one carry chain: a cell for two bits, and
    one.
    """

    def __init__(self, bits: int):
        self.bits = bits
        super().__init__({"limit": In(bits), "load": In(1), "step": In(1), "last": Out(1)})

    def elaborate(self, platform):
        m = Module()
        count, following = Signal(self.bits), Signal(self.bits)
        end = Signal()  # the count is -1
        with m.If(self.load | self.step):
            m.d.sync += count.eq(following)
        m.d.sync += self.last.eq(end)
        if on_ecp5(platform):
            self._carry_chain(m, count, following, end)
        else:
            m.d.comb += [following.eq(Mux(self.load, -self.limit, count + 1)), end.eq(count.all())]
        return m

    def _carry_chain(self, m: Module, count: Signal, following: Signal, end: Signal) -> None:
        carry = Const(1)
        for n in range(0, self.bits + 1, 2):
            out = Signal(name=f"carry_{n + 2}")
            sums = Signal(2, name=f"sums_{n}")
            ports = {}
            for half in range(2):
                at = n + half
                inside = at < self.bits
                ports |= {
                    f"i_A{half}": count[at] if inside else Const(0),
                    f"i_B{half}": self.limit[at] if inside else Const(1),
                    f"i_C{half}": Const(0),
                    f"i_D{half}": self.load,
                    f"p_INIT{half}": Const(COUNT_OR_LOAD, 16),
                    f"p_INJECT1_{half}": "NO",
                    f"o_S{half}": sums[half],
                }
                if at <= self.bits:
                    m.d.comb += (following[at] if inside else end).eq(sums[half])
            m.submodules[f"bits_{n}"] = Instance("CCU2C", **ports, i_CIN=carry, o_COUT=out)
            carry = out
