"""An adder whose second operand is one of two, in the carry cells of the device or left to
synthesis."""

from amaranth.hdl import Const, Instance, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.technology import on_ecp5

# LUT contents of a bit of CCU2C, input A being the lowest of its index and D the highest: propagate
# is A ^ (D ? B : C). Generate is A; the cell takes it from the lowest four, where C and D are 0 and
# nothing is added.
ADD_SELECTED = sum(((n & 1) ^ (n >> 1 & 1 if n & 8 else n >> 2 & 1)) << n for n in range(16))


class SelectAdder(wiring.Component):
    """total = own + (one if select else other), modulo 2**bits; combinational.

    On an ECP5 the choice costs nothing: it goes into the LUTs of the carry chain, where Yosys puts
    none by itself.
    """

    def __init__(self, bits: int):
        self.bits = bits
        super().__init__(
            {
                "own": In(bits),
                "one": In(bits),
                "other": In(bits),
                "select": In(1),
                "total": Out(bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        if not on_ecp5(platform):
            m.d.comb += self.total.eq(self.own + Mux(self.select, self.one, self.other))
            return m
        carry, total = Const(0), Signal(self.bits + 1)
        for n in range(0, self.bits, 2):
            following = Signal(name=f"carry_{n + 2}")
            ports = {}
            for half in range(2):
                inside = n + half < self.bits
                ports |= {
                    f"i_{port}{half}": (value[n + half] if inside else Const(0))
                    for port, value in (("A", self.own), ("B", self.one), ("C", self.other))
                }
                ports |= {
                    f"i_D{half}": self.select,
                    f"p_INIT{half}": Const(ADD_SELECTED, 16),
                    f"p_INJECT1_{half}": "NO",
                    f"o_S{half}": total[n + half],
                }
            m.submodules[f"bits_{n}"] = Instance("CCU2C", **ports, i_CIN=carry, o_COUT=following)
            carry = following
        m.d.comb += self.total.eq(total)
        return m
