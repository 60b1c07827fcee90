"""Psums to int16: round, shift, saturate, ReLU (golden.fixed.requantise)."""

from amaranth.hdl import Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import ENTRY_BITS, PSUM_LANES, Config
from .round_shift import RoundShift


class Requantise(wiring.Component):
    """Four lanes of saturate((psum + half an LSB) >> shift), then ReLU.

    Members: `enable` moves the pipeline; `psums`, `shift` (0..63), `relu` in; `entries` out
    three enabled cycles later. One word a cycle. A shift of psum_bits or more gives 0.
    """

    LATENCY = 3
    SPLIT = 3    # shifts by eight and more in the first stage

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "enable": In(1),
            "psums": In(data.ArrayLayout(signed(config.psum_bits), PSUM_LANES)),
            "shift": In(6), "relu": In(1),
            "entries": Out(data.ArrayLayout(signed(ENTRY_BITS), PSUM_LANES))})

    def elaborate(self, platform):
        m = Module()
        for n in range(PSUM_LANES):
            m.submodules[f"lane_{n}"] = lane = RoundShift(self.config.psum_bits, len(self.shift), self.SPLIT)
            m.d.comb += [lane.enable.eq(self.enable), lane.value.eq(self.psums[n]), lane.shift.eq(self.shift),
                         lane.relu.eq(self.relu), self.entries[n].eq(lane.entry)]
        return m
