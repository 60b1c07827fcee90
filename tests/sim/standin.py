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


class State:
    """What software writes and reads."""

    def __init__(self):
        self.program = Signal(32)
        self.count = Signal(32)
        self.base = Signal(32)
        self.enable = Signal()
        self.pending = Signal()
        self.status = Signal(8)
        self.error = Signal(8)
        self.cycles = Signal(64)
        self.read_bytes = Signal(64)
        self.write_bytes = Signal(64)
        self.start = Signal()
        self.fault = Signal(range(len(FAULTS)))

    def is_fault(self, name):
        return self.fault == FAULTS.index(name)


class StandIn(wiring.Component):
    """What is written to READ_BASE, a place in FAULTS, breaks a rule on purpose."""

    def __init__(self, config=PRESETS["tiny"], extra=0):
        self.config, self.extra = config, extra
        super().__init__(AXI)

    def elaborate(self, platform):
        m, state = Module(), State()
        self._handshakes(m)
        with m.If(self.s_axi_awready):
            self._write(m, state)
        with m.If(self.s_axi_arvalid & self.s_axi_arready):
            self._read(m, state)
        m.d.comb += self.interrupt.eq(state.enable & state.pending)
        self._copy(m, state)
        self._macs(m)
        return m

    def _handshakes(self, m):
        """Of AXI4-Lite: one access at a time."""
        m.d.comb += [
            self.s_axi_awready.eq(self.s_axi_awvalid & self.s_axi_wvalid & ~self.s_axi_bvalid),
            self.s_axi_wready.eq(self.s_axi_awready),
            self.s_axi_arready.eq(~self.s_axi_rvalid),
        ]
        with m.If(self.s_axi_bready):
            m.d.sync += self.s_axi_bvalid.eq(0)
        with m.If(self.s_axi_rready):
            m.d.sync += self.s_axi_rvalid.eq(0)

    def _write(self, m, state):
        """A register takes what is written."""
        data = self.s_axi_wdata
        m.d.sync += [self.s_axi_bvalid.eq(1), self.s_axi_bresp.eq(0)]
        with m.Switch(self.s_axi_awaddr):
            with m.Case(Register.CONTROL):
                m.d.comb += state.start.eq(data[0])
            with m.Case(Register.PROGRAM):
                m.d.sync += state.program.eq(data)
            with m.Case(Register.COUNT):
                m.d.sync += state.count.eq(data)
            with m.Case(Register.WRITE_BASE):
                m.d.sync += state.base.eq(data)
            with m.Case(Register.READ_BASE):
                m.d.sync += state.fault.eq(data)
            with m.Case(Register.INTERRUPT):
                m.d.sync += state.enable.eq(data[0])
                with m.If(data[1]):
                    m.d.sync += state.pending.eq(0)
            with m.Default():
                m.d.sync += self.s_axi_bresp.eq(2)

    def _read(self, m, state):
        """The answer to a read of a register."""
        m.d.sync += [self.s_axi_rvalid.eq(1), self.s_axi_rresp.eq(0), self.s_axi_rdata.eq(0)]
        with m.Switch(self.s_axi_araddr):
            for at, value in self._values(state).items():
                with m.Case(int(at)):
                    m.d.sync += self.s_axi_rdata.eq(value)
            with m.Default():
                m.d.sync += self.s_axi_rresp.eq(2)

    def _values(self, state):
        """What every register reads as, by address."""
        values = {
            Register.ID: C(ID_VALUE, 32),
            Register.VERSION: C(VERSION_VALUE, 32),
            Register.STATUS: Cat(state.status, state.error),
            Register.PROGRAM: state.program,
            Register.COUNT: state.count,
            Register.INTERRUPT: Cat(state.enable, state.pending),
            Register.PES: C(self.config.pes, 32),
        }
        for name, counter in (
            ("cycles", state.cycles),
            ("dram_read_bytes", state.read_bytes),
            ("dram_write_bytes", state.write_bytes),
        ):
            at = Register.COUNTERS + 8 * COUNTERS.index(name)
            values[at], values[at + 4] = counter[:32], counter[32:]
        return values

    def _copy(self, m, state):
        """A burst is read into a buffer, then written."""
        buffer = Cat(Signal(64, name=f"buffer_{i}") for i in range(8))
        index, left, at = Signal(3), Signal(32), Signal(32)
        word = buffer.word_select(index, 64)
        self._bursts(m, state, at, index, word)
        with m.If(state.status == Status.RUNNING):
            m.d.sync += state.cycles.eq(state.cycles + 1)
        with m.FSM():
            self._idle_state(m, state, left, at)
            self._read_states(m, state, left, index, word)
            self._write_states(m, state, left, at, index)

    def _bursts(self, m, state, at, index, word):
        """Addresses of bursts of eight words, and the data of writes."""
        m.d.comb += [
            self.m_axi_araddr.eq(state.program + at),
            self.m_axi_arlen.eq(7),
            self.m_axi_arsize.eq(3),
            self.m_axi_arburst.eq(1),
            self.m_axi_awaddr.eq(state.base + at),
            self.m_axi_awlen.eq(7),
            self.m_axi_awsize.eq(3),
            self.m_axi_awburst.eq(1),
            self.m_axi_wdata.eq(word),
            self.m_axi_wstrb.eq(0xFF),
            self.m_axi_wlast.eq(index == Mux(state.is_fault("last"), 5, 7)),
        ]
        with m.If(state.is_fault("4k")):
            m.d.comb += self.m_axi_arlen.eq(255)

    def _idle_state(self, m, state, left, at):
        with m.State("idle"):
            with m.If(state.start):
                m.d.sync += [
                    left.eq(state.count),
                    at.eq(0),
                    state.cycles.eq(0),
                    state.read_bytes.eq(0),
                    state.write_bytes.eq(0),
                    state.status.eq(Status.RUNNING),
                    state.error.eq(Error.NONE),
                ]
                m.next = "read"

    def _read_states(self, m, state, left, index, word):
        with m.State("read"):
            m.d.comb += self.m_axi_arvalid.eq(left != 0)
            with m.If(state.is_fault("drop")):
                m.d.comb += self.m_axi_arvalid.eq(state.cycles[0])
            with m.If(left == 0):
                m.d.sync += [state.status.eq(Status.DONE), state.pending.eq(1)]
                m.next = "idle"
            with m.Elif(self.m_axi_arready & self.m_axi_arvalid):
                m.next = "data"
        with m.State("data"):
            m.d.comb += self.m_axi_rready.eq(1)
            with m.If(self.m_axi_rvalid):
                m.d.sync += [
                    word.eq(self.m_axi_rdata),
                    index.eq(index + 1),
                    state.read_bytes.eq(state.read_bytes + 8),
                ]
                with m.If(self.m_axi_rresp != 0):
                    m.d.sync += state.error.eq(Error.READ_RESPONSE)
                with m.If(self.m_axi_rlast):
                    m.next = "write"

    def _write_states(self, m, state, left, at, index):
        with m.State("write"):
            m.d.comb += self.m_axi_awvalid.eq(1)
            with m.If(self.m_axi_awready):
                m.next = "words"
        with m.State("words"):
            m.d.comb += self.m_axi_wvalid.eq(1)
            with m.If(self.m_axi_wready):
                m.d.sync += [
                    index.eq(index + 1),
                    state.write_bytes.eq(state.write_bytes + 8),
                ]
                with m.If(index == 7):
                    m.next = "response"
        with m.State("response"):
            bad = self.m_axi_bresp != 0
            m.d.comb += self.m_axi_bready.eq(1)
            with m.If(self.m_axi_bvalid):
                m.d.sync += [left.eq(left - 1), at.eq(at + 64)]
                with m.If(bad):
                    m.d.sync += state.error.eq(Error.WRITE_RESPONSE)
                with m.If(bad | (state.error != 0)):
                    m.d.sync += [state.status.eq(Status.ERROR), state.pending.eq(1)]
                    m.next = "idle"
                with m.Else():
                    m.next = "read"

    def _macs(self, m):
        """A chain of `extra` units, kept by an ID that is 0 in practice."""
        value, total = self.m_axi_rdata[:16], C(0, 32)
        for i in range(self.extra):
            m.submodules[f"mac_{i}"] = mac = Mac()
            m.d.comb += [mac.value.eq(value), mac.sum_in.eq(total)]
            value, total = mac.value_out, mac.sum_out
        if self.extra:
            m.d.comb += self.m_axi_arid.eq(total == 0x12345678)
