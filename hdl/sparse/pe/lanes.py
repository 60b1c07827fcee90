"""The real entries of a word, one after the other."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.sparse.pe.word_queue import many
from hdl.sparse.words import WORD_ENTRIES, choice_layout, word_layout


class LaneChooser(wiring.Component):
    """Members: `word`, stream of word_layout; `choice`, stream of choice_layout that never waits;
    `busy`, a word is inside.

    A real entry a cycle, or a word without; latency two cycles. Which lane is next is a register,
    found as the one before is taken.
    """

    def __init__(self):
        super().__init__(
            {
                "word": In(stream.Signature(word_layout())),
                "choice": Out(stream.Signature(choice_layout(), always_ready=True)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        choice, valid = self.choice.p, self.choice.valid

        # The word after the one whose entries are chosen.
        free = Signal(init=1)  # the chosen is its word's last, or none is there
        behind, behind_valid, takes = Signal(word_layout()), Signal(), Signal()
        m.d.comb += [
            takes.eq(~behind_valid | free),
            self.word.ready.eq(takes),
            self.busy.eq(behind_valid | valid),
        ]
        with m.If(takes):
            m.d.sync += [behind_valid.eq(self.word.valid), behind.eq(self.word.payload)]

        # The word itself; of `real` and `padding` those that are left.
        with m.If(free):
            m.d.sync += [
                valid.eq(behind_valid),
                choice.data.eq(behind.data),
                choice.padding.eq(behind.padding),
                choice.first.eq(behind.first),
                choice.mark.eq(behind.mark),
                choice.value.eq(behind.value),
            ]
        with m.Else():
            m.d.sync += [choice.padding.eq(choice.padding & ~choice.before), choice.first.eq(0)]

        # Whether there are more.
        real, left, rest, more = (
            Signal(width, name=name)
            for name, width in (
                ("real", WORD_ENTRIES),
                ("left", WORD_ENTRIES),
                ("rest", WORD_ENTRIES),
                ("more", 1),
            )
        )
        m.d.comb += [
            rest.eq(left & ~choice.chosen),
            real.eq(Mux(free, behind.real, rest)),
            more.eq(Mux(free, behind_valid & behind.many, many(rest))),
        ]
        m.d.sync += [
            left.eq(real),
            choice.more.eq(more),
            choice.some.eq(real.any()),
            free.eq(~more),
        ]

        # The first. Each half by itself, and kept so: as one chain this would be the longest path.
        low, local, local_before = (
            Signal(width, name=name, attrs={"keep": "1"})
            for name, width in (("low", 1), ("local", WORD_ENTRIES), ("local_before", WORD_ENTRIES))
        )
        m.d.comb += low.eq(real[: WORD_ENTRIES // 2].any())
        for n in range(WORD_ENTRIES):
            first = n // 4 * 4
            m.d.comb += [
                local[n].eq(real[n] & ~real[first:n].any() if n > first else real[n]),
                local_before[n].eq(~real[first : n + 1].any()),
            ]
            m.d.sync += [
                choice.chosen[n].eq(local[n] & ~low if first else local[n]),
                choice.before[n].eq(local_before[n] & ~low if first else local_before[n]),
            ]
        return m
