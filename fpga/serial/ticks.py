"""Fractions of a bit time out of the clock."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

FRACTION = 20  # bits of the accumulator: the rate is off by 2**-21 of the clock at most
FEWEST, MOST = 4, 16


def oversampling(clock_hz: int, baud: int) -> int:
    """Ticks in a bit. Raises ValueError if a bit has fewer than four cycles."""
    if clock_hz < FEWEST * baud:
        raise ValueError(
            f"{baud} baud at a clock of {clock_hz} Hz: a bit needs {FEWEST} cycles or more"
        )
    return min(MOST, clock_hz // baud)


class Ticks(wiring.Component):
    """`tick`, one cycle long, `oversample` times a bit.

    A phase accumulator, so that any clock gives any rate: single ticks are up to a cycle early,
    their mean is exact. oversample: as many whole ticks as a bit has cycles, 16 at most. Raises
    ValueError as `oversampling`.
    """

    tick: Out(1)

    def __init__(self, clock_hz: int, baud: int):
        self.oversample = oversampling(clock_hz, baud)
        self.step = round((baud * self.oversample << FRACTION) / clock_hz)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        phase, total = Signal(FRACTION), Signal(FRACTION + 1)
        m.d.comb += total.eq(phase + self.step)
        m.d.sync += [phase.eq(total[:FRACTION]), self.tick.eq(total[FRACTION])]
        return m
