"""The STORE engine: tile in the global buffer -> pool, add, reorder, encode -> DRAM."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import LANES
from hdl.isa import ENTRY_ADDR, WORD_ADDR, Error, StoreCommand
from hdl.lib.axi import ADDRESS, WriteMaster
from hdl.memory.store.bursts import BurstWriter
from hdl.memory.store.coded import RlcCoder
from hdl.memory.store.commands import StoreCommands
from hdl.memory.store.plain import PlainCoder
from hdl.memory.store.pooler import Pooler
from hdl.memory.store.strips import StripWalker
from hdl.memory.store.taps.reader import TapReader


class Store(wiring.Component):
    """Executes STORE and SHAPE.

    Members: `command`, stream of StoreCommand; `done`; `error` (held until reset); `base`
    and `limit`, the write window; `request` and `response`, a read port of the global
    buffer; `write`, an AXI write master; `halt`: no new AW, and the data of those issued
    goes out with no strobes; `outstanding`: an AW or its response is pending.

    A strip is checked as a whole (its bytes, one or two an entry) before its first burst. AW goes
    out at once, W behind its AW. Of a run-length coded strip every burst is checked, and its AW
    goes out when its words are there: nothing is written past the last. The next command starts
    when the arithmetic of the one before has drained; its last words and responses may still be
    under way. place: bits of an entry's address in the global buffer; address: those of one in
    memory; lanes: the most entries of a chunk; rlc: strips can be coded. Throughput one read of the
    global buffer a cycle within a command, one burst and one beat a cycle.
    """

    command: In(stream.Signature(StoreCommand))
    done: Out(1)
    error: Out(Error)
    base: In(ADDRESS)
    limit: In(ADDRESS)
    request: Out(stream.Signature(WORD_ADDR))
    response: In(stream.Signature(128))
    write: Out(WriteMaster)
    halt: In(1)
    outstanding: Out(1)

    def __init__(
        self,
        place: int = ENTRY_ADDR,
        *,
        address: int = ADDRESS,
        lanes: int = LANES,
        rlc: bool = True,
    ):
        self.place, self.address, self.lanes, self.rlc = place, address, lanes, rlc
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.commands = commands = StoreCommands()
        m.submodules.strips = strips = StripWalker(
            self.place, address=self.address, lanes=self.lanes, rlc=self.rlc
        )
        m.submodules.taps = taps = TapReader(self.place, self.lanes)
        m.submodules.pooler = pooler = Pooler(self.lanes)
        m.submodules.coder = coder = RlcCoder(self.lanes) if self.rlc else PlainCoder(self.lanes)
        m.submodules.bursts = bursts = BurstWriter(self.address)

        # Commands.
        store, shape = commands.store, commands.shape
        wiring.connect(m, wiring.flipped(self.command), commands.command)
        m.d.comb += [
            commands.idle.eq(strips.idle & taps.idle & pooler.idle & coder.idle),
            commands.answered.eq(bursts.answered),
            self.done.eq(commands.done),
            coder.kind.narrow.eq(store.narrow),
            coder.kind.unsigned.eq(store.unsigned),
            coder.kind.zero.eq(store.zero),
            strips.start.eq(commands.start),
            strips.store.eq(store),
            strips.shape.eq(shape),
            taps.store.eq(store),
            taps.shape.eq(shape),
            taps.offsets.eq(strips.offsets),
            pooler.add.eq(store.add),
            pooler.relu.eq(store.relu),
            pooler.pool.eq(store.pool),
            pooler.scaled.eq(store.scaled),
            pooler.fixed.eq(shape.fixed),
            coder.rlc.eq(store.rlc),
            coder.chunk.eq(store.chunk if self.lanes > 1 else 1),
        ]
        names = ("multiplier", "shift", "rounding", "lo", "hi")
        m.d.comb += [pooler.scale[name].eq(shape[name]) for name in names]
        for scale, operand in ((pooler.scale_a, "a"), (pooler.scale_b, "b")):
            m.d.comb += [
                scale.multiplier.eq(shape[f"multiplier_{operand}"]),
                scale.shift.eq(shape[f"shift_{operand}"]),
            ]

        # Data: from strips to taps, to pooled entries, to words, to the bus.
        wiring.connect(m, strips.strips, taps.strips)
        wiring.connect(m, strips.writes, coder.strips)
        wiring.connect(m, taps.request, wiring.flipped(self.request))
        wiring.connect(m, wiring.flipped(self.response), taps.response)
        wiring.connect(m, taps.taps, pooler.taps)
        wiring.connect(m, pooler.out, coder.entries)
        wiring.connect(m, coder.words, bursts.words)
        wiring.connect(m, coder.ranges, bursts.ranges)
        wiring.connect(m, bursts.write, wiring.flipped(self.write))
        m.d.comb += [
            bursts.base.eq(self.base),
            bursts.limit.eq(self.limit),
            bursts.halt.eq(self.halt),
            self.outstanding.eq(bursts.outstanding),
        ]

        # An error of the walk belongs to the oldest command once all before it is answered.
        mine = bursts.idle & commands.oldest
        with m.If(self.error == Error.NONE):
            with m.If(bursts.failed):
                m.d.sync += self.error.eq(Error.WRITE_RESPONSE)
            with m.Elif(bursts.outside & mine):
                m.d.sync += self.error.eq(Error.WRITE_WINDOW)
            with m.Elif(strips.too_long & mine):
                m.d.sync += self.error.eq(Error.ILLEGAL_COMMAND)
        return m
