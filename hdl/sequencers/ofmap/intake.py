"""What the output network carries, with the place that it goes to."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.array.words import ofmap_bus_word
from hdl.config import PSUM_LANES, Config
from hdl.sequencers.words import ofmap_place, ofmap_psums


def intake_ports(config: Config) -> dict[str, wiring.Member]:
    """What every such part has: `input`, what the network carries; `places`, a stream of
    ofmap_place, one a word of up to four psums; `output`, a stream of ofmap_psums. All in the same
    cycle."""
    return {
        "input": In(stream.Signature(ofmap_bus_word(config))),
        "places": In(stream.Signature(ofmap_place(config))),
        "output": Out(stream.Signature(ofmap_psums(config))),
    }


class WordIntake(wiring.Component):
    """Words of psums, each with its place. Members: `intake_ports`."""

    def __init__(self, config: Config):
        super().__init__(intake_ports(config))

    def elaborate(self, platform):
        m = Module()
        moves = self.places.valid & self.output.ready
        m.d.comb += [
            self.output.valid.eq(self.input.valid & self.places.valid),
            self.input.ready.eq(moves),
            self.places.ready.eq(self.input.valid & self.output.ready),
            self.output.p.place.eq(self.places.payload),
            self.output.p.psums.eq(self.input.p.data),
            self.output.p.whole.eq(1),
        ]
        return m


class PsumIntake(wiring.Component):
    """Single psums; a word is whole with the fourth, or the last of its position. Members:
    `intake_ports`."""

    def __init__(self, config: Config):
        super().__init__(intake_ports(config))

    def elaborate(self, platform):
        m = Module()
        lane, whole = Signal(range(PSUM_LANES)), Signal()
        m.d.comb += [
            whole.eq(self.input.p.end | (lane == PSUM_LANES - 1)),
            self.output.valid.eq(self.input.valid & self.places.valid),
            self.input.ready.eq(self.places.valid & self.output.ready),
            self.places.ready.eq(self.input.valid & self.output.ready & whole),
            self.output.p.place.eq(self.places.payload),
            self.output.p.psums.eq(self.input.p.data),
            self.output.p.lane.eq(lane),
            self.output.p.whole.eq(whole),
        ]
        with m.If(self.output.valid & self.output.ready):
            m.d.sync += lane.eq(Mux(whole, 0, lane + 1))
        return m
