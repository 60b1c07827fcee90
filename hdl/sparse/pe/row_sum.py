"""The rows of entries, from the zeros before them."""

from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, Config, bits_for
from hdl.lib.arithmetic.select_adder import SelectAdder
from hdl.sparse.words import mac_layout, step_layout


class RowSum(wiring.Component):
    """Members: `step`, stream of step_layout, and `mac`, stream of mac_layout; neither waits;
    `error`, stays until reset: nothing more is valid; `outside`, a row that is not there was met;
    `passed`, a pulse: a mark has gone through without an error; `busy`, a step is inside.

    A step a cycle; latency two cycles. A column's row is an adder: the zeros before an entry and
    sixteen for a padding are one number.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "step": In(stream.Signature(step_layout(), always_ready=True)),
                "mac": Out(stream.Signature(mac_layout(config), always_ready=True)),
                "error": In(1),
                "outside": Out(1),
                "passed": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        rows, step = self.config.sparse_rows, self.step.p
        bits = bits_for(rows + 8 * 16 + 16)  # never wraps within a word

        # `then` is the row after all that has been met of the column.
        then, row = Signal(bits), Signal(bits)
        m.submodules.adder = adder = SelectAdder(bits)
        m.d.comb += [
            adder.own.eq(Cat(step.zeros, step.before)),
            adder.one.eq(0),
            adder.other.eq(then),
            adder.select.eq(step.first),
        ]
        with m.If(self.step.valid):
            m.d.sync += then.eq(adder.total + Cat(step.some, Const(0, 3), step.after))

        # What goes with the row.
        valid = Signal()
        kept = Signal(
            data.StructLayout({"some": 1, "mark": 1, "index": 4, "value": signed(ENTRY_BITS)})
        )
        m.d.sync += [
            valid.eq(self.step.valid),
            kept.some.eq(step.some),
            kept.mark.eq(step.mark),
            kept.index.eq(step.index),
            kept.value.eq(step.value),
            row.eq(adder.total),
        ]

        # Compared.
        m.d.comb += [
            self.outside.eq(valid & (then > rows)),
            self.passed.eq(kept.mark & ~self.error),
            self.busy.eq(valid | self.mac.valid),
        ]
        m.d.sync += [
            self.mac.valid.eq(valid & kept.some & ~self.outside & ~self.error),
            self.mac.p.row.eq(row),
            self.mac.p.index.eq(kept.index),
            self.mac.p.value.eq(kept.value),
        ]
        return m
