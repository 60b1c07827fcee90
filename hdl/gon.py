"""Global output network: collects finished psums from the tails in a fixed order."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


def next_set(m, mask, at, name):
    """(index of the first bit set in `mask` above `at`, else the first set; wrapped)."""
    width = len(mask)
    following, wrapped = Signal(range(max(2, width)), name=f"{name}_next"), Signal(name=f"{name}_wrap")
    m.d.comb += wrapped.eq(1)
    for n in reversed(range(width)):
        with m.If(mask[n]):
            m.d.comb += following.eq(n)
    for n in reversed(range(1, width)):
        with m.If(mask[n] & (n > at)):
            m.d.comb += [following.eq(n), wrapped.eq(0)]
    return following, wrapped


class OutputBus(wiring.Component):
    """One level of the GON: takes turns among its sources, a turn ending with `last`.

    Members: `source_<n>` streams of {data, last}; `members`, the sources that take part, which change only
    with `restart`: return to the first; `output` stream of {data, last}: `last` ends the turn
    of the last member (the whole level's turn).

    Order is fixed: all of the first member's turn, then the second's, and again. One word
    a cycle, two words deep, latency 1 cycle.
    """

    def __init__(self, layout, sources):
        self.layout, self.sources = layout, sources
        super().__init__({f"source_{n}": In(stream.Signature(layout)) for n in range(sources)}
                         | {"members": In(sources), "restart": In(1),
                            "output": Out(stream.Signature(layout))})

    def elaborate(self, platform):
        m = Module()
        sources = [getattr(self, f"source_{n}") for n in range(self.sources)]
        at = Signal(range(max(2, self.sources)))
        # They are the same from a configuration to the next: a register, which is late when they change.
        members, changing = Signal(self.sources), Signal()
        m.d.sync += [members.eq(self.members), changing.eq(self.restart)]
        following, wrapped = next_set(m, members, at, "turn")
        valid, payload = Signal(), Signal(self.layout)
        spare, spare_valid = Signal(self.layout, reset_less=True), Signal()
        out, out_valid = Signal(self.layout, reset_less=True), Signal()
        take = Signal()
        m.d.comb += take.eq(~spare_valid)
        here = Signal()
        with m.Switch(at):
            for n, source in enumerate(sources):
                with m.Case(n):
                    m.d.comb += [here.eq(members[n]), valid.eq(source.valid & members[n]), payload.eq(source.payload),
                                 source.ready.eq(take & members[n])]
        incoming = Signal(self.layout)
        m.d.comb += [incoming.eq(payload), incoming.last.eq(payload.last & wrapped),
                     self.output.valid.eq(out_valid), self.output.payload.eq(out)]
        with m.If(self.restart):
            m.d.sync += at.eq(0)
        with m.Elif((~here & ~changing) | (valid & take & payload.last)):
            m.d.sync += at.eq(following)
        with m.If(self.output.ready | ~out_valid):
            with m.If(spare_valid):
                m.d.sync += [out.eq(spare), out_valid.eq(1), spare_valid.eq(0)]
            with m.Else():
                m.d.sync += [out.eq(incoming), out_valid.eq(valid)]
        with m.Elif(valid & take):
            m.d.sync += [spare.eq(incoming), spare_valid.eq(1)]
        return m
