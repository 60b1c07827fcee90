"""The lengths of coded strips, on their way into the table."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.axi import ADDRESS, Range
from hdl.memory.words import LENGTH, PackedWord, Slot


class LengthWord(wiring.Component):
    """Gathers the lengths that lie next to each other in a 64-bit word of the table.

    Members: `add`, a pulse: `length` is that of the strip in `slot`, which goes into the word under
    way; `clear`, a pulse: that has been written; `some`: it holds lengths; `full`: no further one
    goes there after that of `slot`; `word` and `range`, to be written, a cycle after `add`.
    """

    add: In(1)
    length: In(LENGTH)
    slot: In(Slot)
    clear: In(1)
    some: Out(1)
    full: Out(1)
    word: Out(PackedWord)
    range: Out(Range)

    def elaborate(self, platform):
        m = Module()
        slot, request = self.slot, self.range.request
        mask, number = Signal(4), Signal(range(5))  # lengths in the word
        after, last = Signal(ADDRESS), Signal()  # the last of them

        # One more.
        lane = slot.table[1:3]
        with m.If(self.clear):
            m.d.sync += [mask.eq(0), number.eq(0), last.eq(0)]
        with m.Elif(self.add):
            m.d.sync += [
                mask.eq(mask | (1 << lane)),
                self.word.data.word_select(lane, LENGTH).eq(self.length),
                after.eq(slot.table + 2),
                number.eq(number + 1),
                last.eq(slot.last),
            ]

        # What is written.
        m.d.comb += [
            self.some.eq(number != 0),
            self.full.eq((lane == 3) | slot.last),
            self.word.strobe.eq(Cat(bit.replicate(2) for bit in mask)),
            self.range.begin.eq(after - (number << 1)),
            self.range.bytes.eq(number << 1),
            request.address.eq((after - 2)[:ADDRESS] & ~7),
            request.words.eq(1),
            request.last.eq(last),
        ]
        return m
