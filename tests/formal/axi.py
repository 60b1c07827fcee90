"""What is asked of the components of hdl/lib/axi.py, as tests/formal/harness.py asks of streams."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value

from hdl.lib.axi import REQUEST_WORDS, BurstSplitter, Request, Window
from hdl.timing import BURST
from tests.formal.harness import Harness

PAGE = 4096 // 8  # words


def stable(harness: Harness, m: Module, sink) -> Value:
    """Asks that a word at `sink` stays, and stays the same, until it is taken; that it is."""
    waits, word = Signal(), Signal(len(Value.cast(sink.payload)))
    moves = sink.valid & sink.ready
    m.d.sync += [waits.eq(sink.valid & ~sink.ready), word.eq(sink.payload)]
    m.d.comb += [
        harness.bad_stable.eq(waits & (~sink.valid | (Value.cast(sink.payload) != word))),
        harness.cover_stable.eq(waits & moves),
    ]
    return moves


class SplitterHarness(Harness):
    """Of a BurstSplitter, whose requests begin at whole words:

    covers  a burst begins where the one before ended, the first of a request at its address, and
            together they have its words; no request is taken before the last one's last burst
    fits    a burst has 64 beats at most, does not leave its page, and is as long as that allows
    marks   `last` is up in the last burst of a request that has it, `tag` as the request's
    moves   a burst shows from the cycle after its request or the burst before, room with the last
            burst's leaving and while there is none, when `idle` is up
    stable  a burst stays, and stays the same, until it is taken
    """

    def __init__(self, part: BurstSplitter):
        self.bits = part.address - 3
        free = dict(at=self.bits, words=REQUEST_WORDS, last=1, tag=1, valid=1, ready=1)
        super().__init__(part, free, ("covers", "fits", "marks", "moves", "stable"))

    def elaborate(self, platform):
        m = Module()
        m.submodules.part = part = self.part
        request, burst = part.request, part.burst
        push, pop = Signal(), stable(self, m, burst)
        m.d.comb += [
            request.valid.eq(self.free_valid),
            request.p.address.eq(self.free_at << 3),
            request.p.words.eq(self.free_words),
            request.p.last.eq(self.free_last),
            request.p.tag.eq(self.free_tag),
            burst.ready.eq(self.free_ready),
            push.eq(request.valid & request.ready),
        ]

        # Of the request under way: the next word, and the words from it on.
        at, left, last, tag = Signal(self.bits), Signal(REQUEST_WORDS), Signal(), Signal()
        some, beats, room, ends = Signal(), Signal(9), Signal(range(PAGE + 1)), Signal()
        m.d.comb += [
            beats.eq(burst.p.length + 1),
            room.eq(Mux(at[:9] > PAGE - BURST, PAGE - at[:9], BURST)),
            ends.eq(~some | (left <= room)),
        ]
        with m.If(push | pop):
            m.d.sync += [
                at.eq(self.free_at),
                left.eq(self.free_words),
                some.eq(push & self.free_words.any()),
            ]
            with m.If(~ends):
                m.d.sync += [at.eq(at + beats), left.eq(left - beats), some.eq(1)]
        with m.If(push):
            m.d.sync += [last.eq(self.free_last), tag.eq(self.free_tag)]

        # A request of several bursts, the first of which is short.
        short = self.seen(m, "short", pop & (beats < BURST) & ~ends)
        crossed = self.seen(m, "crossed", pop & short & (beats == BURST) & ~ends)
        shows = burst.valid
        m.d.comb += [
            self.bad_covers.eq(
                shows & ((burst.p.address != at << 3) | (beats > left))
                | (push & some & ~(pop & ends))
            ),
            self.cover_covers.eq(pop & crossed & ends),
            self.bad_fits.eq(shows & (beats != Mux(ends, left, room))),
            self.cover_fits.eq(pop & crossed & (beats < BURST)),
            self.bad_marks.eq(
                shows & ((burst.p.tag != tag) | (burst.p.last != (last & (beats == left))))
            ),
            self.cover_marks.eq(pop & short & burst.p.last & burst.p.tag),
            self.bad_moves.eq(
                (shows != some)
                | (part.idle != ~some)
                | (request.ready != (~some | (ends & burst.ready)))
            ),
            self.cover_moves.eq(self.seen(m, "both", push & pop) & part.idle),
        ]
        return m


class WindowHarness(Harness):
    """Of a Window, whose `base` and `limit` stay as they are from the first range on:

    order   the n-th request that leaves is that of the n-th range that entered, for every n, and
            its range is inside
    stops   no more leave than entered before the first range outside, and `outside` is up when
            these have left, not before; one range more is taken at most
    moves   a request shows, or `outside`, in the second cycle after its range if none is before;
            there is room while less than two are inside; `idle` tells that nothing is
    stable  a request stays, and stays the same, until it is taken
    """

    def __init__(self, part: Window):
        self.bits = part.address
        free = dict(base=self.bits, limit=self.bits, begin=self.bits, bytes=self.bits)
        free |= dict(request=Request.as_shape().size, valid=1, ready=1, pick=1)
        super().__init__(part, free, ("order", "stops", "moves", "stable"))

    def elaborate(self, platform):
        m = Module()
        m.submodules.part = part = self.part
        check, request = part.check, part.request
        push, pop = Signal(), stable(self, m, request)

        base, limit, begun = Signal(self.bits), Signal(self.bits), Signal()
        with m.If(~begun):
            m.d.sync += [base.eq(self.free_base), limit.eq(self.free_limit), begun.eq(1)]
        m.d.comb += [
            part.base.eq(base),
            part.limit.eq(limit),
            check.valid.eq(self.free_valid & begun),
            check.p.begin.eq(self.free_begin),
            check.p.bytes.eq(self.free_bytes),
            check.p.request.eq(self.free_request),
            request.ready.eq(self.free_ready),
            push.eq(check.valid & check.ready),
        ]

        # Of the ranges: those inside that are to leave, and whether one outside came, and after it.
        fits, inside, stopped, after = Signal(), Signal(2), Signal(), Signal()
        end = self.free_begin + self.free_bytes
        m.d.comb += fits.eq((self.free_begin >= base) & (end <= limit))
        m.d.sync += inside.eq(inside + (push & fits & ~stopped) - pop)
        with m.If(push):
            m.d.sync += [stopped.eq(stopped | ~fits), after.eq(stopped)]

        # One that the engine picks is followed.
        follows, value, before = Signal(), Signal(Request), Signal(2)
        with m.If(push & fits & ~stopped & self.free_pick & ~follows):
            m.d.sync += [follows.eq(1), value.eq(self.free_request), before.eq(inside - pop)]
        with m.Elif(pop & (before == 0)):
            m.d.sync += follows.eq(0)
        with m.Elif(pop):
            m.d.sync += before.eq(before - 1)
        leaves = pop & follows & (before == 0)

        hidden = Signal()  # something was there in the last cycle, and nothing showed
        there = (inside != 0) | (stopped & ~part.outside)
        m.d.sync += hidden.eq(there & ~request.valid)
        full = self.seen(m, "full", inside == 2)
        m.d.comb += [
            self.bad_order.eq(
                (leaves & (Value.cast(request.payload) != Value.cast(value)))
                | (request.valid & (inside == 0))
            ),
            self.cover_order.eq(leaves & full & (inside == 1)),
            self.bad_stops.eq(
                (part.outside & (~stopped | (inside != 0))) | (push & (part.outside | after))
            ),
            self.cover_stops.eq(full & part.outside & after),
            self.bad_moves.eq(
                (hidden & there & ~request.valid)
                | (~stopped & ~check.ready & ((inside < 2) | pop))
                | (part.idle == there)
            ),
            self.cover_moves.eq(full & part.outside & part.idle),
        ]
        return m
