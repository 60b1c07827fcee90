"""Psums to int16: round, shift, saturate, ReLU (golden.fixed.requantise)."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, PSUM_LANES, Config


class Requantise(wiring.Component):
    """Lanes of saturate((psum + half an LSB) >> shift), then ReLU.

    Members: `enable` moves the pipeline; `psums`, `shift` (0..63), `relu` in; `entries` out
    three enabled cycles later. One word a cycle. A shift of psum_bits or more gives 0.
    """

    LATENCY = 3

    def __init__(self, config: Config, lanes: int = PSUM_LANES):
        self.config, self.lanes = config, lanes
        super().__init__(
            {
                "enable": In(1),
                "psums": In(data.ArrayLayout(signed(config.psum_bits), lanes)),
                "shift": In(6),
                "relu": In(1),
                "entries": Out(data.ArrayLayout(signed(ENTRY_BITS), lanes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = self.config.psum_bits
        low, high = -(1 << ENTRY_BITS - 1), (1 << ENTRY_BITS - 1) - 1
        half = Signal(bits + 1)
        far = Signal()
        m.d.comb += [
            far.eq(self.shift >= bits),
            half.eq(Mux(far | (self.shift == 0), 0, (1 << self.shift[:5]) >> 1)),
        ]
        shift_1 = Signal(5)
        relu_1, relu_2, zero_1, zero_2 = (
            Signal(name=n) for n in ("relu_1", "relu_2", "zero_1", "zero_2")
        )
        with m.If(self.enable):
            m.d.sync += [
                shift_1.eq(self.shift[:5]),
                relu_1.eq(self.relu),
                relu_2.eq(relu_1),
                zero_1.eq(far),
                zero_2.eq(zero_1),
            ]
        for lane in range(self.lanes):
            rounded = Signal(signed(bits + 2), name=f"rounded_{lane}", reset_less=True)
            shifted = Signal(signed(bits + 2), name=f"shifted_{lane}", reset_less=True)
            with m.If(self.enable):
                m.d.sync += [rounded.eq(self.psums[lane] + half), shifted.eq(rounded >> shift_1)]
                entry = self.entries[lane]
                with m.If(zero_2 | (relu_2 & (shifted < 0))):
                    m.d.sync += entry.eq(0)
                with m.Elif(shifted > high):
                    m.d.sync += entry.eq(high)
                with m.Elif(shifted < low):
                    m.d.sync += entry.eq(low)
                with m.Else():
                    m.d.sync += entry.eq(shifted)
        return m
