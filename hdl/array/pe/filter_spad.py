"""A PE's filters: two halves, of which one fills while the other is used (JSSC 2017, fig. 12)."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.array.pe.filters.address import FilterAddress, walk_ports
from hdl.array.pe.filters.entries import FilterEntries
from hdl.array.pe.filters.skipping_address import SkippingFilterAddress
from hdl.array.pe.filters.words import FilterWords
from hdl.array.words import filter_bus_word
from hdl.config import ENTRY_BITS, Config
from hdl.lib.block_ram import BlockRam, WideBlockRam
from hdl.lib.marks import FILTERS


class FilterSpad(wiring.Component):
    """`config.filter_half` entries twice, as rows of config.simd.

    Members
    -------
    word, match, fire, accept  the bus: what it offers; register: that is for this PE; it moves;
                               not for this PE, or there is room
    some                       a half is filled, and its pass has not ended
    issue, window_end, pass_end, load, p, index, entry, skip   what is read (filters/address.py)
    weights                    and, two cycles after `issue`, its row

    One entry a cycle goes in, a row a cycle comes out. The halves begin at 0 and at
    filter_half / simd, are filled and released in turns, and hold the pass from their `last` entry
    on. place: of the PE in the chain, which marks the block RAM (hdl/lib/marks.py).
    """

    def __init__(self, config: Config, place: int = 0):
        self.config, self._place = config, place
        self.rows = config.filter_half // config.simd  # of a half
        super().__init__(
            {
                "word": In(filter_bus_word(config)),
                "match": In(1),
                "fire": In(1),
                "accept": Out(1),
                "some": Out(1),
                "weights": Out(ENTRY_BITS * config.simd),
            }
            | walk_ports(config)
        )

    def elaborate(self, platform):
        m = Module()
        c = self.config
        m.submodules.intake = intake = (FilterEntries if c.input_lanes == 1 else FilterWords)(c)
        ram_of = {1: BlockRam, 2: WideBlockRam}[c.simd]
        m.submodules.memory = memory = ram_of(2 * self.rows, {FILTERS: self._place})

        # What comes goes into the half being filled.
        second, address = Signal(), Signal(range(2 * self.rows))  # that half; the next row
        both = Signal()  # halves are filled
        m.d.comb += [
            intake.word.eq(self.word),
            intake.take.eq(self.fire & self.match),
            self.accept.eq(~self.match | (~both & ~(self.some & intake.closes) & intake.ends)),
            memory.write.en.eq(intake.write),
            memory.write.addr.eq(address),
            memory.write.data.eq(intake.row),
        ]
        with m.If(intake.write):
            m.d.sync += address.eq(address + 1)
        with m.If(intake.closes):
            m.d.sync += [second.eq(~second), address.eq(Mux(second, 0, self.rows))]

        # Halves filled and not yet released.
        with m.If(intake.closes & ~self.pass_end):
            m.d.sync += [self.some.eq(1), both.eq(self.some)]
        with m.Elif(self.pass_end & ~intake.closes):
            m.d.sync += [self.some.eq(both), both.eq(0)]

        # What is read.
        m.submodules.address = address = (SkippingFilterAddress if c.skip else FilterAddress)(c)
        for name in walk_ports(c):
            m.d.comb += getattr(address, name).eq(getattr(self, name))
        m.d.comb += [
            memory.read.en.eq(1),
            memory.read.addr.eq(address.address),
            self.weights.eq(memory.read.data),
        ]
        return m
