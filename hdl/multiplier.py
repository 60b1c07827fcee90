"""A registered multiplier: the DSP block of the device, or a twin that acts the same in every cycle."""

from amaranth.hdl import ClockSignal, Const, Instance, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import ENTRY_BITS


def on_ecp5(platform) -> bool:
    """Without importing a vendor's platform: `hdl` emits Verilog that fits any device."""
    return getattr(platform, "family", None) == "ecp5"


class Multiplier(wiring.Component):
    """product = a * w, signed, behind registers of the operands, of the array and of the product.

    Members: `a`, `w`, `product`; `load` and `advance` enable the first two registers and `clear` makes the product
    zero instead, so that an operation which is not wanted moves nothing and adds nothing.

    Latency three cycles, throughput one product a cycle. The registers have no reset. On an ECP5 they are those
    inside a MULT18X18D, where Yosys puts none by itself.
    """

    LATENCY = 3

    a: In(signed(ENTRY_BITS))
    w: In(signed(ENTRY_BITS))
    load: In(1)
    advance: In(1)
    clear: In(1)
    product: Out(signed(2 * ENTRY_BITS))

    def elaborate(self, platform):
        return self._mult18x18d() if on_ecp5(platform) else self._registers()

    def _registers(self):
        m = Module()
        a, w = Signal(signed(ENTRY_BITS), reset_less=True), Signal(signed(ENTRY_BITS), reset_less=True)
        inner = Signal(signed(2 * ENTRY_BITS), reset_less=True)
        product = Signal(signed(2 * ENTRY_BITS), reset_less=True)
        with m.If(self.load):
            m.d.sync += [a.eq(self.a), w.eq(self.w)]
        with m.If(self.advance):
            m.d.sync += inner.eq(a * w)
        m.d.sync += product.eq(Mux(self.clear, 0, inner))
        m.d.comb += self.product.eq(product)
        return m

    def _mult18x18d(self):
        m = Module()
        ports = {}
        for port, value in (("A", self.a), ("B", self.w)):
            wide = Signal(signed(18), name=f"wide_{port.lower()}")
            m.d.comb += wide.eq(value)
            ports |= {f"i_{port}{n}": wide[n] for n in range(18)}
            ports |= {f"i_SIGNED{port}": Const(1), f"i_SOURCE{port}": Const(0)}
            ports |= {f"p_REG_INPUT{port}_CLK": "CLK0", f"p_REG_INPUT{port}_CE": "CE0", f"p_REG_INPUT{port}_RST": "RST0"}
        out = Signal(36)
        m.submodules.mult = Instance(
            "MULT18X18D", **ports,
            p_REG_PIPELINE_CLK="CLK0", p_REG_PIPELINE_CE="CE1", p_REG_PIPELINE_RST="RST0",
            p_REG_OUTPUT_CLK="CLK0", p_REG_OUTPUT_CE="CE2", p_REG_OUTPUT_RST="RST1",
            p_RESETMODE="SYNC", p_GSR="DISABLED",
            i_CLK0=ClockSignal(), i_CE0=self.load, i_CE1=self.advance, i_CE2=Const(1), i_RST0=Const(0),
            i_RST1=self.clear,
            **{f"o_P{n}": out[n] for n in range(36)})
        m.d.comb += self.product.eq(out)
        return m
