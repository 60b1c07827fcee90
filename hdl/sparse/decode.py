"""Entries of words to rows: a real entry a cycle, paddings folded into it."""

from collections.abc import Iterable, Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, Config, bits_for
from hdl.lib.arithmetic.select_adder import SelectAdder
from hdl.sparse.words import WORD_ENTRIES, word_layout


def count(bits: Sequence[Value]) -> Value:
    """How many of eight bits are set, in full adders: carry chains of two bits would be longer."""

    def full(a, b, c):
        return a ^ b ^ c, (a & b) | (a & c) | (b & c)

    one, two = zip(full(*bits[0:3]), full(*bits[3:6]), (bits[6] ^ bits[7], bits[6] & bits[7]))
    low, carry = full(*one)
    a, b = full(*two)
    second, third = a ^ carry, a & carry
    return Cat(low, second, b ^ third, b & third)


def many(bits: Value) -> Value:
    """More than one of eight bits is set."""
    low, high = bits[:4], bits[4:]

    def two(b):
        return (b[0] & b[1]) | (b[2] & b[3]) | ((b[0] | b[1]) & (b[2] | b[3]))

    return two(low) | two(high) | (low.any() & high.any())


class EntryDecoder(wiring.Component):
    """Members: `word`, stream of word_layout; `valid`, `row`, `index`, `value`: a
    multiply-accumulate; `error`, stays until reset: a row that is not there was met, and nothing
    more is valid; `passed`, a pulse: a mark has gone through without one; `empty`, nothing is
    inside; `padding`, paddings met.

    A real entry a cycle, or a word without; latency 5 cycles. Which lane is next is a register,
    found as the one before is taken. A column's row is an adder behind that: the zeros before an
    entry and sixteen for a padding are one number.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "word": In(stream.Signature(word_layout())),
                "valid": Out(1),
                "row": Out(range(config.sparse_rows)),
                "index": Out(4),
                "value": Out(signed(ENTRY_BITS)),
                "error": In(1),
                "outside": Out(1),
                "passed": Out(1),
                "empty": Out(1),
                "padding": Out(4),
            }
        )

    def elaborate(self, platform):
        m = Module()
        rows = self.config.sparse_rows

        # ---- the word, and the one behind it --------------------------------------------
        behind, behind_valid = Signal(word_layout()), Signal()
        word, valid = Signal(word_layout()), Signal()  # `real` and `padding`: those left
        free = Signal(init=1)  # the word's last step, or none is there
        # the lane next, one-hot, and those before it
        first_real, before = Signal(WORD_ENTRIES), Signal(WORD_ENTRIES)
        more, some = Signal(), Signal()  # lanes behind that; any
        real, rest = Signal(WORD_ENTRIES), Signal(WORD_ENTRIES)
        takes = Signal()
        m.d.comb += [
            takes.eq(~behind_valid | free),
            self.word.ready.eq(takes),
            real.eq(Mux(free, behind.real, rest)),
        ]
        with m.If(takes):
            m.d.sync += [behind_valid.eq(self.word.valid), behind.eq(self.word.payload)]
        with m.If(free):
            m.d.sync += [
                valid.eq(behind_valid),
                word.data.eq(behind.data),
                word.padding.eq(behind.padding),
                word.first.eq(behind.first),
                word.mark.eq(behind.mark),
                word.value.eq(behind.value),
            ]
        with m.Else():
            m.d.sync += [word.padding.eq(word.padding & ~before), word.first.eq(0)]
        halves = real[:4], real[4:]
        following = Signal()
        m.d.comb += [
            rest.eq(word.real & ~first_real),
            following.eq(Mux(free, behind_valid & behind.many, many(rest))),
        ]
        m.d.sync += [
            word.real.eq(real),
            more.eq(following),
            some.eq(real.any()),
            free.eq(~following),
        ]
        # Each half by itself, and kept so: as one chain of lanes this would be the longest path.
        low, local, local_before = (
            Signal(w, name=n, attrs={"keep": "1"})
            for n, w in (("low", 1), ("local", WORD_ENTRIES), ("local_before", WORD_ENTRIES))
        )
        m.d.comb += low.eq(halves[0].any())
        for n in range(WORD_ENTRIES):
            first = n // 4 * 4
            m.d.comb += [
                local[n].eq(real[n] & ~real[first:n].any() if n > first else real[n]),
                local_before[n].eq(~real[first : n + 1].any()),
            ]
            m.d.sync += [
                first_real[n].eq(local[n] & ~low if first else local[n]),
                before[n].eq(local_before[n] & ~low if first else local_before[n]),
            ]

        # ---- the entry, and the paddings around it --------------------------------------
        part = Signal(
            data.StructLayout(
                {
                    "valid": 1,
                    "some": 1,
                    "first": 1,
                    "mark": 1,
                    "index": 4,
                    "zeros": 4,
                    "before": 4,
                    "after": 3,
                    "value": signed(ENTRY_BITS),
                }
            )
        )
        entry = Signal(8)
        m.d.comb += entry.eq(
            sum_or(
                word.data.word_select(n, 8) & first_real[n].replicate(8)
                for n in range(WORD_ENTRIES)
            )
        )
        m.d.sync += [
            part.valid.eq(valid),
            part.some.eq(some),
            part.first.eq(word.first),
            part.mark.eq(word.mark & valid),
            part.index.eq(entry[:4]),
            part.zeros.eq(entry[4:]),
            part.value.eq(word.value),
            part.before.eq(count([word.padding[n] & before[n] for n in range(WORD_ENTRIES)])),
            part.after.eq(
                count([word.padding[n] & ~before[n] & ~more for n in range(WORD_ENTRIES)])
            ),
        ]

        # ---- its row: `then` is the row behind all that has been met of the column -------
        bits = bits_for(rows + 8 * 16 + 16)  # never wraps within a word
        then, row = Signal(bits), Signal(bits)
        m.submodules.adder = adder = SelectAdder(bits)
        step = Signal(
            data.StructLayout(
                {"valid": 1, "some": 1, "mark": 1, "index": 4, "value": signed(ENTRY_BITS)}
            )
        )
        m.d.comb += [
            adder.own.eq(Cat(part.zeros, part.before)),
            adder.one.eq(0),
            adder.other.eq(then),
            adder.select.eq(part.first),
        ]
        m.d.sync += [
            step.valid.eq(part.valid),
            step.some.eq(part.some),
            step.mark.eq(part.mark),
            step.index.eq(part.index),
            step.value.eq(part.value),
            row.eq(adder.total),
        ]
        with m.If(part.valid):
            m.d.sync += then.eq(
                adder.total
                + Cat(part.some, part.first & 0, part.first & 0, part.first & 0, part.after)
            )
        m.d.comb += [
            self.outside.eq(step.valid & (then > rows)),
            self.passed.eq(step.mark & ~self.error),
        ]
        m.d.sync += [
            self.valid.eq(step.valid & step.some & ~self.outside & ~self.error),
            self.row.eq(row),
            self.index.eq(step.index),
            self.value.eq(step.value),
        ]
        m.d.comb += [
            self.empty.eq(~(behind_valid | valid | part.valid | step.valid | self.valid)),
            self.padding.eq(Mux(part.valid, part.before + part.after, 0)),
        ]
        return m


def sum_or(terms: Iterable[Value]) -> Value | int:
    """OR of all."""
    out = 0
    for term in terms:
        out = term | out
    return out
