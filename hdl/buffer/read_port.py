"""What a client of the global buffer reads through."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.buffer.words import READ_SIGNATURE, place_layout, place_of
from hdl.config import WORD_BITS, Config
from hdl.lib.level_counter import LevelCounter
from hdl.lib.stream.forward_slice import ForwardSlice
from hdl.lib.stream.register_slice import RegisterSlice
from hdl.lib.stream.stream_fifo import StreamFifo
from hdl.lib.stream.through import through

RESPONSE_DEPTH = 8  # reads under way or waiting; covers the seven cycles until one is given back


class ReadPort(wiring.Component):
    """A client's requests until they are granted, and their words until it takes them.

    Members: `port`, the client's; `place`, a stream of place_layout to the banks, offered only
    while there is room for its words; `words`, `came`, a place's two words. Latency one cycle each
    way, through registers; throughput one read a cycle.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "port": In(READ_SIGNATURE),
                "place": Out(stream.Signature(place_layout(config))),
                "came": In(1),
                "words": In(2 * WORD_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = unsigned(self.config.glb_word_bits)
        m.submodules.request = request = RegisterSlice(bits)
        m.submodules.under_way = under_way = LevelCounter(RESPONSE_DEPTH)
        m.d.comb += [
            request.input.payload.eq(self.port.request.payload),
            request.input.valid.eq(self.port.request.valid),
            self.port.request.ready.eq(request.input.ready),
            self.place.valid.eq(request.output.valid & under_way.room),
            request.output.ready.eq(self.place.ready & under_way.room),
            under_way.up.eq(self.place.valid & self.place.ready),
        ]
        for name, value in place_of(self.config, request.output.payload).items():
            m.d.comb += self.place.p[name].eq(value)

        # What a RAM shows is late: it goes to a register.
        m.submodules.responses = responses = StreamFifo(2 * WORD_BITS, RESPONSE_DEPTH)
        m.d.comb += [responses.input.valid.eq(self.came), responses.input.payload.eq(self.words)]
        out = through(m, "response", ForwardSlice(2 * WORD_BITS), responses.output)
        wiring.connect(m, out, wiring.flipped(self.port.response))
        m.d.sync += under_way.down.eq(responses.output.valid & responses.output.ready)
        return m
