"""The compute core: sequencers, array and global buffer."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.array.chain import ProcessingArray
from hdl.array.words import EVENTS
from hdl.buffer.global_buffer import GlobalBuffer
from hdl.buffer.psum_ring import PsumRing
from hdl.buffer.words import READ_SIGNATURE, WRITE_SIGNATURE
from hdl.config import Config
from hdl.isa import (
    ConfigBody,
    Error,
    FilterBody,
    IfmapBody,
    OfmapCommand,
    PsumBody,
    SparseCommand,
    SparseFillBody,
)
from hdl.lib.axi import ADDRESS, ReadMaster
from hdl.lib.near_reset import near_reset
from hdl.sequencers.filter import FilterSequencer
from hdl.sequencers.ifmap import IfmapSequencer
from hdl.sequencers.ofmap.sequencer import OfmapSequencer
from hdl.sequencers.psum import PsumSequencer
from hdl.sparse.engine.engine import SparseEngine

ENGINES = {"ifmap": IfmapBody, "filter": FilterBody, "psum": PsumBody, "ofmap": OfmapCommand}
SPARSE_EVENTS = {
    "busy": "active",
    "columns": "broadcast",
    "macs": "macs",
    "starved": "starved",
    "blocked": "blocked",
    "padding": "padding",
}


class Core(wiring.Component):
    """Everything between the command queues and the memory engines.

    Members: `config_` stream of ConfigBody and `config_error`; for each of ENGINES `<engine>`
    (command stream) and `<engine>_done`; `glb_load` write port, `glb_store` read port; with a
    sparse engine `fill`, `sparse`, their `done`, `column_read` with its window, `sparse_error` and
    `sparse_<event>`; `array_events_<name>`, and the counters' other inputs below.
    """

    def __init__(self, config: Config):
        self.config = config
        ports = {
            "config_": In(stream.Signature(ConfigBody)),
            "config_error": Out(1),
            "glb_load": In(WRITE_SIGNATURE),
            "glb_store": In(READ_SIGNATURE),
        }
        for name, body in ENGINES.items():
            ports |= {
                name: In(stream.Signature(body)),
                f"{name}_done": Out(1),
                f"{name}_word": Out(1),
                f"{name}_stall": Out(1),
            }
        if config.sparse_pes:
            k = config.sparse_pes
            ports |= {
                "fill": In(stream.Signature(SparseFillBody)),
                "fill_done": Out(1),
                "sparse": In(stream.Signature(SparseCommand)),
                "sparse_done": Out(1),
                "sparse_freed": Out(1),
                "column_read": Out(ReadMaster),
                "read_base": In(ADDRESS),
                "read_limit": In(ADDRESS),
                "sparse_error": Out(Error),
                "sparse_busy": Out(1),
                "sparse_columns": Out(1),
                "sparse_padding": Out(range(8 * k + 1)),
            }
            ports |= {f"sparse_{e}": Out(range(k + 1)) for e in ("macs", "starved", "blocked")}
        ports |= {f"array_events_{e}": Out(range(config.pes + 1)) for e in EVENTS}
        ports |= {"glb_reads": Out(4), "glb_writes": Out(3), "glb_conflict": Out(1)}
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        c = self.config
        m.submodules.array = array = ProcessingArray(c)
        m.submodules.glb = glb = GlobalBuffer(c)
        m.submodules.ring = ring = PsumRing(c)
        engines = {
            "ifmap": IfmapSequencer(c),
            "filter": FilterSequencer(c),
            "psum": PsumSequencer(c),
            "ofmap": OfmapSequencer(c),
        }
        for name, engine in engines.items():
            m.submodules[f"{name}_sequencer"] = engine
            wiring.connect(m, wiring.flipped(getattr(self, name)), engine.command)
            m.d.comb += getattr(self, f"{name}_done").eq(engine.done)
            if name == "ofmap":
                wiring.connect(m, array.ofmap, engine.input)
                wiring.connect(m, engine.glb, glb.write_ofmap)
                wiring.connect(m, engine.scales, glb.read_scale)
                word, stall = engine.taken, engine.starved
            else:
                wiring.connect(m, engine.output, getattr(array, name))
                wiring.connect(m, engine.glb, getattr(glb, f"read_{name}"))
                word, stall = (
                    engine.output.valid & engine.output.ready,
                    engine.output.valid & ~engine.output.ready,
                )
            m.d.sync += [
                getattr(self, f"{name}_word").eq(word),
                getattr(self, f"{name}_stall").eq(stall),
            ]
        psum, ofmap = engines["psum"], engines["ofmap"]
        accept = Signal()
        m.d.comb += [
            accept.eq(self.config_.valid & self.config_.ready),
            ring.restart.eq(accept),
            ring.base.eq(self.config_.payload.ring),
            ring.size.eq(self.config_.payload.ring_size),
            ring.reserve.eq(ofmap.reserve),
            ring.push.eq(ofmap.push),
            ring.pop.eq(psum.pop),
            psum.ring_word.eq(ring.read_word),
            psum.ring_some.eq(ring.some),
            ofmap.ring_word.eq(ring.write_word),
            ofmap.ring_room.eq(ring.room),
            self.config_error.eq(array.config_error),
            self.glb_reads.eq(glb.reads),
            self.glb_writes.eq(glb.writes),
            self.glb_conflict.eq(glb.conflict),
        ]
        wiring.connect(m, wiring.flipped(self.config_), array.config_)
        wiring.connect(m, wiring.flipped(self.glb_load), glb.write_load)
        wiring.connect(m, wiring.flipped(self.glb_store), glb.read_store)
        if c.sparse_pes:
            sparse = SparseEngine(c)
            m.submodules.sparse_engine = near_reset(m, "sparse")[0](sparse)
            wiring.connect(m, wiring.flipped(self.fill), sparse.fill)
            wiring.connect(m, wiring.flipped(self.sparse), sparse.sparse)
            wiring.connect(m, sparse.glb_fill, glb.read_fill)
            wiring.connect(m, sparse.glb_table, glb.read_table)
            wiring.connect(m, sparse.column_read, wiring.flipped(self.column_read))
            wiring.connect(m, sparse.glb_dump, glb.write_dump)
            m.d.comb += [
                self.fill_done.eq(sparse.fill_done),
                self.sparse_done.eq(sparse.sparse_done),
                self.sparse_freed.eq(sparse.sparse_freed),
                self.sparse_error.eq(sparse.error),
                sparse.read_base.eq(self.read_base),
                sparse.read_limit.eq(self.read_limit),
            ]
            m.d.sync += [
                getattr(self, f"sparse_{counter}").eq(getattr(sparse, event))
                for counter, event in SPARSE_EVENTS.items()
            ]
        for e in EVENTS:
            m.d.comb += getattr(self, f"array_events_{e}").eq(getattr(array, f"events_{e}"))
        return m
