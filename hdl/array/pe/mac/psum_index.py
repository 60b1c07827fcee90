"""Which psum of a PE a slot adds to."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.array.words import PassHeader
from hdl.config import Config


class PsumIndex(wiring.Component):
    """Those of an entry's filters, after those of the channels before its own.

    Members: `load`, `channels`, a pass begins, with entries of so many channels and one in turn;
    `issue`, a slot; `entry_end`; `psum`, a register: that of the slot, or pair of them with
    config.simd = 2; `last_channel`, a register: the entry is of the last.

    A slot a cycle; an entry takes hdl.timing.HAZARD cycles or more, of which two find what its
    channel is.
    """

    def __init__(self, config: Config):
        super().__init__(
            {
                "load": In(1),
                "channels": In(PassHeader.as_shape()["channels"].shape),
                "issue": In(1),
                "entry_end": In(1),
                "psum": Out(range(config.psum_spad // config.simd)),
                "last_channel": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        channels, channel = Signal.like(self.channels, reset_less=True), Signal.like(self.channels)
        last = self.last_channel
        m.d.sync += last.eq(channel == channels)
        with m.If(self.issue):
            m.d.sync += self.psum.eq(self.psum + 1)
        with m.If(self.entry_end):
            m.d.sync += channel.eq(Mux(last, 0, channel + 1))
            with m.If(last):
                m.d.sync += self.psum.eq(0)
        # From the start, whatever a pass before was of.
        with m.If(self.load):
            m.d.sync += [channels.eq(self.channels), channel.eq(0), self.psum.eq(0)]
        return m
