"""A word of memory."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fpga.serial.bridge.words import WordPort
from hdl.lib.axi import ReadMaster, WriteMaster


class MemoryAccess(wiring.Component):
    """Reads and writes single words.

    Members: `port`, who asks; `read` and `write`, AXI masters, a burst for every word. From a pulse
    of `port` to the addresses one cycle, from the other side's answer to that of `port` none.
    """

    port: In(WordPort)
    read: Out(ReadMaster)
    write: Out(WriteMaster)

    def elaborate(self, platform):
        m = Module()
        port, answer, read, write = self.port, self.port.answer, self.read, self.write

        # Each channel is valid until it is taken. The words stay in `port`, so no slice holds them.
        for channel, begin in (
            (read.address, port.get),
            (write.address, port.put),
            (write.data, port.put),
        ):
            with m.If(channel.ready):
                m.d.sync += channel.valid.eq(0)
            with m.If(begin):
                m.d.sync += channel.valid.eq(1)

        m.d.comb += [
            read.address.p.address.eq(port.address),
            read.address.p.last.eq(1),
            write.address.p.address.eq(port.address),
            write.address.p.last.eq(1),
            write.data.p.data.eq(port.word),
            write.data.p.strobe.eq(0xFF),
            write.data.p.last.eq(1),
        ]

        # Whichever it is that has been asked.
        m.d.comb += [
            read.data.ready.eq(answer.ready),
            write.response.ready.eq(answer.ready),
            answer.valid.eq(read.data.valid | write.response.valid),
            answer.p.word.eq(read.data.p.data),
            answer.p.failed.eq(
                (read.data.valid & read.data.p.resp.any())
                | (write.response.valid & write.response.payload.any())
            ),
        ]
        return m
