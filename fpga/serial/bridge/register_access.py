"""A register of the accelerator."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from fpga.serial.bridge.words import WordPort
from hdl.lib.axi import lite_ports


class RegisterAccess(wiring.Component):
    """Reads and writes single registers.

    Members: `port`, who asks: what is written is the upper half of its word, what is read the lower
    half of the answer's. `m_lite_*`, AXI4-Lite master. From a pulse of `port` to the addresses one
    cycle, from the other side's answer to that of `port` none.
    """

    def __init__(self):
        super().__init__(
            {
                "port": In(WordPort),
                **{name: member.flip() for name, member in lite_ports("m_lite_").items()},
            }
        )

    def elaborate(self, platform):
        m = Module()
        port, answer = self.port, self.port.answer

        # Each channel is valid until it is taken. The words stay in `port`, so no slice holds them.
        for valid, ready, begin in (
            (self.m_lite_arvalid, self.m_lite_arready, port.get),
            (self.m_lite_awvalid, self.m_lite_awready, port.put),
            (self.m_lite_wvalid, self.m_lite_wready, port.put),
        ):
            with m.If(ready):
                m.d.sync += valid.eq(0)
            with m.If(begin):
                m.d.sync += valid.eq(1)

        m.d.comb += [
            self.m_lite_araddr.eq(port.address),
            self.m_lite_awaddr.eq(port.address),
            self.m_lite_wdata.eq(port.word[32:]),
            self.m_lite_wstrb.eq(0xF),
        ]

        # Whichever it is that has been asked.
        m.d.comb += [
            self.m_lite_rready.eq(answer.ready),
            self.m_lite_bready.eq(answer.ready),
            answer.valid.eq(self.m_lite_rvalid | self.m_lite_bvalid),
            answer.p.word.eq(self.m_lite_rdata),
            answer.p.failed.eq(
                (self.m_lite_rvalid & self.m_lite_rresp.any())
                | (self.m_lite_bvalid & self.m_lite_bresp.any())
            ),
        ]
        return m
