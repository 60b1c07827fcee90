"""Everything between the outside and the core: registers, program, LOAD, STORE, AXI."""

from amaranth.hdl import Cat, Module, Mux, ShapeLike, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.control.counters import CORE_EVENTS, Counters, events
from hdl.control.fetch.fetch import Fetch
from hdl.control.issue import Issue
from hdl.control.registers.control import Control
from hdl.control.semaphores import Semaphores
from hdl.control.words import engines
from hdl.isa import WORD_ADDR, ConfigBody, Error
from hdl.lib.axi import ADDRESS, ReadMaster, lite_ports, master_ports
from hdl.lib.near_reset import near_reset
from hdl.memory.arbiter import FETCH, ReadArbiter
from hdl.memory.load.load import GlbWrite, Load
from hdl.memory.store.store import Store

ARRAY_ENGINES = ("ifmap", "filter", "psum", "ofmap")
BEAT_BYTES = 8


def engine_port(body: ShapeLike) -> wiring.Signature:
    """What an engine in the core is driven by (docs/architecture.md, the common contract)."""
    return wiring.Signature(
        {"command": Out(stream.Signature(body)), "done": In(1), "error": In(Error)}
    )


def core_engines(config: Config) -> dict:
    """The engines that are in the core -> what they execute."""
    return {n: body for n, body in engines(config).items() if n not in ("load", "store")}


