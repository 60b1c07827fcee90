"""The register file: start, status, windows, interrupt, watchdog, reset, errors."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.isa import COUNTERS, ID_VALUE, INDEX, VERSION_VALUE, Error, Register, Status
from hdl.lib.axi import ADDRESS, lite_ports

SETTLE = 4  # cycles an end is watched for a late error, and a reset for its end
RESET = 3  # cycles of a reset


class Control(wiring.Component):
    """AXI4-Lite slave `s_axi_*` with the registers of isa.Register.

    Members: `interrupt`; registers as outputs (stable while `running`): `program`, `count`,
    `read_base`, `read_limit`, `write_base`, `write_limit`; `start`, a pulse; `running`; `finished`,
    everything dispatched and idle; `codes[i]`, `indices[i]`: error and program index of source i;
    `busy[i]`, it has a command, which `indices[i]` says; `progress`, something moved; `quiet`, no
    AXI transaction is pending; `halt`, from an error or a reset request until the reset is over;
    `core_reset`, RESET cycles; `counter`, the index of the counter read, and `counter_value`, its
    value three cycles later.

    Starts only from IDLE or DONE; after an error CONTROL must reset first. A reset waits until the
    bus is quiet, or for WATCHDOG cycles when that is not 0; then STATUS is IDLE. The first error
    wins, of one cycle the lowest source; a look at all sources, one a cycle, finds it, and the
    oldest command when WATCHDOG has run out, before STATUS shows the error; `halt` comes before
    that, two cycles after the error. STATUS is IDLE SETTLE + 1 cycles after `core_reset`, so that
    what is reset may take as long. Writes to the other registers are ignored while a program runs.
    Addresses have config.address_bits, COUNT config.count_bits; what is written above is lost. A
    read takes six cycles, a write five.
    """

    def __init__(self, config: Config, sources: int):
        self.config, self.sources = config, sources
        super().__init__(
            {
                **lite_ports(),
                "interrupt": Out(1),
                "program": Out(ADDRESS),
                "count": Out(32),
                "read_base": Out(ADDRESS),
                "read_limit": Out(ADDRESS),
                "write_base": Out(ADDRESS),
                "write_limit": Out(ADDRESS),
                "start": Out(1),
                "running": Out(1),
                "finished": In(1),
                "codes": In(Error).array(sources),
                "indices": In(INDEX).array(sources),
                "busy": In(1).array(sources),
                "progress": In(1),
                "quiet": In(1),
                "halt": Out(1),
                "core_reset": Out(1),
                "counter": Out(range(len(COUNTERS))),
                "counter_value": In(64),
            }
        )

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
        # write: a cycle later, the register's choice is in `chosen`
        ask, write, done = Signal(), Signal(), Signal()
        chosen = Signal(0x40 // 4)
        m.d.comb += [
            self.s_axi_awready.eq(~have_address),
            self.s_axi_wready.eq(~have_value),
            ask.eq(have_address & have_value & ~write & ~done & ~self.s_axi_bvalid),
        ]
        with m.If(self.s_axi_awvalid & self.s_axi_awready):
            m.d.sync += [have_address.eq(1), address.eq(self.s_axi_awaddr)]
        with m.If(self.s_axi_wvalid & self.s_axi_wready):
            m.d.sync += [have_value.eq(1), value.eq(self.s_axi_wdata), strobe.eq(self.s_axi_wstrb)]
        with m.If(self.s_axi_bready):
            m.d.sync += self.s_axi_bvalid.eq(0)
        with m.If(write):
            m.d.sync += [have_address.eq(0), have_value.eq(0)]
        with m.If(done):  # a start is under way by now
            m.d.sync += self.s_axi_bvalid.eq(1)
        m.d.sync += [
            write.eq(ask),
            done.eq(write),
            chosen.eq(Cat(address[2:] == n for n in range(len(chosen)))),
        ]

        bits, count_bits = self.config.address_bits, self.config.count_bits
        plain = {
            Register.PROGRAM: self.program[:bits],
            Register.COUNT: self.count[:count_bits],
            Register.READ_BASE: self.read_base[:bits],
            Register.READ_LIMIT: self.read_limit[:bits],
            Register.WRITE_BASE: self.write_base[:bits],
            Register.WRITE_LIMIT: self.write_limit[:bits],
            Register.WATCHDOG: watchdog,
        }
        go, reset = Signal(), Signal()
        m.d.comb += [
            go.eq(write & chosen[Register.CONTROL >> 2] & value[0] & strobe[0]),
            reset.eq(write & chosen[Register.CONTROL >> 2] & value[1] & strobe[0]),
        ]
        with m.If(write & chosen[Register.INTERRUPT >> 2] & strobe[0]):
            m.d.sync += enable.eq(value[0])
            with m.If(value[1]):
                m.d.sync += pending.eq(0)
        for register, target in plain.items():
            for n in range(-(-len(target) // 8)):
                with m.If(write & chosen[register >> 2] & strobe[n] & ~self.running):
                    m.d.sync += target[8 * n : 8 * n + 8].eq(value[8 * n : 8 * n + 8])
                    if register == Register.PROGRAM and n == 0:
                        m.d.sync += target[:6].eq(0)

        # ---- reads ----------------------------------------------------------------------
        where = Signal(12)
        plain |= {
            Register.ID: ID_VALUE,
            Register.VERSION: VERSION_VALUE,
            Register.STATUS: Cat(status, Const(0, 8 - len(status)), error),
            Register.ERROR_INDEX: error_index,
            Register.INTERRUPT: Cat(enable, pending),
            Register.PES: self.config.pes,
            Register.GLB_WORDS: self.config.glb_words,
        }
        found_low, is_low, is_counter = Signal(32), Signal(), Signal()  # a cycle behind `where`
        m.d.comb += self.counter.eq((where - Register.COUNTERS)[3:])
        m.d.sync += [
            found_low.eq(0),
            is_low.eq(where < 0x40),
            is_counter.eq(
                (where >= Register.COUNTERS) & (where < Register.COUNTERS + 8 * len(COUNTERS))
            ),
        ]
        with m.Switch(where[2:6]):
            for register, source in plain.items():
                with m.Case(register >> 2):
                    m.d.sync += found_low.eq(source)
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
                    m.d.sync += self.s_axi_rdata.eq(Mux(is_low, found_low, 0))
                    with m.If(is_counter):
                        m.d.sync += self.s_axi_rdata.eq(
                            self.counter_value.word_select(where[2], 32)
                        )
                    m.next = "Answer"
            with m.State("Answer"):
                m.d.comb += self.s_axi_rvalid.eq(1)
                with m.If(self.s_axi_rready):
                    m.next = "Address"

        # ---- errors ---------------------------------------------------------------------
        waited = Signal(32)  # cycles without movement, or of a reset
        draining, still, barked, quiet = Signal(), Signal(), Signal(), Signal()
        count, settled = Signal(range(SETTLE + 1)), Signal(range(SETTLE + 1))
        width = self.config.index_bits
        codes = Array(Signal(Error, name=f"code_{i}") for i in range(self.sources))
        indices = Array(
            Signal(width, name=f"index_{i}", reset_less=True) for i in range(self.sources)
        )
        wrong, found = Signal(self.sources), Signal()  # sources with an error, all of one cycle
        m.d.comb += [
            found.eq(wrong.any()),
            still.eq((self.progress | ~self.running | reset) & ~draining),
        ]
        # All follow their sources until the first error.
        for i in range(self.sources):
            with m.If(~found):
                m.d.sync += [
                    codes[i].eq(self.codes[i]),
                    indices[i].eq(self.indices[i]),
                    wrong[i].eq(self.running & (self.codes[i] != Error.NONE)),
                ]
        with m.If(self.core_reset | self.start):
            m.d.sync += wrong.eq(0)
        m.d.sync += [
            quiet.eq(self.quiet),
            barked.eq((watchdog != 0) & (waited >= watchdog) & ~still),
        ]
        with m.If(still):
            m.d.sync += waited.eq(0)
        with m.Else():
            m.d.sync += waited.eq(waited + 1)

        # ---- life of a program ----------------------------------------------------------
        m.d.comb += [self.running.eq(status == Status.RUNNING), self.interrupt.eq(enable & pending)]
        m.d.sync += [
            self.halt.eq((status == Status.ERROR) | resetting | found),
            self.start.eq(
                go
                & ~reset
                & ~resetting
                & ~self.start
                & ((status == Status.IDLE) | (status == Status.DONE))
            ),
        ]
        with m.If(self.start):
            m.d.sync += [
                status.eq(Status.RUNNING),
                error.eq(Error.NONE),
                error_index.eq(0),
                count.eq(0),
            ]
        with m.If(self.running & ~resetting & ~found):
            m.d.sync += count.eq(Mux(self.finished, count + 1, 0))
            with m.If(count == SETTLE):
                m.d.sync += [status.eq(Status.DONE), pending.eq(1)]

        # The look at the sources, from the last to the first: the lowest in error, or the oldest
        # command.
        source, seen = Signal(range(self.sources)), Signal(range(self.sources))
        code, index, best = Signal(Error), Signal(width), Signal(width)
        shows, take, some, last_code = Signal(), Signal(), Signal(), Signal(Error)
        m.d.sync += [
            code.eq(codes[source]),
            index.eq(indices[source]),
            seen.eq(source),
            shows.eq(Mux(found, wrong.bit_select(source, 1), Array(self.busy)[source])),
        ]
        with m.FSM():
            with m.State("Watch"):
                m.d.sync += [source.eq(self.sources - 1), some.eq(0)]
                with m.If(self.running & ~resetting & (found | barked)):
                    m.next = "Turn"
            with m.State("Turn"):
                m.d.sync += source.eq(source - 1)
                m.next = "Look"
            with m.State("Look"):
                m.d.comb += take.eq(shows & (found | ~some | (index < best)))
                m.d.sync += source.eq(source - 1)
                with m.If(take):
                    m.d.sync += [best.eq(index), some.eq(1), last_code.eq(code)]
                with m.If(seen == 0):
                    m.next = "Tell"
            with m.State("Tell"):
                with m.If(self.running & ~resetting):
                    m.d.sync += [
                        status.eq(Status.ERROR),
                        error.eq(Mux(found, last_code, Error.WATCHDOG)),
                        error_index.eq(best),
                        pending.eq(1),
                    ]
                m.next = "Watch"

        with m.FSM():
            with m.State("Ready"):
                with m.If(reset):
                    m.d.sync += resetting.eq(1)
                    m.next = "Drain"
            with m.State("Drain"):
                m.d.comb += draining.eq(1)
                with m.If((quiet & (waited >= SETTLE)) | barked):
                    m.d.sync += [self.core_reset.eq(1), settled.eq(SETTLE)]
                    m.next = "Reset"
            with m.State("Reset"):
                m.d.sync += [
                    settled.eq(settled - 1),
                    self.core_reset.eq(settled > SETTLE + 1 - RESET),
                ]
                with m.If(settled == 0):
                    m.d.sync += [
                        resetting.eq(0),
                        status.eq(Status.IDLE),
                        error.eq(Error.NONE),
                        error_index.eq(0),
                        pending.eq(0),
                    ]
                    m.next = "Ready"
        return m
