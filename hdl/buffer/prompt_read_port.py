"""What a client of the global buffer that takes every word at once reads through."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.buffer.words import PROMPT_READ_SIGNATURE, place_layout, place_of
from hdl.config import WORD_BITS, Config
from hdl.lib.stream.register_slice import RegisterSlice


class PromptReadPort(wiring.Component):
    """Requests until they are granted, of a client whose `response` always finds room: no FIFO and
    no credit.

    Members of ReadPort. Latency a cycle for a request, none for its words; throughput one read a
    cycle.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "port": In(PROMPT_READ_SIGNATURE),
                "place": Out(stream.Signature(place_layout(config))),
                "came": In(1),
                "words": In(2 * WORD_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.request = request = RegisterSlice(unsigned(self.config.glb_word_bits))
        m.d.comb += [
            request.input.payload.eq(self.port.request.payload),
            request.input.valid.eq(self.port.request.valid),
            self.port.request.ready.eq(request.input.ready),
            self.place.valid.eq(request.output.valid),
            request.output.ready.eq(self.place.ready),
            self.port.response.valid.eq(self.came),
            self.port.response.payload.eq(self.words),
        ]
        for name, value in place_of(self.config, request.output.payload).items():
            m.d.comb += self.place.p[name].eq(value)
        return m
