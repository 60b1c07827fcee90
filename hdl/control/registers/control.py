"""The register file: start, status, windows, interrupt, watchdog, reset, errors."""

from amaranth.hdl import Cat, Const, Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.control.registers.interrupt import Interrupt
from hdl.control.registers.lite_slave import LiteSlave
from hdl.control.registers.plain_registers import PlainRegisters
from hdl.control.registers.supervisor import Supervisor
from hdl.isa import COUNTERS, ID_VALUE, INDEX, VERSION_VALUE, Error, Register
from hdl.lib.axi import ADDRESS, lite_ports

PLAIN = ("program", "count", "read_base", "read_limit", "write_base", "write_limit")
WATCHED = ("finished", "progress", "quiet")
TOLD = ("start", "running", "halt", "core_reset")


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
    that, two cycles after the error. Writes to the other registers are ignored while a program
    runs. A read takes six cycles, a write five.
    """

    def __init__(self, config: Config, sources: int):
        self.config, self.sources = config, sources
        super().__init__(
            {
                **lite_ports(),
                "interrupt": Out(1),
                **{name: Out(32 if name == "count" else ADDRESS) for name in PLAIN},
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
        m.submodules.slave = slave = LiteSlave()
        m.submodules.plain = plain = PlainRegisters(self.config)
        m.submodules.interrupts = interrupts = Interrupt()
        m.submodules.supervisor = supervisor = Supervisor(self.config, self.sources)
        for name, member in lite_ports().items():
            inner, outer = getattr(slave, name), getattr(self, name)
            m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)

        # ---- what is written ------------------------------------------------------------
        def written(register: Register) -> Value:
            """Its low byte is."""
            return slave.write & slave.chosen[register >> 2] & slave.strobe[0]

        m.d.comb += [
            plain.write.eq(slave.write),
            plain.chosen.eq(slave.chosen),
            plain.value.eq(slave.value),
            plain.strobe.eq(slave.strobe),
            plain.locked.eq(supervisor.running),
            supervisor.go.eq(written(Register.CONTROL) & slave.value[0]),
            supervisor.reset.eq(written(Register.CONTROL) & slave.value[1]),
            supervisor.limit.eq(plain.watchdog),
            interrupts.write.eq(written(Register.INTERRUPT)),
            interrupts.value.eq(slave.value),
            interrupts.ended.eq(supervisor.ended),
            interrupts.over.eq(supervisor.over),
        ]

        # ---- what is read ---------------------------------------------------------------
        status = Value.cast(supervisor.status)
        shown = {
            Register.ID: ID_VALUE,
            Register.VERSION: VERSION_VALUE,
            Register.STATUS: Cat(status, Const(0, 8 - len(status)), supervisor.error),
            Register.ERROR_INDEX: supervisor.error_index,
            Register.INTERRUPT: Cat(interrupts.enable, interrupts.pending),
            Register.WATCHDOG: plain.watchdog,
            Register.PES: self.config.pes,
            Register.GLB_WORDS: self.config.glb_words,
            **{Register[name.upper()]: getattr(plain, name) for name in PLAIN},
        }
        m.d.comb += [
            *(slave.registers[register >> 2].eq(value) for register, value in shown.items()),
            self.counter.eq(slave.counter),
            slave.counter_value.eq(self.counter_value),
        ]

        # ---- the machine ----------------------------------------------------------------
        for i in range(self.sources):
            m.d.comb += [
                supervisor.codes[i].eq(self.codes[i]),
                supervisor.indices[i].eq(self.indices[i]),
                supervisor.busy[i].eq(self.busy[i]),
            ]
        m.d.comb += [
            *(getattr(supervisor, name).eq(getattr(self, name)) for name in WATCHED),
            *(getattr(self, name).eq(getattr(supervisor, name)) for name in TOLD),
            *(getattr(self, name).eq(getattr(plain, name)) for name in PLAIN),
            self.interrupt.eq(interrupts.interrupt),
        ]
        return m
