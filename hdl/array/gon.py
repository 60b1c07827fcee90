"""Global output network: collects finished psums from the tails in a fixed order."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, ShapeLike, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.stream.register_slice import RegisterSlice


def lowest(bits: Value) -> Value:
    """Of these the first that is set, one-hot."""
    return Cat(bits[n] & ~bits[:n].any() if n else bits[0] for n in range(len(bits)))


class OutputBus(wiring.Component):
    """One level of the GON: takes turns among its sources, a turn ending with `last`.

    Members: `source_<n>` streams of {data, last}; `members`, the sources that take part, which
    change only with `restart`: return to the first; `output` stream of {data, last}: `last` ends
    the turn of the last member (the whole level's turn).

    Order is fixed: all of the first member's turn, then the second's, and again. One word
    a cycle, two words deep, latency 1 cycle; nothing is taken in the three cycles behind a restart.
    """

    def __init__(self, layout: ShapeLike, sources: int):
        self.layout, self.sources = layout, sources
        super().__init__(
            {f"source_{n}": In(stream.Signature(layout)) for n in range(sources)}
            | {"members": In(sources), "restart": In(1), "output": Out(stream.Signature(layout))}
        )

    def elaborate(self, platform):
        m = Module()
        sources = [getattr(self, f"source_{n}") for n in range(self.sources)]
        # One-hot: whose turn is and will be next; none yet behind a restart. wrapped: the turn is
        # the last member's.
        turn, ahead, wrapped = Signal(self.sources), Signal(self.sources), Signal()
        # They are the same from a configuration to the next: a register, which is late when they
        # change.
        members, changing = Signal(self.sources), Signal()
        m.d.sync += [members.eq(self.members), changing.eq(self.restart)]
        above = Signal(self.sources)
        m.d.comb += above.eq(
            members & Cat(ahead[:n].any() if n else Const(0, 1) for n in range(self.sources))
        )
        payload = Signal(self.layout)
        m.submodules.slice = slice_ = RegisterSlice(self.layout)
        incoming = slice_.input
        m.d.comb += [
            incoming.valid.eq(
                Cat(source.valid & turn[n] for n, source in enumerate(sources)).any()
            ),
            *(source.ready.eq(incoming.ready & turn[n]) for n, source in enumerate(sources)),
            payload.as_value().eq(
                reduce(
                    or_,
                    (
                        Mux(turn[n], source.payload.as_value(), 0)
                        for n, source in enumerate(sources)
                    ),
                )
            ),
        ]
        m.d.comb += [incoming.payload.eq(payload), incoming.p.last.eq(payload.last & wrapped)]
        wiring.connect(m, slice_.output, wiring.flipped(self.output))

        begins = Signal()
        m.d.comb += begins.eq(~turn.any() & ~changing)
        with m.If(self.restart):
            m.d.sync += [turn.eq(0), ahead.eq(0)]
        with m.Elif(begins | (incoming.valid & incoming.ready & payload.last)):
            m.d.sync += [
                turn.eq(ahead),
                wrapped.eq(~above.any()),
                ahead.eq(Mux(above.any(), lowest(above), lowest(members))),
            ]
        return m
