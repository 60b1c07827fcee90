"""A small accelerator with the ports of `hdl.top.Accelerator`: its program is only copied.

Starting it reads COUNT 64-byte commands from PROGRAM, eight words a burst, and writes them to
WRITE_BASE. `extra` multiply-accumulate units make it as large as a test wants.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import PRESETS
from hdl.isa import COUNTERS, ID_VALUE, VERSION_VALUE, Error, Register, Status

AXI = {
    "m_axi_awid": Out(1),
    "m_axi_awaddr": Out(32),
    "m_axi_awlen": Out(8),
    "m_axi_awsize": Out(3),
    "m_axi_awburst": Out(2),
    "m_axi_awvalid": Out(1),
    "m_axi_awready": In(1),
    "m_axi_wdata": Out(64),
    "m_axi_wstrb": Out(8),
    "m_axi_wlast": Out(1),
    "m_axi_wvalid": Out(1),
    "m_axi_wready": In(1),
    "m_axi_bid": In(1),
    "m_axi_bresp": In(2),
    "m_axi_bvalid": In(1),
    "m_axi_bready": Out(1),
    "m_axi_arid": Out(1),
    "m_axi_araddr": Out(32),
    "m_axi_arlen": Out(8),
    "m_axi_arsize": Out(3),
    "m_axi_arburst": Out(2),
    "m_axi_arvalid": Out(1),
    "m_axi_arready": In(1),
    "m_axi_rid": In(1),
    "m_axi_rdata": In(64),
    "m_axi_rresp": In(2),
    "m_axi_rlast": In(1),
    "m_axi_rvalid": In(1),
    "m_axi_rready": Out(1),
    "s_axi_awaddr": In(12),
    "s_axi_awvalid": In(1),
    "s_axi_awready": Out(1),
    "s_axi_wdata": In(32),
    "s_axi_wstrb": In(4),
    "s_axi_wvalid": In(1),
    "s_axi_wready": Out(1),
    "s_axi_bresp": Out(2),
    "s_axi_bvalid": Out(1),
    "s_axi_bready": In(1),
    "s_axi_araddr": In(12),
    "s_axi_arvalid": In(1),
    "s_axi_arready": Out(1),
    "s_axi_rdata": Out(32),
    "s_axi_rresp": Out(2),
    "s_axi_rvalid": Out(1),
    "s_axi_rready": In(1),
    "interrupt": Out(1),
}


class Mac(wiring.Component):
    """Multiplies what streams by with a word of its own memory and adds to its neighbour's sum."""

    value: In(16)
    sum_in: In(32)
    value_out: Out(16)
    sum_out: Out(32)

    def elaborate(self, platform):
        m = Module()
        m.submodules.spad = spad = memory.Memory(shape=signed(16), depth=224, init=[])
        write, read = spad.write_port(), spad.read_port()
        address = Signal(range(224))
        a, product = Signal(signed(16)), Signal(signed(32))
        psums = [Signal(32, name=f"psum_{i}") for i in range(8)]
        m.d.sync += [
            address.eq(Mux(address == 223, 0, address + 1)),
            self.value_out.eq(self.value),
            a.eq(self.value),
            product.eq(a * read.data),
            self.sum_out.eq(self.sum_in + psums[7]),
        ]
        for i, psum in enumerate(psums):
            m.d.sync += psum.eq((psums[i - 1] if i else psums[7] + product) ^ 1)
        m.d.comb += [
            read.addr.eq(address),
            read.en.eq(1),
            write.addr.eq(address),
            write.data.eq(self.value),
            write.en.eq(self.value[0]),
        ]
        return m


FAULTS = ("none", "4k", "drop", "last")


