"""The chosen entry of a word, and the paddings around it."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.sparse.words import WORD_ENTRIES, choice_layout, step_layout


def count(bits: Sequence[Value]) -> Value:
    """How many of eight bits are set, in full adders: carry chains of two bits would be longer."""

    def full(a, b, c):
        return a ^ b ^ c, (a & b) | (a & c) | (b & c)

    one, two = zip(full(*bits[0:3]), full(*bits[3:6]), (bits[6] ^ bits[7], bits[6] & bits[7]))
    low, carry = full(*one)
    a, b = full(*two)
    second, third = a ^ carry, a & carry
    return Cat(low, second, b ^ third, b & third)


class EntryPick(wiring.Component):
    """Members: `choice`, stream of choice_layout, and `step`, stream of step_layout; neither waits.

    A choice a cycle; latency one cycle.
    """

    def __init__(self):
        super().__init__(
            {
                "choice": In(stream.Signature(choice_layout(), always_ready=True)),
                "step": Out(stream.Signature(step_layout(), always_ready=True)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        choice, step = self.choice.p, self.step.p

        # The entry: its index, and the zeros before it.
        picked = 0
        for n in range(WORD_ENTRIES):
            picked = (choice.data.word_select(n, 8) & choice.chosen[n].replicate(8)) | picked
        entry = Signal(8)
        m.d.comb += entry.eq(picked)

        # Paddings before it; after it only those that end a word, else they are before the next.
        before = [choice.padding[n] & choice.before[n] for n in range(WORD_ENTRIES)]
        after = [choice.padding[n] & ~choice.before[n] & ~choice.more for n in range(WORD_ENTRIES)]
        m.d.sync += [
            self.step.valid.eq(self.choice.valid),
            step.some.eq(choice.some),
            step.first.eq(choice.first),
            step.mark.eq(choice.mark & self.choice.valid),
            step.index.eq(entry[:4]),
            step.zeros.eq(entry[4:]),
            step.value.eq(choice.value),
            step.before.eq(count(before)),
            step.after.eq(count(after)),
        ]
        return m
