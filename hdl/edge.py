"""Everything between the outside and the core: registers, program, LOAD, STORE, AXI."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.buffer.words import GlbWrite
from hdl.command_unit import CommandUnit, engine_port
from hdl.config import Config
from hdl.control.counters import CORE_EVENTS, Counters, events
from hdl.control.words import engines
from hdl.isa import WORD_ADDR, ConfigBody
from hdl.lib.axi import ADDRESS, ReadMaster, lite_ports, master_ports
from hdl.lib.near_reset import near_reset
from hdl.memory.arbiter import ReadArbiter
from hdl.memory.axi_ports import BEAT_BYTES, AxiPorts
from hdl.memory.load.load import Load
from hdl.memory.store.store import Store


def core_engines(config: Config) -> dict:
    """The engines that are in the core -> what they execute."""
    return {n: body for n, body in engines(config).items() if n not in ("load", "store")}


class Edge(wiring.Component):
    """The accelerator without its core.

    Members, outside: flat `m_axi_*` (AXI4 master, 64-bit data), `s_axi_*` (AXI4-Lite slave)
    and `interrupt`. To the core: `ifmap`, `filter`, `psum`, `ofmap` and, with a sparse
    engine, `fill` and `sparse`, each with `command`, `done`, `freed` and `error`, and for the
    latter `column_read`, an AXI read master, with its window `read_base` and `read_limit`;
    `config`, stream of ConfigBody, offered when these four are idle (ready when the chain has
    taken it) and `config_refused`, its mapping does not fit the chain; `load_write`, stream of
    GlbWrite; `store_request` and `store_response`, a read port of the global buffer; `events`,
    increments of the
    core's counters; `progress`, a word moved in the core (keeps the watchdog quiet);
    `running`; `halt`, from an error to the reset; `core_reset`, one cycle, resets the core
    as it does the engines here, a cycle later.

    The outside may stall every channel for ever without harm but to time. A forced reset
    (CONTROL with a bus that never answers, after WATCHDOG cycles) leaves the AXI bus with
    transactions open; it needs a reset of its own.
    """

    def __init__(self, config: Config):
        self.build = config
        super().__init__(
            {
                **master_ports(),
                **lite_ports(),
                "interrupt": Out(1),
                **{n: Out(engine_port(body)) for n, body in core_engines(config).items()},
                **(
                    {
                        "column_read": In(ReadMaster),
                        "read_base": Out(ADDRESS),
                        "read_limit": Out(ADDRESS),
                    }
                    if config.sparse_pes
                    else {}
                ),
                "config": Out(stream.Signature(ConfigBody)),
                "load_write": Out(stream.Signature(GlbWrite)),
                "store_request": Out(stream.Signature(WORD_ADDR)),
                "store_response": In(stream.Signature(unsigned(128))),
                "events": In(events(config, CORE_EVENTS)),
                "progress": In(1),
                "config_refused": In(1),
                "running": Out(1),
                "halt": Out(1),
                "core_reset": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c = self.build
        m.submodules.commands = commands = CommandUnit(c)
        m.submodules.axi = axi = AxiPorts()
        m.submodules.counters = counters = Counters(c)
        reset, _ = near_reset(m, "engine", commands.core_reset)
        load = Load(address=c.address_bits, rlc=c.rlc)
        store = Store(c.glb_entry_bits, address=c.address_bits, lanes=c.store_lanes, rlc=c.rlc)
        arbiter = ReadArbiter(c.sparse_pes > 0)
        for name, engine in (("load_engine", load), ("store_engine", store), ("arbiter", arbiter)):
            m.submodules[name] = reset(engine)

        # The outside.
        for part, ports in ((commands, lite_ports()), (axi, master_ports())):
            for name, member in ports.items():
                inner, outer = getattr(part, name), getattr(self, name)
                m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)
        wiring.connect(m, arbiter.address, axi.address)
        wiring.connect(m, axi.data, arbiter.data)
        wiring.connect(m, store.write, axi.write)

        # Engines, here and in the core.
        for name, engine in (("load", load), ("store", store)):
            port = getattr(commands, name)
            wiring.connect(m, port.command, engine.command)
            number, happens = list(engines(c)).index(name), counters.events
            m.d.comb += [
                port.done.eq(engine.done),
                port.error.eq(engine.error),
                happens[f"{name}_busy"].eq(commands.active[number]),
                happens[f"{name}_wait"].eq(commands.waiting[number]),
            ]
        for name in core_engines(c):
            wiring.connect(m, getattr(commands, name), wiring.flipped(getattr(self, name)))
        wiring.connect(m, commands.config, wiring.flipped(self.config))
        for name in ("interrupt", "running", "halt", "core_reset"):
            m.d.comb += getattr(self, name).eq(getattr(commands, name))
        m.d.comb += [
            commands.config_refused.eq(self.config_refused),
            commands.quiet.eq(~arbiter.outstanding & ~store.outstanding),
            Cat(load.base, load.limit).eq(Cat(commands.read_base, commands.read_limit)),
            Cat(store.base, store.limit).eq(Cat(commands.write_base, commands.write_limit)),
            store.halt.eq(commands.halt),
            arbiter.halt.eq(commands.halt),
        ]

        # Memory, and the global buffer.
        wiring.connect(m, commands.read, arbiter.fetch)
        wiring.connect(m, load.read, arbiter.load)
        wiring.connect(m, load.write, wiring.flipped(self.load_write))
        wiring.connect(m, store.request, wiring.flipped(self.store_request))
        wiring.connect(m, wiring.flipped(self.store_response), store.response)
        if c.sparse_pes:
            wiring.connect(m, wiring.flipped(self.column_read), arbiter.columns)
            window = Cat(commands.read_base, commands.read_limit)
            m.d.comb += Cat(self.read_base, self.read_limit).eq(window)

        # What moves keeps the watchdog quiet.
        ways = (load.write, store.request, store.response)
        moved = Signal(len(axi.moves) + len(ways) + 1)
        m.d.sync += moved.eq(
            Cat(axi.moves, *(way.valid & way.ready for way in ways), self.progress)
        )
        m.d.comb += commands.progress.eq(moved.any())

        # Counters.
        column, happens = arbiter.columns.data, counters.events
        m.d.comb += [happens[name].eq(self.events[name]) for name in CORE_EVENTS]
        m.d.comb += [
            Cat(counters.enable, counters.clear).eq(Cat(commands.running, commands.start)),
            counters.index.eq(commands.counter),
            commands.counter_value.eq(counters.value),
            happens.cycles.eq(1),
            happens.dram_read_bytes.eq(axi.read_bytes),
            happens.dram_write_bytes.eq(axi.write_bytes),
            happens.command_bytes.eq(axi.command_bytes),
            happens.sparse_bytes.eq(Mux(column.valid & column.ready, BEAT_BYTES, 0)),
        ]
        return m
