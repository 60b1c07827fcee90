"""Add of STORE: two operands aligned, added, rounded; ReLU."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, LANES
from hdl.lib.arithmetic.round_shift import RoundShift
from hdl.memory.words import Tap, TapMark, rounded_tap

ALIGNED = ENTRY_BITS + 15  # bits of an operand shifted left by at most 15
OUT_BITS = 5  # of the shift to the right


class OperandAdder(wiring.Component):
    """relu(saturate(round((a << shift_a) + (b << shift_b) >> shift_out))) of each lane, or of a
    tap's entries alone if not `add`.

    Members: `taps` in, of an add the first operand's tap before the second's; `out`, a tap for
    each sum; `add`, `relu`, `shift_a`, `shift_b`, `shift_out`, to be changed only when `idle`.
    lanes: the most entries of a tap.

    Nothing stops in it: latency LATENCY cycles, throughput a tap a cycle. (docs/architecture.md,
    Numbers)
    """

    ROUNDED = 2  # the stage at which the sum is there
    LATENCY = ROUNDED + RoundShift.LATENCY + 1

    def __init__(self, lanes: int = LANES):
        self.lanes = lanes
        super().__init__(
            {
                "taps": In(stream.Signature(Tap, always_ready=True)),
                "out": Out(stream.Signature(rounded_tap(lanes), always_ready=True)),
                "idle": Out(1),
                "add": In(1),
                "relu": In(1),
                "shift_a": In(4),
                "shift_b": In(4),
                "shift_out": In(OUT_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        tap = self.taps.p

        # Shifts, 0 without an add.
        shift_a, shift_b, shift_out = Signal(4), Signal(4), Signal(OUT_BITS)
        m.d.sync += [
            shift_a.eq(Mux(self.add, self.shift_a, 0)),
            shift_b.eq(Mux(self.add, self.shift_b, 0)),
            shift_out.eq(Mux(self.add, self.shift_out, 0)),
        ]

        # What is known of a tap goes along with its entries.
        valid = Signal(self.LATENCY)
        marks = [Signal(TapMark, name=f"mark_{n}") for n in range(self.LATENCY)]
        m.d.sync += valid.eq(valid << 1 | (self.taps.valid & ~tap.operand))
        m.d.sync += marks[0].eq(tap.mark)
        m.d.sync += [after.eq(before) for before, after in zip(marks, marks[1:])]
        m.d.comb += [
            self.idle.eq(~valid.any()),
            self.out.valid.eq(valid[-1]),
            self.out.p.mark.eq(marks[-1]),
        ]

        # An add's first operand is kept until the second comes.
        left_shift, first = Signal(4), Signal()
        m.d.comb += left_shift.eq(Mux(tap.operand, shift_a, shift_b))
        m.d.sync += first.eq(self.taps.valid & tap.operand)
        for lane in range(self.lanes):
            shifted = Signal(signed(ALIGNED), name=f"shifted_{lane}")
            kept = Signal(signed(ALIGNED), name=f"kept_{lane}")
            total = Signal(signed(ALIGNED + 1), name=f"total_{lane}")
            m.d.sync += [
                shifted.eq(tap.entries[lane] << left_shift),
                total.eq(shifted + kept),
            ]
            with m.If(~self.add):
                m.d.sync += kept.eq(0)
            with m.Elif(first):
                m.d.sync += kept.eq(shifted)

            # The sum, rounded.
            m.submodules[f"round_{lane}"] = rounding = RoundShift(ALIGNED + 1, OUT_BITS, halves=2)
            m.d.comb += [
                rounding.enable.eq(1),
                rounding.value.eq(total),
                rounding.shift.eq(shift_out),
                rounding.relu.eq(self.relu),
                self.out.p.entries[lane].eq(rounding.entry),
            ]
        return m
