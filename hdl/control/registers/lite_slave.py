"""Registers on an AXI4-Lite bus."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.control.registers.read_channel import ReadChannel
from hdl.control.registers.words import REGISTERS
from hdl.control.registers.write_channel import WriteChannel
from hdl.isa import COUNTERS
from hdl.lib.axi import lite_ports


class LiteSlave(wiring.Component):
    """Flat ports `s_axi_*` around a WriteChannel and a ReadChannel, whose other members these are:
    `write`, `chosen`, `value`, `strobe`; `registers`, `counter`, `counter_value`. A write takes
    five cycles, a read six, and one of each may be under way.
    """

    def __init__(self):
        super().__init__(
            {
                **lite_ports(),
                "write": Out(1),
                "chosen": Out(REGISTERS),
                "value": Out(32),
                "strobe": Out(4),
                "registers": In(32).array(REGISTERS),
                "counter": Out(range(len(COUNTERS))),
                "counter_value": In(64),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.writes = writes = WriteChannel()
        m.submodules.reads = reads = ReadChannel()

        # into the channels
        for name, port in {"aw": writes.address, "w": writes.data, "ar": reads.address}.items():
            m.d.comb += [
                port.valid.eq(getattr(self, f"s_axi_{name}valid")),
                getattr(self, f"s_axi_{name}ready").eq(port.ready),
            ]
        m.d.comb += [
            writes.address.payload.eq(self.s_axi_awaddr),
            writes.data.p.value.eq(self.s_axi_wdata),
            writes.data.p.strobe.eq(self.s_axi_wstrb),
            reads.address.payload.eq(self.s_axi_araddr),
        ]

        # and out of them
        for name, port in {"b": writes.answer, "r": reads.answer}.items():
            m.d.comb += [
                getattr(self, f"s_axi_{name}valid").eq(port.valid),
                port.ready.eq(getattr(self, f"s_axi_{name}ready")),
            ]
        m.d.comb += [
            self.s_axi_bresp.eq(writes.answer.payload),
            self.s_axi_rdata.eq(reads.answer.payload),
        ]

        # the registers
        m.d.comb += [
            *(
                getattr(self, n).eq(getattr(writes, n))
                for n in ("write", "chosen", "value", "strobe")
            ),
            *(mine.eq(theirs) for mine, theirs in zip(reads.registers, self.registers)),
            self.counter.eq(reads.counter),
            reads.counter_value.eq(self.counter_value),
        ]
        return m
