"""The register file: start, status, windows, interrupt, watchdog, reset, errors."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .axi import ADDRESS, lite_ports
from .config import Config
from .isa import COUNTERS, ID_VALUE, VERSION_VALUE, Error, Register, Status
from .issue import INDEX

SETTLE = 4     # cycles an end is watched for a late error


class Control(wiring.Component):
    """AXI4-Lite slave `s_axi_*` with the registers of isa.Register.

    Members: `interrupt`; registers as outputs (stable while `running`): `program`, `count`,
    `read_base`, `read_limit`, `write_base`, `write_limit`; `start`, a pulse; `running`;
    `finished`, everything dispatched and idle; `codes[i]`, `indices[i]`: error and program
    index of source i; `progress`, something moved; `oldest`, index of the oldest
    unfinished command; `quiet`, no AXI transaction is pending; `halt`, from an error or a
    reset request until the reset; `core_reset`; `counter`, the index of the counter read, and
    `counter_value`, its value three cycles later.

    Starts only from IDLE or DONE; after an error CONTROL must reset first. A reset waits
    until the bus is quiet, or for WATCHDOG cycles when that is not 0; then STATUS is IDLE.
    The first error wins, of one cycle the lowest source. Writes to the other registers are
    ignored while a program runs. Addresses have config.address_bits, COUNT config.count_bits; what is written
    above is lost. A read takes six cycles, a write three.
    """

    def __init__(self, config: Config, sources: int):
        self.config, self.sources = config, sources
        super().__init__({
            **lite_ports(),
            "interrupt": Out(1),
            "program": Out(ADDRESS), "count": Out(32),
            "read_base": Out(ADDRESS), "read_limit": Out(ADDRESS),
            "write_base": Out(ADDRESS), "write_limit": Out(ADDRESS),
            "start": Out(1), "running": Out(1), "finished": In(1),
            "codes": In(Error).array(sources), "indices": In(INDEX).array(sources),
            "progress": In(1), "oldest": In(INDEX), "quiet": In(1),
            "halt": Out(1), "core_reset": Out(1),
            "counter": Out(range(len(COUNTERS))), "counter_value": In(64),
        })

    def elaborate(self, platform):
        m = Module()
        status = Signal(Status)
        error = Signal(Error)
        error_index = Signal(INDEX)
        enable, pending = Signal(), Signal()
        watchdog = Signal(32)
        resetting = Signal()

        # ---- writes ---------------------------------------------------------------------
        address, value, strobe = Signal(12), Signal(32), Signal(4)
        have_address, have_value = Signal(), Signal()
        write = Signal()
        mask = Cat(b.replicate(8) for b in strobe)
        m.d.comb += [
            self.s_axi_awready.eq(~have_address), self.s_axi_wready.eq(~have_value),
            write.eq(have_address & have_value & (~self.s_axi_bvalid | self.s_axi_bready)),
        ]
        with m.If(self.s_axi_awvalid & self.s_axi_awready):
            m.d.sync += [have_address.eq(1), address.eq(self.s_axi_awaddr)]
        with m.If(self.s_axi_wvalid & self.s_axi_wready):
            m.d.sync += [have_value.eq(1), value.eq(self.s_axi_wdata), strobe.eq(self.s_axi_wstrb)]
        with m.If(self.s_axi_bready):
            m.d.sync += self.s_axi_bvalid.eq(0)
        with m.If(write):
            m.d.sync += [have_address.eq(0), have_value.eq(0), self.s_axi_bvalid.eq(1)]

        bits, count_bits = self.config.address_bits, self.config.count_bits
        plain = {Register.PROGRAM: self.program[:bits], Register.COUNT: self.count[:count_bits],
                 Register.READ_BASE: self.read_base[:bits], Register.READ_LIMIT: self.read_limit[:bits],
                 Register.WRITE_BASE: self.write_base[:bits], Register.WRITE_LIMIT: self.write_limit[:bits],
                 Register.WATCHDOG: watchdog}
        go, reset = Signal(), Signal()
        with m.If(write):
            with m.Switch(address[2:]):
                with m.Case(Register.CONTROL >> 2):
                    m.d.comb += [go.eq(value[0] & strobe[0]), reset.eq(value[1] & strobe[0])]
                with m.Case(Register.INTERRUPT >> 2):
                    with m.If(strobe[0]):
                        m.d.sync += enable.eq(value[0])
                        with m.If(value[1]):
                            m.d.sync += pending.eq(0)
                for register, target in plain.items():
                    with m.Case(register >> 2):
                        with m.If(~self.running):
                            m.d.sync += target.eq((target & ~mask) | (value & mask))
                            if register == Register.PROGRAM:
                                m.d.sync += target[:6].eq(0)

        # ---- reads ----------------------------------------------------------------------
        where = Signal(12)
        plain |= {
            Register.ID: ID_VALUE, Register.VERSION: VERSION_VALUE,
            Register.STATUS: Cat(status, Const(0, 8 - len(status)), error),
            Register.ERROR_INDEX: error_index, Register.INTERRUPT: Cat(enable, pending),
            Register.PES: self.config.pes, Register.GLB_WORDS: self.config.glb_words,
        }
        m.d.comb += self.counter.eq((where - Register.COUNTERS)[3:])
        wait = Signal(2)
        with m.FSM():
            with m.State("Address"):
                m.d.comb += self.s_axi_arready.eq(1)
                with m.If(self.s_axi_arvalid):
                    m.d.sync += [where.eq(self.s_axi_araddr), wait.eq(3)]
                    m.next = "Look up"
            with m.State("Look up"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.d.sync += self.s_axi_rdata.eq(0)
                    with m.Switch(where[2:]):
                        for register, source in plain.items():
                            with m.Case(register >> 2):
                                m.d.sync += self.s_axi_rdata.eq(source)
                    with m.If((where >= Register.COUNTERS)
                              & (where < Register.COUNTERS + 8 * len(COUNTERS))):
                        m.d.sync += self.s_axi_rdata.eq(
                            Mux(where[2], self.counter_value[32:], self.counter_value[:32]))
                    m.next = "Answer"
            with m.State("Answer"):
                m.d.comb += self.s_axi_rvalid.eq(1)
                with m.If(self.s_axi_rready):
                    m.next = "Address"

        # ---- errors ---------------------------------------------------------------------
        waited = Signal(32)            # cycles without movement, or of a reset
        draining = Signal()
        barked = Signal()
        count = Signal(range(SETTLE + 1))
        codes = [Signal(Error, name=f"code_{i}") for i in range(self.sources)]
        indices = [Signal(INDEX, name=f"index_{i}") for i in range(self.sources)]
        m.d.comb += barked.eq((watchdog != 0) & (waited >= watchdog))
        for i in range(self.sources):
            with m.If(self.running & (codes[i] == Error.NONE)):
                m.d.sync += [codes[i].eq(self.codes[i]), indices[i].eq(self.indices[i])]
            with m.If(self.core_reset | self.start):
                m.d.sync += codes[i].eq(Error.NONE)

        with m.If((self.progress | ~self.running | reset) & ~draining):
            m.d.sync += waited.eq(0)
        with m.Else():
            m.d.sync += waited.eq(waited + 1)

        # ---- life of a program ----------------------------------------------------------
        m.d.comb += [
            self.running.eq(status == Status.RUNNING),
            self.halt.eq((status == Status.ERROR) | resetting),
            self.start.eq(go & ~reset & ~resetting
                          & ((status == Status.IDLE) | (status == Status.DONE))),
            self.interrupt.eq(enable & pending),
        ]
        with m.If(self.start):
            m.d.sync += [status.eq(Status.RUNNING), error.eq(Error.NONE), error_index.eq(0),
                         count.eq(0)]
        with m.If(self.running & ~resetting):
            m.d.sync += count.eq(Mux(self.finished, count + 1, 0))
            with m.If(count == SETTLE):
                m.d.sync += [status.eq(Status.DONE), pending.eq(1)]
            with m.If(barked):
                m.d.sync += [status.eq(Status.ERROR), error.eq(Error.WATCHDOG),
                             error_index.eq(self.oldest), pending.eq(1)]
            for i in reversed(range(self.sources)):
                with m.If(codes[i] != Error.NONE):
                    m.d.sync += [status.eq(Status.ERROR), error.eq(codes[i]),
                                 error_index.eq(indices[i]), pending.eq(1)]

        with m.FSM():
            with m.State("Ready"):
                with m.If(reset):
                    m.d.sync += resetting.eq(1)
                    m.next = "Drain"
            with m.State("Drain"):
                m.d.comb += draining.eq(1)
                with m.If((self.quiet & (waited >= SETTLE)) | barked):
                    m.next = "Reset"
            with m.State("Reset"):
                m.d.comb += self.core_reset.eq(1)
                m.d.sync += [resetting.eq(0), status.eq(Status.IDLE), error.eq(Error.NONE),
                             error_index.eq(0), pending.eq(0)]
                m.next = "Ready"
        return m
