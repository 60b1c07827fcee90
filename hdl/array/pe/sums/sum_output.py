"""Where the sums of a PE go: to the next one of the chain, or from a tail to the output network."""

from amaranth.hdl import Module, Mux, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.array.words import ofmap_bus_word, sum_layout
from hdl.config import Config
from hdl.lib.stream.register_slice import RegisterSlice


def output_ports(config: Config) -> dict[str, wiring.Member]:
    """What every such part has.

    tail              the PE is one
    room, push, sum   there is room for a sum; it comes, only then; which
    chain_out, ofmap  streams to the next PE, and of a tail's words
    """
    return {
        "tail": In(1),
        "room": Out(1),
        "push": In(1),
        "sum": In(sum_layout(config)),
        "chain_out": Out(stream.Signature(signed(config.psum_bits))),
        "ofmap": Out(stream.Signature(ofmap_bus_word(config))),
    }


class SumOutput(wiring.Component):
    """A tail's sums leave one by one, through the register slice that is before the chain.

    Members: `output_ports`. Latency one cycle, a sum a cycle.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(output_ports(config))

    def elaborate(self, platform):
        m = Module()
        m.submodules.slice = place = RegisterSlice(sum_layout(self.config))
        out, ofmap = place.output, self.ofmap
        m.d.comb += [
            self.room.eq(place.input.ready),
            place.input.valid.eq(self.push),
            place.input.payload.eq(self.sum),
            self.chain_out.payload.eq(out.p.psum),
            self.chain_out.valid.eq(out.valid & ~self.tail),
            ofmap.payload.data.eq(out.p.psum),
            ofmap.payload.end.eq(out.p.last),
            ofmap.payload.last.eq(out.p.last),
            ofmap.valid.eq(out.valid & self.tail),
            out.ready.eq(Mux(self.tail, ofmap.ready, self.chain_out.ready)),
        ]
        return m
