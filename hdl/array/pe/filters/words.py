"""Filters that come in words of four entries, on their way into a PE's spad."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.array.words import filter_bus_word
from hdl.config import ENTRY_BITS, WORD_BITS, Config
from hdl.lib.arithmetic.lane_mux import LaneMux


def intake_ports(config: Config) -> dict[str, wiring.Member]:
    """What every intake of filters has.

    word, take   what the bus offers; it moves, only while `ends`
    write, row   a row of the spad is to be written, an entry for each of config.simd filters
    closes       register: it is a half's last
    ends         register: nothing follows it of the words taken, so that one may come
    """
    return {
        "word": In(filter_bus_word(config)),
        "take": In(1),
        "write": Out(1),
        "row": Out(ENTRY_BITS * config.simd),
        "closes": Out(1),
        "ends": Out(1, init=1),
    }


class FilterWords(wiring.Component):
    """Words of up to four entries -> an entry a cycle, a row each.

    Members: `intake_ports`. Latency one cycle; words follow each other without a gap.
    """

    def __init__(self, config: Config):
        super().__init__(intake_ports(config))

    def elaborate(self, platform):
        m = Module()
        word, final = Signal(WORD_BITS, reset_less=True), Signal()  # final: it closes the half
        lane, left = Signal(2), Signal(3)  # the next entry to be written; how many are

        m.submodules.mux = mux = LaneMux()
        m.d.comb += [
            mux.word.eq(word),
            mux.lane.eq(lane),
            self.row.eq(mux.entry),
            self.write.eq(left != 0),
        ]

        with m.If(left != 0):
            m.d.sync += [
                lane.eq(lane + 1),
                left.eq(left - 1),
                self.ends.eq(left <= 2),
                self.closes.eq((left == 2) & final),
            ]
        with m.If(self.take):
            m.d.sync += [
                word.eq(self.word.data),
                final.eq(self.word.last),
                lane.eq(0),
                left.eq(self.word.count),
                self.ends.eq(self.word.count <= 1),
                self.closes.eq((self.word.count == 1) & self.word.last),
            ]
        return m
