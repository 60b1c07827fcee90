"""The accelerator: memory and control edge around the compute core."""

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from hdl.config import Config
from hdl.core import ENGINES, SPARSE_EVENTS, Core
from hdl.edge import Edge
from hdl.lib.axi import lite_ports, master_ports
from hdl.lib.near_reset import near_reset

# counter name -> (event of the array, extra)
ARRAY_COUNTERS = {
    "macs": "busy",
    "macs_gated": "gated",
    "pe_busy": "busy",
    **{f"pe_{e}": e for e in ("wait_filter", "wait_ifmap", "wait_psum", "wait_hazard", "idle")},
}


class Accelerator(wiring.Component):
    """A whole accelerator with AXI4 master `m_axi_*` (64-bit data, 32-bit addresses), AXI4-Lite
    slave `s_axi_*` (32-bit data, registers of isa.Register) and `interrupt` (level, until
    cleared). One clock; synchronous reset, active high."""

    def __init__(self, config: Config):
        self.config = config
        super().__init__({**master_ports(), **lite_ports(), "interrupt": Out(1)})

    def elaborate(self, platform):
        m = Module()
        c = self.config
        m.submodules.edge = edge = Edge(c)
        core = Core(c)
        m.submodules.core = near_reset(m, "core", edge.core_reset)[0](core)
        for name, member in (*master_ports().items(), *lite_ports().items(), ("interrupt", Out(1))):
            inside, outside = getattr(edge, name), getattr(self, name)
            m.d.comb += outside.eq(inside) if member.flow == Out else inside.eq(outside)
        for name in (*ENGINES, *(("fill", "sparse") if c.sparse_pes else ())):
            port = getattr(edge, name)
            wiring.connect(m, port.command, getattr(core, name))
            m.d.comb += port.done.eq(getattr(core, f"{name}_done"))
        wiring.connect(m, edge.config, core.config_)
        wiring.connect(m, edge.load_write, core.glb_load)
        wiring.connect(m, edge.store_request, core.glb_store.request)
        wiring.connect(m, core.glb_store.response, edge.store_response)
        m.d.comb += edge.config_refused.eq(core.config_error)
        for counter, event in ARRAY_COUNTERS.items():
            count = getattr(core, f"array_events_{event}")
            m.d.comb += edge.events[counter].eq(
                count * c.simd if c.simd > 1 and counter.startswith("macs") else count
            )
        for name in ENGINES:
            m.d.comb += [
                edge.events[f"{name}_words"].eq(getattr(core, f"{name}_word")),
                edge.events[f"{name}_stall"].eq(getattr(core, f"{name}_stall")),
            ]
        busy = []
        if c.sparse_pes:
            wiring.connect(m, core.column_read, edge.column_read)
            m.d.comb += [core.read_base.eq(edge.read_base), core.read_limit.eq(edge.read_limit)]
            m.d.comb += [
                edge.sparse.error.eq(core.sparse_error),
                edge.sparse.freed.eq(core.sparse_freed),
            ]
            m.d.comb += [
                edge.events[f"sparse_{n}"].eq(getattr(core, f"sparse_{n}")) for n in SPARSE_EVENTS
            ]
            busy = [core.sparse_macs.any(), core.sparse_columns]
        m.d.comb += [
            edge.events.glb_reads.eq(core.glb_reads),
            edge.events.glb_writes.eq(core.glb_writes),
            edge.events.glb_conflicts.eq(core.glb_conflict),
            edge.progress.eq(
                Cat(
                    core.array_events_busy.any(),
                    *busy,
                    *(getattr(core, f"{n}_word") for n in ENGINES),
                ).any()
            ),
        ]
        return m
