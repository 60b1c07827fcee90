"""SCALE: fills the table of OFMAP."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.buffer.words import PROMPT_READ_SIGNATURE
from hdl.isa import Rounding, ScaleBody, ScaleWord
from hdl.sequencers.ofmap.table import CHANNEL


class ScaleFill(wiring.Component):
    """SCALE: global buffer -> ScaleTable (isa.ScaleBody).

    Members: `command`, `done`; `glb` read port; `write`, `channel`, `word`, to the table;
    `rounding`, `lo`, `hi` of the last command; `idle`. A channel a cycle; a cycle and the buffer's
    latency lost between commands.
    """

    command: In(stream.Signature(ScaleBody))
    done: Out(1)
    glb: Out(PROMPT_READ_SIGNATURE)
    write: Out(1)
    channel: Out(CHANNEL)
    word: Out(ScaleWord)
    rounding: Out(Rounding)
    lo: Out(ScaleBody.as_shape()["lo"].shape)
    hi: Out(ScaleBody.as_shape()["hi"].shape)
    idle: Out(1)

    def elaborate(self, platform):
        m = Module()
        asked, came = Signal(CHANNEL), Signal(CHANNEL)  # channels to come, less than 2**CHANNEL
        request, response, command = self.glb.request, self.glb.response, self.command.p
        m.d.comb += [
            self.idle.eq(came == 0),
            self.command.ready.eq(self.idle),
            request.valid.eq(asked != 0),
            self.write.eq(response.valid),
            self.word.eq(response.payload),
            self.done.eq(response.valid & (came == 1)),
        ]
        with m.If(request.valid & request.ready):
            m.d.sync += [asked.eq(asked - 1), request.payload.eq(request.payload + 2)]
        with m.If(response.valid):
            m.d.sync += [came.eq(came - 1), self.channel.eq(self.channel + 1)]
        with m.If(self.command.valid & self.command.ready):
            m.d.sync += [
                request.payload.eq(command.word),
                self.channel.eq(0),
                asked.eq(command.channels),
                came.eq(command.channels),
                self.rounding.eq(command.rounding),
                self.lo.eq(command.lo),
                self.hi.eq(command.hi),
            ]
        return m
