"""Processing element: spads, zero gating, p-innermost MAC pipeline (JSSC 2017, fig. 12)."""

from amaranth.hdl import Cat, Module, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.array.pe.accumulator import Accumulator
from hdl.array.pe.drain import Drain
from hdl.array.pe.filter_spad import FilterSpad
from hdl.array.pe.ifmap_window import IfmapWindow
from hdl.array.pe.mac_loop import MacLoop
from hdl.array.pe.state import PeState
from hdl.array.pe.tag_match import TagMatch
from hdl.array.words import (
    EVENTS,
    filter_bus_word,
    ifmap_bus_word,
    ofmap_bus_word,
    psum_bus_word,
    tag_layout,
)
from hdl.config import Config
from hdl.lib.marks import PE, mark_module


class ProcessingElement(wiring.Component):
    """One PE of the chain.

    Members
    -------
    shift, tags_in, tags_out   the configuration chain: while `shift` is high the tags move
    gate                       zero activations hold the multiplier (same results and cycles)
    skip                       zero activations are not stored and cost no MAC
    <net>_word, <net>_fire, <net>_accept   for ifmap, filter, psum: the row offers the word
                 to all its PEs; `accept` is high when the word is not for this PE or there
                 is room; `fire` (only with `accept`, once a word) moves it
    <net>_next, <net>_load     <net>_word in the next cycle if `load`, so that
                 the tag's comparison ends in a register before the word is offered; the tags hold
                 from then on
    chain_in, chain_out        psums from the PE before and to the one after; two are held behind
                               the adder
    ofmap                      finished psums of a tail, towards the output network
    events                     one bit per name of EVENTS

    For a window of `window` = q*S entries it issues window * max(p, HAZARD) MACs slots, one
    a cycle: all p filters on one entry, then the next entry, so that successive MACs touch
    different psums. An entry of the first `step` columns is freed as soon as the last
    filter has used it, so loading overlaps computing even when q*S fills the spad. The
    p sums leave through a buffer of their own, where the predecessor's psums are added;
    that costs no MAC cycles unless the buffer is full.

    With `skip` the spad holds non-zero entries and their places in the stream, so a window
    takes max(1, non-zero entries) * max(p, HAZARD) slots: one without any hands over zeros.
    An entry is issued once it is known whether another of its window follows.

    Throughput: one MAC a cycle without bubbles between windows and passes while operands
    are there and p >= HAZARD. Latency: DEPTH cycles from issue to sum, 2 more to chain_out.

    With config.simd = 2 a slot is two MACs, of an entry and two filters (Eyeriss v2, JETCAS 2019,
    IV: SIMD): a row of the filter spad has both filters' words, and there are two multipliers and
    psum spads; HAZARD and rates count slots, p / 2 an entry, and so do events. Networks and the
    chain carry the same words: the drain buffer gives the two sums one by one.

    In a depthwise pass (docs/depthwise.md) entries are of `channels` channels in turn, each with p
    filters and p sums of its own.

    With one input lane (`input_lanes`) an entry goes from its bus into the spad, and a header comes
    16 bits at a time. With one psum lane (`psum_lanes`) a head adds the psum that its bus offers
    and accepts it by doing so, and a tail's sums go to `ofmap` one by one as they would go to the
    next PE. With four a head has a FIFO of words and a tail gathers them.

    place: of the PE in the chain, which marks its block RAM and multipliers (hdl/lib/marks.py) and
    changes nothing else.
    """

    def __init__(self, config: Config, place: int = 0):
        self.config, self._place = config, place
        psum = signed(config.psum_bits)
        tags = tag_layout(config)
        ports = {
            "shift": In(1),
            "tags_in": In(tags),
            "tags_out": Out(tags),
            "gate": In(1),
            "skip": In(1),
            "chain_in": In(stream.Signature(psum)),
            "chain_out": Out(stream.Signature(psum)),
            "ofmap": Out(stream.Signature(ofmap_bus_word(config))),
            "events": Out(len(EVENTS)),
        }
        for net, layout in (
            ("ifmap", ifmap_bus_word),
            ("filter", filter_bus_word),
            ("psum", psum_bus_word),
        ):
            ports |= {
                f"{net}_word": In(layout(config)),
                f"{net}_fire": In(1),
                f"{net}_accept": Out(1),
                f"{net}_next": In(layout(config)),
                f"{net}_load": In(1),
            }
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        c, tags = self.config, self.tags_out
        m.submodules.loop = loop = MacLoop(c)
        m.submodules.filters = filters = FilterSpad(c, self._place)
        m.submodules.ifmap_window = window = IfmapWindow(c)
        m.submodules.accumulator = accumulator = Accumulator(c, self._place)
        m.submodules.drain = drain = Drain(c)
        m.submodules.match = match = TagMatch(c)

        # The buses. Whether a word is for this PE is found a cycle before it is offered.
        m.d.comb += [
            Cat(match.shift, match.tags_in).eq(Cat(self.shift, self.tags_in)),
            tags.eq(match.tags),
        ]
        for net, part in (("ifmap", window), ("filter", filters), ("psum", drain)):
            m.d.comb += [
                getattr(match, f"{net}_next").eq(getattr(self, f"{net}_next")),
                getattr(match, f"{net}_load").eq(getattr(self, f"{net}_load")),
                part.word.eq(getattr(self, f"{net}_word")),
                part.match.eq(getattr(match, f"{net}_match")),
                part.fire.eq(getattr(self, f"{net}_fire")),
                getattr(self, f"{net}_accept").eq(part.accept),
            ]

        # Which entry meets which filter.
        m.d.comb += [
            loop.header.eq(window.header),
            loop.header_valid.eq(window.header_valid),
            loop.filters.eq(filters.some),
            loop.there.eq(window.there),
            loop.last_entry.eq(window.last),
            loop.final_entry.eq(window.final),
            loop.room.eq(drain.room),
            window.skip.eq(self.skip),
        ]
        for name in ("load", "entry_end", "window_end", "last_position", "last_channel"):
            m.d.comb += getattr(window, name).eq(getattr(loop, name))
        for name in ("issue", "window_end", "pass_end", "load", "index"):
            m.d.comb += getattr(filters, name).eq(getattr(loop, name))
        m.d.comb += [
            filters.p.eq(window.header.p),
            filters.entry.eq(window.index),
            filters.skip.eq(self.skip),
        ]

        # Sums, and the way out.
        slot = accumulator.slot
        m.d.comb += [
            accumulator.issue.eq(loop.issue),
            Cat(slot.first, slot.final).eq(Cat(window.first, window.final)),
            slot.last.eq(loop.last_filter & window.last),
            Cat(slot.single, slot.index).eq(Cat(loop.single, loop.psum)),
            accumulator.entry.eq(window.entry),
            accumulator.hold.eq(self.gate | self.skip),
            accumulator.weights.eq(filters.weights),
            drain.take.eq(loop.take),
            drain.write.eq(accumulator.done),
            drain.sums.eq(accumulator.sums),
            Cat(drain.last, drain.single).eq(Cat(accumulator.last, accumulator.single)),
            Cat(drain.head, drain.tail).eq(Cat(tags.head, tags.tail)),
        ]
        wiring.connect(m, wiring.flipped(self.chain_in), drain.chain_in)
        wiring.connect(m, drain.chain_out, wiring.flipped(self.chain_out))
        wiring.connect(m, drain.ofmap, wiring.flipped(self.ofmap))

        # What it does, or waits for.
        if c.counters:
            m.submodules.state = state = PeState()
            moves = Cat(loop.active, loop.bubble, loop.issue)
            m.d.comb += [
                Cat(state.active, state.bubble, state.issue).eq(moves),
                Cat(state.filters, state.there).eq(Cat(filters.some, window.there)),
                state.gated.eq(accumulator.gated),
                self.events.eq(state.events),
            ]
        mark_module(m, platform, PE)
        return m