class StandIn(wiring.Component):
    """What is written to READ_BASE, a place in FAULTS, breaks a rule on purpose."""

    def __init__(self, config=PRESETS["tiny"], extra=0):
        self.config, self.extra = config, extra
        super().__init__(AXI)

    def elaborate(self, platform):
        m = Module()
        program, count, base = Signal(32), Signal(32), Signal(32)
        enable, pending = Signal(), Signal()
        status, error = Signal(8), Signal(8)
        cycles, read_bytes, write_bytes = Signal(64), Signal(64), Signal(64)
        start, fault = Signal(), Signal(range(len(FAULTS)))

        # AXI4-Lite: one access at a time.
        m.d.comb += [
            self.s_axi_awready.eq(self.s_axi_awvalid & self.s_axi_wvalid & ~self.s_axi_bvalid),
            self.s_axi_wready.eq(self.s_axi_awready),
            self.s_axi_arready.eq(~self.s_axi_rvalid),
        ]
        with m.If(self.s_axi_bready):
            m.d.sync += self.s_axi_bvalid.eq(0)
        with m.If(self.s_axi_rready):
            m.d.sync += self.s_axi_rvalid.eq(0)
        with m.If(self.s_axi_awready):
            m.d.sync += [self.s_axi_bvalid.eq(1), self.s_axi_bresp.eq(0)]
            with m.Switch(self.s_axi_awaddr):
                with m.Case(Register.CONTROL):
                    m.d.comb += start.eq(self.s_axi_wdata[0])
                with m.Case(Register.PROGRAM):
                    m.d.sync += program.eq(self.s_axi_wdata)
                with m.Case(Register.COUNT):
                    m.d.sync += count.eq(self.s_axi_wdata)
                with m.Case(Register.WRITE_BASE):
                    m.d.sync += base.eq(self.s_axi_wdata)
                with m.Case(Register.READ_BASE):
                    m.d.sync += fault.eq(self.s_axi_wdata)
                with m.Case(Register.INTERRUPT):
                    m.d.sync += enable.eq(self.s_axi_wdata[0])
                    with m.If(self.s_axi_wdata[1]):
                        m.d.sync += pending.eq(0)
                with m.Default():
                    m.d.sync += self.s_axi_bresp.eq(2)
        with m.If(self.s_axi_arvalid & self.s_axi_arready):
            m.d.sync += [self.s_axi_rvalid.eq(1), self.s_axi_rresp.eq(0), self.s_axi_rdata.eq(0)]
            values = {
                Register.ID: C(ID_VALUE, 32),
                Register.VERSION: C(VERSION_VALUE, 32),
                Register.STATUS: Cat(status, error),
                Register.PROGRAM: program,
                Register.COUNT: count,
                Register.INTERRUPT: Cat(enable, pending),
                Register.PES: C(self.config.pes, 32),
            }
            for name, counter in (
                ("cycles", cycles),
                ("dram_read_bytes", read_bytes),
                ("dram_write_bytes", write_bytes),
            ):
                at = Register.COUNTERS + 8 * COUNTERS.index(name)
                values[at], values[at + 4] = counter[:32], counter[32:]
            with m.Switch(self.s_axi_araddr):
                for at, value in values.items():
                    with m.Case(int(at)):
                        m.d.sync += self.s_axi_rdata.eq(value)
                with m.Default():
                    m.d.sync += self.s_axi_rresp.eq(2)
        m.d.comb += self.interrupt.eq(enable & pending)

        # Copy: a burst is read into a buffer, then written.
        buffer = [Signal(64, name=f"buffer_{i}") for i in range(8)]
        index, left, at = Signal(3), Signal(32), Signal(32)
        m.d.comb += [
            self.m_axi_araddr.eq(program + at),
            self.m_axi_arlen.eq(7),
            self.m_axi_arsize.eq(3),
            self.m_axi_arburst.eq(1),
            self.m_axi_awaddr.eq(base + at),
            self.m_axi_awlen.eq(7),
            self.m_axi_awsize.eq(3),
            self.m_axi_awburst.eq(1),
            self.m_axi_wdata.eq(Cat(buffer).word_select(index, 64)),
            self.m_axi_wstrb.eq(0xFF),
            self.m_axi_wlast.eq(index == Mux(fault == FAULTS.index("last"), 5, 7)),
        ]
        with m.If(fault == FAULTS.index("4k")):
            m.d.comb += self.m_axi_arlen.eq(255)
        with m.If(status == Status.RUNNING):
            m.d.sync += cycles.eq(cycles + 1)
        with m.FSM():
            with m.State("idle"):
                with m.If(start):
                    m.d.sync += [
                        left.eq(count),
                        at.eq(0),
                        cycles.eq(0),
                        read_bytes.eq(0),
                        write_bytes.eq(0),
                        status.eq(Status.RUNNING),
                        error.eq(Error.NONE),
                    ]
                    m.next = "read"
            with m.State("read"):
                m.d.comb += self.m_axi_arvalid.eq(left != 0)
                with m.If(fault == FAULTS.index("drop")):
                    m.d.comb += self.m_axi_arvalid.eq(cycles[0])
                with m.If(left == 0):
                    m.d.sync += [status.eq(Status.DONE), pending.eq(1)]
                    m.next = "idle"
                with m.Elif(self.m_axi_arready & self.m_axi_arvalid):
                    m.next = "data"
            with m.State("data"):
                m.d.comb += self.m_axi_rready.eq(1)
                with m.If(self.m_axi_rvalid):
                    m.d.sync += [
                        Cat(buffer).word_select(index, 64).eq(self.m_axi_rdata),
                        index.eq(index + 1),
                        read_bytes.eq(read_bytes + 8),
                    ]
                    with m.If(self.m_axi_rresp != 0):
                        m.d.sync += error.eq(Error.READ_RESPONSE)
                    with m.If(self.m_axi_rlast):
                        m.next = "write"
            with m.State("write"):
                m.d.comb += self.m_axi_awvalid.eq(1)
                with m.If(self.m_axi_awready):
                    m.next = "words"
            with m.State("words"):
                m.d.comb += self.m_axi_wvalid.eq(1)
                with m.If(self.m_axi_wready):
                    m.d.sync += [index.eq(index + 1), write_bytes.eq(write_bytes + 8)]
                    with m.If(index == 7):
                        m.next = "response"
            with m.State("response"):
                m.d.comb += self.m_axi_bready.eq(1)
                with m.If(self.m_axi_bvalid):
                    m.d.sync += [left.eq(left - 1), at.eq(at + 64)]
                    with m.If(self.m_axi_bresp != 0):
                        m.d.sync += error.eq(Error.WRITE_RESPONSE)
                    with m.If((self.m_axi_bresp != 0) | (error != 0)):
                        m.d.sync += [status.eq(Status.ERROR), pending.eq(1)]
                        m.next = "idle"
                    with m.Else():
                        m.next = "read"

        value, total = self.m_axi_rdata[:16], C(0, 32)
        for i in range(self.extra):
            m.submodules[f"mac_{i}"] = mac = Mac()
            m.d.comb += [mac.value.eq(value), mac.sum_in.eq(total)]
            value, total = mac.value_out, mac.sum_out
        if self.extra:
            m.d.comb += self.m_axi_arid.eq(total == 0x12345678)
        return m
