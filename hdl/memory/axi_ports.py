"""The accelerator's AXI4 master, as flat ports."""

from amaranth.hdl import Cat, Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.axi import WriteMaster, master_ports
from hdl.memory.arbiter import FETCH
from hdl.memory.words import TaggedBurst, TaggedData

BEAT_BYTES = 8
SIZE, INCREMENTING = 3, 1  # eight bytes a beat; bursts of rising addresses


class AxiPorts(wiring.Component):
    """Members: flat `m_axi_*`; `address`, `data`, of ReadArbiter; `write`, of STORE. What passes
    in a cycle: `read_bytes`, `command_bytes` of them, `write_bytes`; `moves`, a bit a channel. No
    other logic."""

    def __init__(self):
        super().__init__(
            {
                **master_ports(),
                "address": In(stream.Signature(TaggedBurst)),
                "data": Out(stream.Signature(TaggedData)),
                "write": In(WriteMaster),
                "read_bytes": Out(4),
                "command_bytes": Out(4),
                "write_bytes": Out(4),
                "moves": Out(5),
            }
        )

    def elaborate(self, platform):
        m = Module()
        read, data, write = self.address, self.data, self.write
        m.d.comb += [
            self.m_axi_arid.eq(read.p.id),
            self.m_axi_araddr.eq(read.p.burst.address),
            self.m_axi_arlen.eq(read.p.burst.length),
            self.m_axi_arsize.eq(SIZE),
            self.m_axi_arburst.eq(INCREMENTING),
            self.m_axi_arvalid.eq(read.valid),
            read.ready.eq(self.m_axi_arready),
        ]
        m.d.comb += [
            data.p.id.eq(self.m_axi_rid),
            data.p.beat.data.eq(self.m_axi_rdata),
            data.p.beat.resp.eq(self.m_axi_rresp),
            data.p.beat.last.eq(self.m_axi_rlast),
            data.valid.eq(self.m_axi_rvalid),
            self.m_axi_rready.eq(data.ready),
        ]
        m.d.comb += [
            self.m_axi_awid.eq(0),
            self.m_axi_awaddr.eq(write.address.p.address),
            self.m_axi_awlen.eq(write.address.p.length),
            self.m_axi_awsize.eq(SIZE),
            self.m_axi_awburst.eq(INCREMENTING),
            self.m_axi_awvalid.eq(write.address.valid),
            write.address.ready.eq(self.m_axi_awready),
        ]
        m.d.comb += [
            self.m_axi_wdata.eq(write.data.p.data),
            self.m_axi_wstrb.eq(write.data.p.strobe),
            self.m_axi_wlast.eq(write.data.p.last),
            self.m_axi_wvalid.eq(write.data.valid),
            write.data.ready.eq(self.m_axi_wready),
            write.response.payload.eq(self.m_axi_bresp),
            write.response.valid.eq(self.m_axi_bvalid),
            self.m_axi_bready.eq(write.response.ready),
        ]

        # Events.
        channels = (read, data, write.address, write.data, write.response)
        moves = Cat(channel.valid & channel.ready for channel in channels)
        written = sum(write.data.p.strobe[n] for n in range(BEAT_BYTES))
        m.d.comb += [
            self.moves.eq(moves),
            self.read_bytes.eq(Mux(moves[1], BEAT_BYTES, 0)),
            self.command_bytes.eq(Mux(moves[1] & (data.p.id == FETCH), BEAT_BYTES, 0)),
            self.write_bytes.eq(Mux(moves[3], written, 0)),
        ]
        return m
