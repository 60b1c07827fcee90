"""Operands of an add of STORE, each by its scale."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import LANES
from hdl.lib.arithmetic.delay import after
from hdl.lib.arithmetic.operand_scaler import OperandScaler
from hdl.memory.words import OperandScale, Tap, TapMark, window_tap


class AddOperands(wiring.Component):
    """Scales taps, of which the first operand of an add comes before the second; the two become a
    window.

    Members: `taps` in; `out`, the scaled taps; `idle`; `scale_a` and `scale_b`, of the first and
    second operand, to be changed only when `idle`. lanes: the most entries of a tap.

    Nothing stops in it: latency LATENCY cycles, throughput a tap a cycle. (docs/architecture.md,
    Numbers)
    """

    LATENCY = OperandScaler.LATENCY

    def __init__(self, lanes: int = LANES):
        self.lanes = lanes
        super().__init__(
            {
                "taps": In(stream.Signature(Tap, always_ready=True)),
                "out": Out(stream.Signature(window_tap(lanes), always_ready=True)),
                "idle": Out(1),
                "scale_a": In(OperandScale),
                "scale_b": In(OperandScale),
            }
        )

    def elaborate(self, platform):
        m = Module()
        tap, scale = self.taps.p, Signal(OperandScale)
        m.d.comb += scale.eq(Mux(tap.operand, self.scale_a, self.scale_b))

        # What is known of a tap goes along with its entries.
        valid, mark = Signal(self.LATENCY), Signal(TapMark)
        m.d.sync += valid.eq(valid << 1 | self.taps.valid)
        m.d.comb += [
            mark.eq(tap.mark),
            mark.first.eq(tap.operand),
            mark.last.eq(~tap.operand),
            self.idle.eq(~valid.any()),
            self.out.valid.eq(valid[-1]),
            self.out.p.mark.eq(after(m, 1, self.LATENCY, mark.as_value(), "mark")),
        ]

        for lane in range(self.lanes):
            m.submodules[f"scaler_{lane}"] = scaler = OperandScaler()
            m.d.comb += [
                scaler.enable.eq(1),
                scaler.value.eq(tap.entries[lane]),
                scaler.multiplier.eq(scale.multiplier),
                scaler.right.eq(-scale.shift),
                self.out.p.values[lane].eq(scaler.scaled),
            ]
        return m
