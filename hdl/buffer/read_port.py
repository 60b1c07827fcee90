"""What a client of the global buffer reads through."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.buffer.prompt_read_port import PromptReadPort
from hdl.buffer.words import READ_SIGNATURE, place_layout
from hdl.config import WORD_BITS, Config
from hdl.lib.level_counter import LevelCounter
from hdl.lib.stream.forward_slice import ForwardSlice
from hdl.lib.stream.stream_fifo import StreamFifo
from hdl.lib.stream.through import through

RESPONSE_DEPTH = 8  # reads under way or waiting; covers the seven cycles until one is given back


class ReadPort(wiring.Component):
    """A client's requests until they are granted, and their words until it takes them: a
    PromptReadPort that asks for what there is room for.

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
        m.submodules.prompt = prompt = PromptReadPort(self.config)
        m.submodules.under_way = under_way = LevelCounter(RESPONSE_DEPTH)
        wiring.connect(m, wiring.flipped(self.port.request), prompt.port.request)
        m.d.comb += [
            self.place.payload.eq(prompt.place.payload),
            self.place.valid.eq(prompt.place.valid & under_way.room),
            prompt.place.ready.eq(self.place.ready & under_way.room),
            under_way.up.eq(self.place.valid & self.place.ready),
            prompt.came.eq(self.came),
            prompt.words.eq(self.words),
        ]

        # What a RAM shows is late: it goes to a register.
        m.submodules.responses = responses = StreamFifo(2 * WORD_BITS, RESPONSE_DEPTH)
        came = prompt.port.response
        m.d.comb += [responses.input.valid.eq(came.valid), responses.input.payload.eq(came.payload)]
        out = through(m, "response", ForwardSlice(2 * WORD_BITS), responses.output)
        wiring.connect(m, out, wiring.flipped(self.port.response))
        m.d.sync += under_way.down.eq(responses.output.valid & responses.output.ready)
        return m
