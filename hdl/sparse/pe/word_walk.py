"""The words of weights that a column's entries lie in."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.sparse.words import bounds_layout, place_layout


class WordWalk(wiring.Component):
    """Members: `bounds`, stream of bounds_layout, of columns that have entries; `place`, stream of
    place_layout: the address of each word and which of its lanes are the column's.

    A word a cycle, also from one column to the next; latency one cycle.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "bounds": In(stream.Signature(bounds_layout(config))),
                "place": Out(stream.Signature(place_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bounds, place = self.bounds.p, self.place.p
        valid, address, last, high = self.place.valid, place.address, Signal(), Signal(3)
        m.d.comb += [
            self.bounds.ready.eq(~valid | (self.place.ready & last)),
            place.lanes.high.eq(high),
            place.lanes.until.eq(last & (high != 0)),
        ]

        # The last word: that of the last entry.
        final, known, following = (Signal.like(address, name=n) for n in ("final", "known", "next"))
        m.d.comb += [
            final.eq(bounds.end[3:] - (bounds.end[:3] == 0)),
            following.eq(address + 1),
        ]

        # A column's first word, or the next.
        with m.If(self.bounds.ready):
            m.d.sync += [
                valid.eq(self.bounds.valid),
                address.eq(bounds.begin[3:]),
                known.eq(final),
                last.eq(bounds.begin[3:] == final),
                high.eq(bounds.end[:3]),
                place.lanes.low.eq(bounds.begin[:3]),
                place.lanes.first.eq(1),
                place.lanes.value.eq(bounds.value),
            ]
        with m.Elif(self.place.ready):
            m.d.sync += [
                address.eq(following),
                last.eq(following == known),
                place.lanes.low.eq(0),
                place.lanes.first.eq(0),
            ]
        return m
