"""The scales of the channels of a pass."""

from amaranth.hdl import Cat, Module, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.config import PSUM_LANES, Config
from hdl.isa import ScaleWord

CHANNEL = 10  # bits of a channel's number in ScaleBody


class ScaleTable(wiring.Component):
    """config.scale_channels ScaleWords, in as many banks as psums come in a cycle.

    Members: `write`, `channel`, `word`; `enable` reads: `row`, of four channels, and of one lane
    `lane`, the channel in it; `words`, a lane each, a cycle later. What is read while it is written
    is not defined.
    """

    def __init__(self, config: Config):
        self.lanes, self.channels = config.psum_lanes, config.scale_channels
        super().__init__(
            {
                "write": In(1),
                "channel": In(CHANNEL),
                "word": In(ScaleWord),
                "enable": In(1),
                "row": In(config.scale_row_bits),
                "lane": In((PSUM_LANES - 1).bit_length()),
                "words": Out(data.ArrayLayout(ScaleWord, config.psum_lanes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        within = (self.lanes - 1).bit_length()  # bits of a channel's bank
        for n in range(self.lanes):
            width = unsigned(ScaleWord.as_shape().size)
            bank = Memory(shape=width, depth=self.channels // self.lanes, init=[])
            m.submodules[f"bank_{n}"] = bank
            write, read = bank.write_port(), bank.read_port()
            m.d.comb += [
                write.en.eq(self.write & (self.channel[:within] == n)),
                write.addr.eq(self.channel[within:]),
                write.data.eq(self.word.as_value()),
                read.en.eq(self.enable),
                read.addr.eq(Cat(self.lane, self.row)[within:]),
                self.words[n].eq(read.data),
            ]
        return m
