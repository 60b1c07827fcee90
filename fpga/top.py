"""A whole board, but for what a board's own pins need (clock generator, buffers)."""

from amaranth.hdl import ClockDomain, ClockSignal, DomainRenamer, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fpga.memory.arbiter import Arbiter
from fpga.memory.ram import Ram
from fpga.memory.sdram.sdram import Sdram
from fpga.memory.sdram.words import pins
from fpga.serial.bridge.bridge import Bridge
from fpga.serial.link import Link
from fpga.serial.protocol import MAX_FRAME, RECEIVE_FIFO, VERSION, Identity, configuration_hash
from hdl.config import Config
from hdl.lib.axi import lite_ports
from hdl.top import Accelerator


def longest_frame(clock_hz: int, baud: int) -> int:
    """Cycles that it takes on the line, without escapes."""
    return 10 * MAX_FRAME * clock_hz // baud


class BoardTop(wiring.Component):
    """Accelerator, memory, and the serial line to the host.

    Members: pins `rx` and `tx`; with an Sdram its pins `sdram_*`. One clock, `clk`, of clock_hz;
    `rst`, synchronous, resets all of it, and a host that was at work is told so. memory: a Ram or
    an Sdram. silence: cycles without a byte that end a frame, by default the time of ten longest
    frames, since a busy host may pause.
    """

    def __init__(
        self,
        config: Config,
        clock_hz: int,
        baud: int,
        memory: Ram | Sdram,
        silence: int | None = None,
    ):
        self.config, self.clock_hz, self.baud, self.memory = config, clock_hz, baud, memory
        self.silence = silence or 10 * longest_frame(clock_hz, baud)
        self.identity = Identity(
            VERSION, RECEIVE_FIFO, configuration_hash(config), memory.size, clock_hz, config.name
        )
        self.memory_pins = pins(memory.part) if isinstance(memory, Sdram) else {}
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), **self.memory_pins})

    def elaborate(self, platform):
        m = Module()
        m.submodules.link = link = Link(self.clock_hz, self.baud, self.silence)
        m.submodules.bridge = bridge = Bridge(self.identity)
        m.domains.system = system = ClockDomain("system", local=True)
        reset = Signal(init=1)  # thousands of loads: from a register
        m.d.sync += reset.eq(bridge.system_reset)
        m.d.comb += [system.clk.eq(ClockSignal()), system.rst.eq(reset)]
        inside = DomainRenamer({"sync": "system"})
        accelerator, arbiter, memory = Accelerator(self.config), Arbiter(), self.memory
        m.submodules.accelerator = inside(accelerator)
        m.submodules.arbiter = inside(arbiter)
        m.submodules.memory = inside(memory)

        m.d.comb += [link.rx.eq(self.rx), self.tx.eq(link.tx)]
        wiring.connect(m, link.received, bridge.received)
        wiring.connect(m, bridge.send, link.send)
        wiring.connect(m, bridge.read, arbiter.host_read)
        wiring.connect(m, bridge.write, arbiter.host_write)
        wiring.connect(m, arbiter.memory_read, memory.read)
        wiring.connect(m, arbiter.memory_write, memory.write)
        for name, member in self.memory_pins.items():
            inner, outer = getattr(memory, name), getattr(self, name)
            m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)
        for name, member in lite_ports("").items():
            ours, theirs = getattr(accelerator, "s_axi_" + name), getattr(bridge, "m_lite_" + name)
            m.d.comb += ours.eq(theirs) if member.flow == In else theirs.eq(ours)

        a, ar, r, write = accelerator, arbiter.address, arbiter.data, arbiter.write
        m.d.comb += [
            ar.p.id.eq(a.m_axi_arid),
            ar.p.burst.address.eq(a.m_axi_araddr),
            ar.p.burst.length.eq(a.m_axi_arlen),
            ar.valid.eq(a.m_axi_arvalid),
            a.m_axi_arready.eq(ar.ready),
            a.m_axi_rid.eq(r.p.id),
            a.m_axi_rdata.eq(r.p.beat.data),
            a.m_axi_rresp.eq(r.p.beat.resp),
            a.m_axi_rlast.eq(r.p.beat.last),
            a.m_axi_rvalid.eq(r.valid),
            r.ready.eq(a.m_axi_rready),
            write.address.p.address.eq(a.m_axi_awaddr),
            write.address.p.length.eq(a.m_axi_awlen),
            write.address.valid.eq(a.m_axi_awvalid),
            a.m_axi_awready.eq(write.address.ready),
            write.data.p.data.eq(a.m_axi_wdata),
            write.data.p.strobe.eq(a.m_axi_wstrb),
            write.data.p.last.eq(a.m_axi_wlast),
            write.data.valid.eq(a.m_axi_wvalid),
            a.m_axi_wready.eq(write.data.ready),
            a.m_axi_bresp.eq(write.response.payload),
            a.m_axi_bid.eq(0),
            a.m_axi_bvalid.eq(write.response.valid),
            write.response.ready.eq(a.m_axi_bready),
        ]
        return m
