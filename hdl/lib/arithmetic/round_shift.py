"""Rounding right shift to int16 (golden.fixed.round_shift and saturate)."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS

# an entry, the bit below it, and one above, which tells an overflow of the rounding
KEPT = ENTRY_BITS + 2


class RoundShift(wiring.Component):
    """saturate((value + half an LSB) >> shift), then ReLU.

    Members: `enable` moves the pipeline; `value` of `bits` bits, `shift` of `shift_bits` bits,
    `relu` in; `entry` out LATENCY enabled cycles later. One value a cycle. A shift of `bits` or
    more gives 0.

    Shifts first, by one less, and rounds what is left: no adder is wider than an entry. A level of
    the shifter keeps only what the levels after it can bring into the entry; what it drops must
    equal the sign.
    """

    LATENCY = 2

    def __init__(self, bits: int, shift_bits: int):
        self.bits, self.shift_bits = bits, shift_bits
        super().__init__(
            {
                "enable": In(1),
                "value": In(signed(bits)),
                "shift": In(shift_bits),
                "relu": In(1),
                "entry": Out(signed(ENTRY_BITS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        value, beyond, shift, relu = (
            Cat(Const(0, 1), self.value),
            Const(0, 1),
            self.shift,
            self.relu,
        )
        sign = self.value[-1]

        def register(name, *values):
            out = [Signal(len(v), name=f"{name}_{n}") for n, v in enumerate(values)]
            with m.If(self.enable):
                m.d.sync += [o.eq(v) for o, v in zip(out, values)]
            return out

        for level in reversed(range(self.shift_bits)):
            by, width = 1 << level, min(len(value), KEPT + (1 << level) - 1)
            all_of, dropped = (
                Signal(len(value), name=f"level_{level}"),
                Signal(name=f"dropped_{level}"),
            )
            moved = Cat(value[by:], sign.replicate(min(by, len(value))))
            m.d.comb += all_of.eq(Mux(shift[level], moved, value))
            if width < len(value):
                m.d.comb += dropped.eq(
                    beyond | (all_of[width - 1 :] != sign.replicate(len(value) - width + 1))
                )
                beyond = dropped
            value = all_of[:width]
        value, beyond, sign, relu = register("shifted", value, beyond, sign, relu)

        rounded = Signal(KEPT)
        over = Signal()
        top = rounded[ENTRY_BITS - 1 :]
        m.d.comb += [
            rounded.eq(Cat(value[1:], value[-1]) + value[0]),
            over.eq(beyond | (top.any() & ~top.all())),
        ]
        with m.If(self.enable):
            with m.If(relu & sign):
                m.d.sync += self.entry.eq(0)
            with m.Elif(over):
                m.d.sync += self.entry.eq(Cat((~sign).replicate(ENTRY_BITS - 1), sign))
            with m.Else():
                m.d.sync += self.entry.eq(rounded[:ENTRY_BITS])
        return m
