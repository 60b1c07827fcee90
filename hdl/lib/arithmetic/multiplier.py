"""A registered multiplier: the DSP block of the device, or a twin that acts the same in every
cycle."""

from amaranth.hdl import ClockSignal, Const, Instance, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS
from hdl.lib.marks import on_instance
from hdl.lib.technology import on_ecp5, on_up5k

ENTRY = signed(ENTRY_BITS)


class Multiplier(wiring.Component):
    """product = a * w behind registers of the operands, of the array and of the product.

    Members: `a`, `w`, `product`; `load`, `advance` and `emit` enable the three registers, `emit` if
    it is not connected; with it, `clear` makes the product zero instead, so that an operation which
    is not wanted moves nothing and adds nothing.

    Latency three cycles, throughput one product a cycle. The registers have no reset. On an ECP5
    they are those inside a MULT18X18D, where Yosys puts none by itself; on an UP5K the first two
    are those of an SB_MAC16, whose pipeline registers cannot hold, so that the product's is
    outside.

    a, w: shapes of the operands, signed or not, of 16 bits at most, else raises ValueError; marks:
    attributes of the cell of an ECP5.
    """

    LATENCY = 3

    def __init__(
        self,
        a: Shape = ENTRY,
        w: Shape = ENTRY,
        *,
        marks: dict[str, int] | None = None,
    ):
        for shape in (a, w):
            if shape.width > ENTRY_BITS:
                raise ValueError(f"an operand of {shape.width} bits: must be {ENTRY_BITS} at most")
        self._marks, self._shapes = marks or {}, (a, w)
        self._product = (Const(0, a) * Const(0, w)).shape()
        super().__init__(
            {
                "a": In(a),
                "w": In(w),
                "load": In(1),
                "advance": In(1),
                "emit": In(1, init=1),
                "clear": In(1),
                "product": Out(self._product),
            }
        )

    def elaborate(self, platform):
        return (
            self._mult18x18d()
            if on_ecp5(platform)
            else self._sb_mac16()
            if on_up5k(platform)
            else self._registers()
        )

    def _registers(self) -> Module:
        m = Module()
        a, w = (
            Signal(shape, name=name, reset_less=True) for shape, name in zip(self._shapes, "aw")
        )
        inner = Signal(self._product, reset_less=True)
        with m.If(self.load):
            m.d.sync += [a.eq(self.a), w.eq(self.w)]
        with m.If(self.advance):
            m.d.sync += inner.eq(a * w)
        self._emit(m, inner)
        return m

    def _emit(self, m: Module, inner: Value) -> None:
        """The product's register."""
        product = Signal(self._product, reset_less=True)
        with m.If(self.emit):
            m.d.sync += product.eq(Mux(self.clear, 0, inner))
        m.d.comb += self.product.eq(product)

    def _mult18x18d(self) -> Module:
        m = Module()
        ports = {}
        for port, value in (("A", self.a), ("B", self.w)):
            wide = Signal(signed(18), name=f"wide_{port.lower()}")
            is_signed = value.shape().signed
            m.d.comb += wide.eq(value)
            ports |= {f"i_{port}{n}": wide[n] for n in range(18)}
            ports |= {f"i_SIGNED{port}": Const(is_signed, 1), f"i_SOURCE{port}": Const(0)}
            ports |= {
                f"p_REG_INPUT{port}_CLK": "CLK0",
                f"p_REG_INPUT{port}_CE": "CE0",
                f"p_REG_INPUT{port}_RST": "RST0",
            }
        out = Signal(36)
        m.submodules.mult = Instance(
            "MULT18X18D",
            **on_instance(self._marks),
            **ports,
            p_REG_PIPELINE_CLK="CLK0",
            p_REG_PIPELINE_CE="CE1",
            p_REG_PIPELINE_RST="RST0",
            p_REG_OUTPUT_CLK="CLK0",
            p_REG_OUTPUT_CE="CE2",
            p_REG_OUTPUT_RST="RST1",
            p_RESETMODE="SYNC",
            p_GSR="DISABLED",
            i_CLK0=ClockSignal(),
            i_CE0=self.load,
            i_CE1=self.advance,
            i_CE2=self.emit,
            i_RST0=Const(0),
            i_RST1=self.clear,
            **{f"o_P{n}": out[n] for n in range(36)},
        )
        m.d.comb += self.product.eq(out)
        return m

    def _sb_mac16(self) -> Module:
        m = Module()
        a, w = (Signal(ENTRY_BITS, name=f"wide_{name}") for name in "aw")
        zero, inner = Const(0, ENTRY_BITS), Signal(2 * ENTRY_BITS)
        m.d.comb += [a.eq(self.a), w.eq(self.w)]
        halves = {
            f"p_{half}{name}": value
            for half in ("TOP", "BOT")
            for name, value in (
                ("OUTPUT_SELECT", 1),  # the sum's register
                ("ADDSUB_LOWERINPUT", 2),  # of the 16 x 16 product
                ("ADDSUB_UPPERINPUT", 1),  # and C or D, which are zero
                ("ADDSUB_CARRYSELECT", 0),
            )
        }
        m.submodules.mac = Instance(
            "SB_MAC16",
            i_CLK=ClockSignal(),
            i_CE=Const(1),
            i_A=a,
            i_B=w,
            i_C=zero,
            i_D=zero,
            o_O=inner,
            p_A_REG=1,
            p_B_REG=1,
            p_A_SIGNED=int(self._shapes[0].signed),
            p_B_SIGNED=int(self._shapes[1].signed),
            **halves,
            i_AHOLD=~self.load,
            i_BHOLD=~self.load,
            i_CHOLD=Const(0),
            i_DHOLD=Const(0),
            i_OHOLDTOP=~self.advance,
            i_OHOLDBOT=~self.advance,
            **{
                f"i_{name}": Const(0)
                for name in (
                    "IRSTTOP",
                    "IRSTBOT",
                    "ORSTTOP",
                    "ORSTBOT",
                    "OLOADTOP",
                    "OLOADBOT",
                    "ADDSUBTOP",
                    "ADDSUBBOT",
                    "CI",
                    "ACCUMCI",
                    "SIGNEXTIN",
                )
            },
        )
        self._emit(m, inner)
        return m


def multiplied(m: Module, name: str, enable: Value, a: Value, w: Value) -> Value:
    """a * w, Multiplier.LATENCY enabled cycles later."""
    m.submodules[name] = part = Multiplier(a.shape(), w.shape())
    m.d.comb += [
        part.a.eq(a),
        part.w.eq(w),
        part.load.eq(enable),
        part.advance.eq(enable),
        part.emit.eq(enable),
    ]
    return part.product
