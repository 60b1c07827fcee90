"""Clock generators: the board's oscillator in, the design's clock out."""

from dataclasses import dataclass

from amaranth.hdl import Const, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


@dataclass(frozen=True)
class Ecp5Dividers:
    """The reference over `reference`, times `feedback`, is the output; `output` times that is
    the VCO."""

    reference: int
    feedback: int
    output: int


def ecp5_dividers(in_hz: int, out_hz: int) -> Ecp5Dividers:
    """Exact dividers within the data sheet's limits: phase detector 3.125 MHz or more, VCO
    400..800 MHz. Raises ValueError if there are none."""
    for reference in range(1, 129):
        detector = in_hz / reference
        feedback = out_hz * reference / in_hz
        if feedback == int(feedback) and feedback <= 80 and detector >= 3_125_000:
            # the VCO nearest to the middle of its range jitters least
            fits = [n for n in range(1, 129) if 400e6 <= n * out_hz <= 800e6]
            if fits:
                return Ecp5Dividers(
                    reference, int(feedback), min(fits, key=lambda n: abs(n * out_hz - 600e6))
                )
    raise ValueError(f"no PLL setting makes {out_hz / 1e6:g} MHz of {in_hz / 1e6:g} MHz")


class Ecp5Pll(wiring.Component):
    """EHXPLLL of the ECP5.

    Members: `clk_in` of in_hz; `clk_out` of out_hz; `clk_shifted`, the same `shift` degrees later
    (a multiple of 45); `locked`. Raises ValueError for a clock that cannot be made exactly.
    """

    clk_in: In(1)
    clk_out: Out(1)
    clk_shifted: Out(1)
    locked: Out(1)

    def __init__(self, in_hz: int, out_hz: int, shift: int = 0):
        if shift % 45 or not 0 <= shift < 360:
            raise ValueError(f"a shift of {shift} degrees: must be a multiple of 45 below 360")
        self.dividers, self.shift = ecp5_dividers(in_hz, out_hz), shift
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        d, steps = self.dividers, self.dividers.output * self.shift // 45  # eighths of a VCO cycle
        feedback = Signal()
        m.d.comb += feedback.eq(self.clk_out)
        m.submodules.pll = Instance(
            "EHXPLLL",
            p_CLKI_DIV=d.reference,
            p_CLKFB_DIV=d.feedback,
            p_FEEDBK_PATH="CLKOP",
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_DIV=d.output,
            p_CLKOP_CPHASE=d.output - 1,
            p_CLKOP_FPHASE=0,
            p_CLKOS_ENABLE="ENABLED",
            p_CLKOS_DIV=d.output,
            p_CLKOS_CPHASE=d.output - 1 + steps // 8,
            p_CLKOS_FPHASE=steps % 8,
            p_PLLRST_ENA="DISABLED",
            p_INTFB_WAKE="DISABLED",
            p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED",
            p_OUTDIVIDER_MUXA="DIVA",
            p_OUTDIVIDER_MUXB="DIVB",
            p_OUTDIVIDER_MUXC="DIVC",
            p_OUTDIVIDER_MUXD="DIVD",
            i_CLKI=self.clk_in,
            i_CLKFB=feedback,
            i_RST=Const(0),
            i_STDBY=Const(0),
            i_ENCLKOP=Const(1),
            i_ENCLKOS=Const(1),
            i_PHASESEL0=Const(0),
            i_PHASESEL1=Const(0),
            i_PHASEDIR=Const(1),
            i_PHASESTEP=Const(1),
            i_PHASELOADREG=Const(1),
            i_PLLWAKESYNC=Const(0),
            o_CLKOP=self.clk_out,
            o_CLKOS=self.clk_shifted,
            o_LOCK=self.locked,
        )
        return m
