"""Psums of OFMAP to entries."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, Config
from hdl.isa import Rounding, ScaleWord
from hdl.lib.arithmetic.scaler import Scaler
from hdl.sequencers.words import ofmap_psums

SUM_BITS = 32  # of a psum with its bias
UNIT = 1 << 30  # the multiplier of a shift alone


class OfmapScaling(wiring.Component):
    """Psums with their biases, scaled by the table, or shifted alone (isa.OfmapBody).

    Members: `enable` moves all; `valid`, `psums`, and of each lane its ScaleWord, `words`; LATENCY
    enabled cycles later `entries`, and beside them the psums, `placed`, if `comes`; `empty`;
     `rounding`, `lo`, `hi` of what the table scales, stable unless `empty`. A word a cycle.
    """

    LATENCY = 1 + Scaler.LATENCY

    def __init__(self, config: Config):
        self.config = config
        lanes = config.psum_lanes
        super().__init__(
            {
                "enable": In(1),
                "valid": In(1),
                "psums": In(ofmap_psums(config)),
                "words": In(data.ArrayLayout(ScaleWord, lanes)),
                "rounding": In(Rounding),
                "lo": In(signed(ENTRY_BITS)),
                "hi": In(signed(ENTRY_BITS)),
                "comes": Out(1),
                "placed": Out(ofmap_psums(config)),
                "entries": Out(data.ArrayLayout(signed(ENTRY_BITS), lanes)),
                "empty": Out(1, init=1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c, place = self.config, self.psums.place

        # What goes along.
        inside = Signal(self.LATENCY)
        stages, layout = range(self.LATENCY), ofmap_psums(c)
        placed = [Signal(layout, name=f"placed_{n}", reset_less=True) for n in stages]
        with m.If(self.enable):
            m.d.sync += inside.eq(Cat(self.valid, inside))
            m.d.sync += self.empty.eq(~(self.valid | inside[:-1].any()))
            m.d.sync += [b.eq(a) for a, b in zip((self.psums, *placed), placed)]
        m.d.comb += [
            self.comes.eq(inside[-1]),
            self.placed.eq(placed[-1]),
        ]

        # Bounds belong to what is about to come out.
        ends = placed[-2].place
        rounding, lo, hi = Signal(Rounding), Signal(signed(16)), Signal(signed(16))
        m.d.comb += [
            lo.eq(Mux(ends.scaled, self.lo, Mux(ends.relu, 0, -(1 << ENTRY_BITS - 1)))),
            hi.eq(Mux(ends.scaled, self.hi, (1 << ENTRY_BITS - 1) - 1)),
        ]
        with m.If(self.enable):
            m.d.sync += rounding.eq(Mux(place.scaled, self.rounding, Rounding.SINGLE))

        psums = data.View(data.ArrayLayout(signed(c.psum_bits), c.psum_lanes), self.psums.psums)
        for lane in range(c.psum_lanes):
            word, shift = self.words[lane], Signal(signed(7), name=f"shift_{lane}")
            value, multiplier = Signal(signed(SUM_BITS)), Signal(31)
            left, right = Signal(5), Signal(6)
            m.d.comb += shift.eq(Mux(place.scaled, word.shift, 1 - place.shift))
            with m.If(self.enable):
                m.d.sync += [
                    value.eq(psums[lane] + Mux(place.scaled, word.bias, 0)),
                    multiplier.eq(Mux(place.scaled, word.multiplier, UNIT)),
                    left.eq(Mux(shift > 0, shift, 0)),
                    right.eq(Mux(shift < 0, -shift, 0)),
                ]
            m.submodules[f"scaler_{lane}"] = scaler = Scaler()
            m.d.comb += [
                scaler.enable.eq(self.enable),
                scaler.value.eq(value),
                scaler.multiplier.eq(multiplier),
                scaler.left.eq(left),
                scaler.right.eq(right),
                scaler.rounding.eq(rounding),
                scaler.lo.eq(lo),
                scaler.hi.eq(hi),
                self.entries[lane].eq(scaler.entry),
            ]
        return m
