"""Where a burst is."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.memory.sdram.words import PAGE
from hdl.lib.axi import Burst


class BurstTracker(wiring.Component):
    """A burst of words of 64 bits, one at a time.

    Members: `address`, in stream of Burst, ready while none is under way; `busy`, one is; `at`, the
    address of its next word, in words of `bits`; `last`, that is its last one, a cycle after `at`;
    `bad`, the burst begins beyond the memory or crosses 4 KiB; `step`, the word has been moved, and
    if it `ends` the burst the next may come, a cycle later. All outputs are registers.
    """

    def __init__(self, bits: int):
        self.bits = bits
        super().__init__(
            {
                "address": In(stream.Signature(Burst)),
                "busy": Out(1),
                "at": Out(bits),
                "last": Out(1),
                "bad": Out(1),
                "step": In(1),
                "ends": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        word = self.address.p.address[3:]
        end, over, beyond = Signal(PAGE), Signal(), Signal()
        m.d.comb += [self.address.ready.eq(~self.busy), self.bad.eq(beyond | over)]
        m.d.sync += self.last.eq(self.at[:PAGE] == end)

        with m.If(~self.busy):
            m.d.sync += [
                self.busy.eq(self.address.valid),
                self.at.eq(word),
                Cat(end, over).eq(word[:PAGE] + self.address.p.length),
                beyond.eq(word[self.bits :].any()),
            ]
        with m.Elif(self.step):
            m.d.sync += [self.busy.eq(~self.ends), self.at[:PAGE].eq(self.at[:PAGE] + 1)]
        return m