class Edge(wiring.Component):
    """The accelerator without its core.

    Members, outside: flat `m_axi_*` (AXI4 master, 64-bit data), `s_axi_*` (AXI4-Lite slave)
    and `interrupt`. To the core: `ifmap`, `filter`, `psum`, `ofmap` and, with a sparse
    engine, `fill` and `sparse`, each with `command`,
    `done` and `error`, and for the latter `column_read`, an AXI read master, with its window
    `read_base` and `read_limit`; `config`, stream of ConfigBody, offered when these four are idle
    (ready when the chain has taken it) and `config_refused`, its mapping does not fit the
    chain; `load_write`, stream of GlbWrite; `store_request`
    and `store_response`, a read port of the global buffer; `events`, increments of the
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
        bodies = engines(self.build)
        m.submodules.control = control = Control(self.build, 1 + len(bodies))
        reset, _ = near_reset(m, "engine", control.core_reset)

        def add(name, component):
            m.submodules[name] = reset(component)
            return component

        fetch = add("fetch", Fetch(self.build))
        c = self.build
        load = add("load_engine", Load(address=c.address_bits, rlc=c.rlc))
        store = add(
            "store_engine",
            Store(
                c.glb_entry_bits,
                address=c.address_bits,
                lanes=c.store_lanes,
                rlc=c.rlc,
            ),
        )
        arbiter = add("arbiter", ReadArbiter(c.sparse_pes > 0))
        m.submodules.semaphores = semaphores = Semaphores(len(bodies))
        m.submodules.counters = counters = Counters(self.build)
        issues = {
            n: add(f"issue_{n}", Issue(body, c.engine_queue(n), in_flight=c.in_flight(n)))
            for n, body in bodies.items()
        }
        m.d.comb += [
            self.running.eq(control.running),
            self.halt.eq(control.halt),
            self.core_reset.eq(control.core_reset),
            self.interrupt.eq(control.interrupt),
        ]

        # no command is that quick
        m.d.sync += semaphores.clear.eq(control.start | control.core_reset)

        # ---- commands -------------------------------------------------------------------
        m.d.comb += [
            fetch.start.eq(control.start),
            fetch.program.eq(control.program),
            fetch.count.eq(control.count),
            fetch.halt.eq(control.halt),
        ]
        for port in (fetch, load):
            m.d.comb += [port.base.eq(control.read_base), port.limit.eq(control.read_limit)]
        m.d.comb += [
            store.base.eq(control.write_base),
            store.limit.eq(control.write_limit),
            store.halt.eq(control.halt),
        ]
        m.d.comb += [
            control.codes[0].eq(fetch.error),
            control.indices[0].eq(fetch.index),
            control.busy[0].eq(fetch.busy),
        ]
        units = {
            "load": load,
            "store": store,
            **{n: getattr(self, n) for n in core_engines(self.build)},
        }
        for i, name in enumerate(bodies):
            issue, engine = issues[name], units[name]
            wiring.connect(m, getattr(fetch, name), issue.queue)
            command = (
                engine.command if name in ("load", "store") else wiring.flipped(engine.command)
            )
            wiring.connect(m, issue.command, command)
            m.d.comb += [
                issue.done.eq(engine.done),
                issue.halt.eq(control.halt),
                issue.available.eq(semaphores.available),
                semaphores.take[i].eq(issue.take),
                semaphores.give[i].eq(issue.give),
                control.codes[1 + i].eq(engine.error),
                control.indices[1 + i].eq(issue.index),
                control.busy[1 + i].eq(issue.busy),
            ]
        wiring.connect(m, fetch.config, wiring.flipped(self.config))
        m.d.comb += fetch.config_refused.eq(self.config_refused)
        # A cycle late does no harm: no command follows another that fast, and an end is watched for
        # some cycles.
        m.d.sync += [
            fetch.drained.eq(~Cat(issues[n].busy for n in ARRAY_ENGINES).any()),
            control.finished.eq(~fetch.busy & ~Cat(i.busy for i in issues.values()).any()),
        ]

        # ---- global buffer --------------------------------------------------------------
        wiring.connect(m, load.write, wiring.flipped(self.load_write))
        wiring.connect(m, store.request, wiring.flipped(self.store_request))
        wiring.connect(m, wiring.flipped(self.store_response), store.response)

        # ---- AXI ------------------------------------------------------------------------
        wiring.connect(m, fetch.read, arbiter.fetch)
        wiring.connect(m, load.read, arbiter.load)
        if self.build.sparse_pes:
            wiring.connect(m, wiring.flipped(self.column_read), arbiter.columns)
            m.d.comb += [
                self.read_base.eq(control.read_base),
                self.read_limit.eq(control.read_limit),
            ]
        read, aw, w, b = arbiter, store.write.address, store.write.data, store.write.response
        m.d.comb += [
            arbiter.halt.eq(control.halt),
            self.m_axi_arid.eq(read.address.p.id),
            self.m_axi_araddr.eq(read.address.p.burst.address),
            self.m_axi_arlen.eq(read.address.p.burst.length),
            self.m_axi_arsize.eq(3),
            self.m_axi_arburst.eq(1),
            self.m_axi_arvalid.eq(read.address.valid),
            read.address.ready.eq(self.m_axi_arready),
            read.data.p.id.eq(self.m_axi_rid),
            read.data.p.beat.data.eq(self.m_axi_rdata),
            read.data.p.beat.resp.eq(self.m_axi_rresp),
            read.data.p.beat.last.eq(self.m_axi_rlast),
            read.data.valid.eq(self.m_axi_rvalid),
            self.m_axi_rready.eq(read.data.ready),
            self.m_axi_awid.eq(0),
            self.m_axi_awaddr.eq(aw.p.address),
            self.m_axi_awlen.eq(aw.p.length),
            self.m_axi_awsize.eq(3),
            self.m_axi_awburst.eq(1),
            self.m_axi_awvalid.eq(aw.valid),
            aw.ready.eq(self.m_axi_awready),
            self.m_axi_wdata.eq(w.p.data),
            self.m_axi_wstrb.eq(w.p.strobe),
            self.m_axi_wlast.eq(w.p.last),
            self.m_axi_wvalid.eq(w.valid),
            w.ready.eq(self.m_axi_wready),
            b.payload.eq(self.m_axi_bresp),
            b.valid.eq(self.m_axi_bvalid),
            self.m_axi_bready.eq(b.ready),
            control.quiet.eq(~arbiter.outstanding & ~store.outstanding),
        ]
        for name, member in lite_ports().items():
            inner, outer = getattr(control, name), getattr(self, name)
            m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)

        # ---- watchdog and counters ------------------------------------------------------
        moves = [
            p.valid & p.ready
            for p in (
                read.address,
                read.data,
                aw,
                w,
                b,
                load.write,
                store.request,
                store.response,
                self.config,
                *(i.command for i in issues.values()),
            )
        ]
        moves += [e.done for e in units.values()]
        moved = Signal(len(moves) + 1)
        m.d.sync += [moved.eq(Cat(*moves, self.progress)), control.progress.eq(moved.any())]

        beat = read.data.valid & read.data.ready
        column = arbiter.columns.data
        m.d.comb += [counters.events[n].eq(self.events[n]) for n in CORE_EVENTS]
        m.d.comb += [
            counters.enable.eq(control.running),
            counters.clear.eq(control.start),
            counters.index.eq(control.counter),
            control.counter_value.eq(counters.value),
            counters.events.cycles.eq(1),
            counters.events.dram_read_bytes.eq(Mux(beat, BEAT_BYTES, 0)),
            counters.events.dram_write_bytes.eq(
                Mux(w.valid & w.ready, sum(w.p.strobe[i] for i in range(8)), 0)
            ),
            counters.events.command_bytes.eq(Mux(beat & (read.data.p.id == FETCH), BEAT_BYTES, 0)),
            counters.events.sparse_bytes.eq(Mux(column.valid & column.ready, BEAT_BYTES, 0)),
            counters.events.load_busy.eq(issues["load"].active),
            counters.events.store_busy.eq(issues["store"].active),
            counters.events.load_wait.eq(issues["load"].waiting),
            counters.events.store_wait.eq(issues["store"].waiting),
        ]
        return m
