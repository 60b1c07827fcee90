"""CONFIG: the tags of every PE, shifted into the chain."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.array.tag_walk import TagWalk
from hdl.array.words import tag_layout
from hdl.config import Config
from hdl.isa import ConfigBody, Mode


class ConfigWalk(wiring.Component):
    """Shifts the tags of TagWalk into the chain, those of its first PE first.

    Members
    -------
    config     stream of ConfigBody: taken when all tags have been shifted in, one PE in two cycles,
               and have `settled`; to be offered only while the array is drained
    error      the ConfigBody being taken asks for more PEs than there are
    tags, shift, settled   tags of a PE; they move on; no row has any on the way
    gate, skip   the mode of the ConfigBody taken last
    """

    def __init__(self, config: Config):
        self.build = config
        super().__init__(
            {
                "config": In(stream.Signature(ConfigBody)),
                "error": Out(1),
                "tags": Out(tag_layout(config)),
                "shift": Out(1),
                "settled": In(1),
                "gate": Out(1),
                "skip": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c, body = self.build, self.config.payload

        m.submodules.tags_walk = walk = TagWalk(c)
        starts = Signal()
        m.d.comb += [
            walk.body.eq(body),
            walk.restart.eq(starts),
            walk.shift.eq(self.shift),
            self.tags.eq(walk.tags),
        ]

        # One PE in two cycles.
        left, found = Signal(range(c.pes + 1)), Signal()
        m.d.sync += found.eq(~found)
        with m.FSM():
            with m.State("idle"):
                m.d.comb += starts.eq(self.config.valid)
                with m.If(self.config.valid):
                    m.d.sync += [left.eq(c.pes), found.eq(0)]
                    m.next = "shift"
            with m.State("shift"):
                m.d.comb += self.shift.eq(found)
                with m.If(self.shift):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 1):
                        m.next = "settle"
            with m.State("settle"):
                with m.If(self.settled):
                    m.next = "accept"
            with m.State("accept"):
                m.d.comb += [self.config.ready.eq(1), self.error.eq(~walk.placed)]
                m.d.sync += [
                    self.gate.eq(body.mode == Mode.GATE),
                    self.skip.eq(body.mode == Mode.SKIP),
                ]
                m.next = "idle"
        return m
