"""Sums of four sparse PEs to activations."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, LANES
from hdl.lib.arithmetic.round_shift import RoundShift

SHIFT_BITS = 6


class RowRounder(wiring.Component):
    """Rounds, shifts and saturates the sums of four PEs.

    Members: `psums`, of the PEs; `shift`, `relu`; `entries`, LATENCY cycles later. With `lanes` of
    4 each PE has a RoundShift of its own. With 1 they share one: the sums of all but one must be 0,
    and all `entries` are that one's. A value a cycle of each RoundShift. Raises ValueError for
    another number of lanes.
    """

    LATENCY = 1 + RoundShift.LATENCY

    def __init__(self, psum_bits: int, lanes: int):
        if lanes not in (1, LANES):
            raise ValueError(f"a RowRounder of {lanes} lanes: must be 1 or {LANES}")
        self.psum_bits, self.lanes = psum_bits, lanes
        super().__init__(
            {
                "psums": In(data.ArrayLayout(signed(psum_bits), LANES)),
                "shift": In(SHIFT_BITS),
                "relu": In(1),
                "entries": Out(data.ArrayLayout(signed(ENTRY_BITS), LANES)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        share = LANES // self.lanes  # PEs of a RoundShift

        for lane in range(self.lanes):
            m.submodules[f"round_{lane}"] = rounder = RoundShift(self.psum_bits, SHIFT_BITS)
            own = range(lane * share, lane * share + share)

            # The sum of the one PE that shows one.
            shown = Signal(self.psum_bits, name=f"shown_{lane}")
            together = 0
            for n in own:
                together = self.psums[n].as_unsigned() | together
            m.d.sync += shown.eq(together)

            # Its activation.
            m.d.comb += [
                rounder.enable.eq(1),
                rounder.value.eq(shown),
                rounder.shift.eq(self.shift),
                rounder.relu.eq(self.relu),
                *(self.entries[n].eq(rounder.entry) for n in own),
            ]
        return m
