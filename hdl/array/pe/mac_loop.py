"""The order of a PE's MACs: p-innermost, a window after the other (JSSC 2017, fig. 12)."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.array.pe.mac.loop_counter import LoopCounter
from hdl.array.pe.mac.psum_index import PsumIndex
from hdl.array.words import PassHeader
from hdl.config import Config, bits_for
from hdl.timing import HAZARD


class MacLoop(wiring.Component):
    """All p filters on one entry, then the next entry of the window, then the next window. In a
    depthwise pass (docs/depthwise.md) entries are of `channels` channels in turn, with p filters
    and psums each.

    Members
    -------
    header, header_valid, load   the pass after this one; it is there; it begins
    filters, there, last_entry, final_entry, room   its filters are there; an entry of the window;
                                 it is the window's last, its channel's last; and a place for the
                                 sums of one slot
    issue, index, last_filter    a slot is done in this cycle: of which filter, or pair of them with
                                 config.simd = 2; it is the last one
    psum                         and which psum, or pair, it adds to: the index after those of the
                                 channels before
    single                       with config.simd = 2: the pair's second is padding
    take                         the place for its sums is taken: with an entry that is final
    entry_end, window_end, pass_end   in the last cycle of these
    last_position, last_channel  registers: the window is the last of a stream of entries, the entry
                                 is of the last channel
    active, bubble               a pass is under way; an entry's filters are done before its time

    A slot a cycle, without a gap between entries, windows and passes, but that an entry takes
    hdl.timing.HAZARD cycles or more: two slots on the same psum are that far apart, which is what
    Accumulator asks for. What ends a loop is known in a register before it is asked for: since an
    entry takes so long, comparisons of what changes with an entry or more seldom come in time.
    """

    def __init__(self, config: Config):
        self.config = config
        self.slots = config.psum_spad // config.simd  # of an entry, at most
        super().__init__(
            {
                "header": In(PassHeader),
                "header_valid": In(1),
                "load": Out(1),
                "filters": In(1),
                "there": In(1),
                "last_entry": In(1),
                "final_entry": In(1),
                "room": In(1),
                "issue": Out(1),
                "index": Out(range(max(self.slots, HAZARD))),
                "psum": Out(range(self.slots)),
                "single": Out(1),
                "last_filter": Out(1),
                "take": Out(1),
                "entry_end": Out(1),
                "window_end": Out(1),
                "pass_end": Out(1),
                "last_position": Out(1),
                "last_channel": Out(1),
                "active": Out(1),
                "bubble": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        index, active, bubble = self.index, self.active, self.bubble
        header_slots = self.header.p[self.config.simd - 1 : bits_for(self.config.psum_spad)]

        # What ends with this cycle, if it moves on. What it waits for comes last into each, so that
        # none lies behind another.
        able, moves, last_slot, last_lap = Signal(), Signal(), Signal(), Signal()
        of_entry, of_window, of_pass = Signal(), Signal(), Signal()
        m.d.comb += [
            able.eq(self.filters & self.there & (~self.final_entry | self.room)),
            moves.eq(able | bubble),
            of_entry.eq(active & last_slot),
            of_window.eq(active & last_slot & self.last_entry),
            of_pass.eq(active & last_slot & self.last_entry & self.last_position & last_lap),
            self.entry_end.eq(of_entry & moves),
            self.window_end.eq(of_window & moves),
            self.pass_end.eq(of_pass & moves),
            self.load.eq((of_pass & self.header_valid) & moves | (~active & self.header_valid)),
            self.issue.eq(active & ~bubble & able),
            self.take.eq(self.issue & self.final_entry),
        ]

        # The slots of an entry; bubbles after fewer than HAZARD, which is 3.
        few, two, odd = (Signal(reset_less=True, name=name) for name in ("few", "two", "odd"))
        near = Signal.like(index, reset_less=True)  # the last slot but one
        m.d.comb += [
            self.last_filter.eq(last_slot | (few & (index == two))),
            self.single.eq(odd & self.last_filter),
        ]
        with m.If(active & moves):
            m.d.sync += [
                index.eq(Mux(last_slot, 0, index + 1)),
                last_slot.eq(~last_slot & (index == near)),
                bubble.eq(~last_slot & (bubble | self.last_filter) & few),
            ]

        m.submodules.psum_index = psum_index = PsumIndex(self.config)
        m.d.comb += [
            psum_index.load.eq(self.load),
            psum_index.channels.eq(self.header.channels),
            psum_index.issue.eq(self.issue),
            psum_index.entry_end.eq(self.entry_end),
            self.psum.eq(psum_index.psum),
            self.last_channel.eq(psum_index.last_channel),
        ]

        # The windows of a stream, and the streams of a pass.
        positions, laps = Signal(16, reset_less=True), Signal(16, reset_less=True)
        m.submodules.position_loop = position_loop = LoopCounter(16)
        m.submodules.lap_loop = lap_loop = LoopCounter(16)
        m.d.comb += [
            position_loop.limit.eq(positions),
            position_loop.step.eq(self.window_end),
            self.last_position.eq(position_loop.last),
            lap_loop.limit.eq(laps),
            lap_loop.step.eq(self.window_end & self.last_position),
            last_lap.eq(lap_loop.last),
        ]
        # The cycle after a loop's last step, or after a new shape, is free for its load.
        m.d.sync += [
            position_loop.load.eq(self.load | (lap_loop.step & ~last_lap)),
            lap_loop.load.eq(self.load),
        ]

        # Passes.
        with m.If(self.pass_end):
            m.d.sync += active.eq(0)
        with m.If(self.load):
            m.d.sync += [
                active.eq(1),
                positions.eq(self.header.positions),
                laps.eq(self.header.laps),
                few.eq(header_slots < HAZARD),
                two.eq(header_slots[1]),
                odd.eq(self.header.p & (self.config.simd - 1)),
                near.eq(Mux(header_slots < HAZARD, HAZARD, header_slots) - 2),
            ]
        return m
