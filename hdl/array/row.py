"""A physical row of the array: PEs on the X-buses of the networks (JSSC 2017, fig. 10)."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.array.gin import XBus
from hdl.array.gon import OutputBus
from hdl.array.pe.pe import ProcessingElement
from hdl.array.words import (
    EVENTS,
    filter_bus_word,
    ifmap_bus_word,
    ofmap_bus_word,
    psum_bus_word,
    tag_layout,
)
from hdl.config import Config
from hdl.lib.near_reset import near_reset

NETWORKS = (("ifmap", ifmap_bus_word), ("filter", filter_bus_word), ("psum", psum_bus_word))


class PeRow(wiring.Component):
    """A physical row: `columns` PEs, an X-bus per network, and their output bus.

    Members: `ifmap`, `filter`, `psum` word streams in, `ofmap` out; `chain_in`, `chain_out`;
    `shift`, `tags_in`, `tags_out` (tags enter at the last PE and move towards the first); `gate`,
    `skip`; `tails` is high when any PE of the row is a tail; `events_<name>`, PEs with the event,
    one cycle late; `shift_out`, for the next row; `held`, `resetting`.

    `shift` and `tags_in` go through registers, and `shift_out` goes with
    `tags_out`, so that no net goes to every PE; and the row has a reset of its own
    (hdl/lib/near_reset.py), held by the row before, whose `resetting` it is. first: place in the
    chain of the row's first PE.
    """

    def __init__(self, config: Config, first: int = 0):
        self.config, self._first = config, first
        psum, tags = signed(config.psum_bits), tag_layout(config)
        ports = {net: In(stream.Signature(layout(config))) for net, layout in NETWORKS}
        ports |= {
            "ofmap": Out(stream.Signature(ofmap_bus_word(config))),
            "chain_in": In(stream.Signature(psum)),
            "chain_out": Out(stream.Signature(psum)),
            "shift": In(1),
            "tags_in": In(tags),
            "shift_out": Out(1),
            "tags_out": Out(tags),
            "gate": In(1),
            "skip": In(1),
            "held": In(1),
            "resetting": Out(1),
            "tails": Out(1),
        }
        ports |= {f"events_{e}": Out(range(config.columns + 1)) for e in EVENTS}
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        c = self.config
        inside, reset = near_reset(m, "row", self.held)
        shift, tags = (
            Signal(name="near_shift"),
            Signal.like(self.tags_in, name="near_tags", reset_less=True),
        )
        m.d.sync += [shift.eq(self.shift), tags.eq(self.tags_in)]
        m.d.comb += [self.resetting.eq(reset), self.shift_out.eq(shift)]
        pes = [ProcessingElement(c, self._first + n) for n in range(c.columns)]
        for n, pe in enumerate(pes):
            m.submodules[f"pe_{n}"] = inside(pe)
            m.d.comb += [pe.shift.eq(shift), pe.gate.eq(self.gate), pe.skip.eq(self.skip)]
            after = pes[n + 1].tags_out if n + 1 < c.columns else tags
            m.d.comb += pe.tags_in.eq(after)
        m.d.comb += self.tags_out.eq(pes[0].tags_out)
        wiring.connect(m, wiring.flipped(self.chain_in), pes[0].chain_in)
        for one, other in zip(pes, pes[1:]):
            wiring.connect(m, one.chain_out, other.chain_in)
        wiring.connect(m, pes[-1].chain_out, wiring.flipped(self.chain_out))
        for net, layout in NETWORKS:
            bus = XBus(layout(c), c.columns)
            m.submodules[f"{net}_bus"] = inside(bus)
            wiring.connect(m, wiring.flipped(getattr(self, net)), bus.input)
            for n, pe in enumerate(pes):
                m.d.comb += [
                    getattr(pe, f"{net}_next").eq(bus.next),
                    getattr(pe, f"{net}_load").eq(bus.load),
                    getattr(pe, f"{net}_word").eq(bus.word),
                    getattr(pe, f"{net}_fire").eq(bus.fire[n]),
                    bus.accept[n].eq(getattr(pe, f"{net}_accept")),
                ]
        output = OutputBus(ofmap_bus_word(c), c.columns)
        m.submodules.output_bus = inside(output)
        for n, pe in enumerate(pes):
            wiring.connect(m, pe.ofmap, getattr(output, f"source_{n}"))
            m.d.comb += output.members[n].eq(pe.tags_out.enable & pe.tags_out.tail)
        m.d.comb += [output.restart.eq(shift), self.tails.eq(output.members.any())]
        wiring.connect(m, output.output, wiring.flipped(self.ofmap))
        if c.counters:
            for n, event in enumerate(EVENTS):
                m.d.sync += getattr(self, f"events_{event}").eq(sum(pe.events[n] for pe in pes))
        return m
