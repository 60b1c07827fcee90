"""Reads the program, checks its commands, dispatches them; executes CONFIG."""

from amaranth.hdl import Cat, Module, Shape, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.control.issue import queued
from hdl.control.legality import rules
from hdl.isa import (
    BODIES,
    COMMAND_BYTES,
    INDEX,
    VERSION_VALUE,
    ConfigBody,
    Error,
    FilterBody,
    Header,
    IfmapBody,
    LoadBody,
    OfmapBody,
    Opcode,
    PsumBody,
    SparseCommand,
    SparseFillBody,
    StoreCommand,
)
from hdl.lib.axi import ADDRESS, ReadMaster, Window

BEATS = COMMAND_BYTES // 8
BODY_BITS = 8 * COMMAND_BYTES - 64

# In the order of the engines' numbers.
ENGINE_BODY = {
    "load": LoadBody,
    "ifmap": IfmapBody,
    "filter": FilterBody,
    "psum": PsumBody,
    "ofmap": OfmapBody,
    "store": StoreCommand,
}
SPARSE_BODY = {"fill": SparseFillBody, "sparse": SparseCommand}
# The engines of opcodes that are not named like their engine.
SHARED = {
    Opcode.SHAPE: "store",
    Opcode.SPARSE_FILL: "fill",
    Opcode.SPARSE_RUN: "sparse",
    Opcode.SPARSE_OUTPUT: "sparse",
    Opcode.SPARSE_DUMP: "sparse",
    Opcode.SPARSE_STREAM: "sparse",
}


def engines(config: Config) -> dict:
    """Engine -> what its queue holds."""
    return ENGINE_BODY | (SPARSE_BODY if config.sparse_pes else {})


class Fetch(wiring.Component):
    """Fetches `count` commands from `program` at `start`, in order, up to
    config.fetch_ahead ahead.

    Members: `start`, `program`, `count`; `base` and `limit`, the read window; `read`, an AXI read
    master (bursts of 8); `load`, `ifmap`, `filter`, `psum`, `ofmap`, `store`: queue streams of the
    Issues (StoreCommand holds STORE or SHAPE); `config`, stream of ConfigBody, offered once
    `drained` (the four PE engines are idle), the next command follows its transfer, unless
    `config_refused` comes with it; `halt`: nothing more is dispatched; `index`, of the next command
    to be dispatched; `busy`, until the last is; `error`, held until reset, of command `index`.

    Addresses and indices have as many bits as the configuration's memory needs. Throughput a
    command in 11 cycles, registered in 14.
    """

    def __init__(self, config: Config):
        self.build = config
        super().__init__(
            {
                "start": In(1),
                "program": In(ADDRESS),
                "count": In(32),
                "base": In(ADDRESS),
                "limit": In(ADDRESS),
                "read": Out(ReadMaster),
                **{
                    name: Out(stream.Signature(queued(body)))
                    for name, body in engines(config).items()
                },
                "config": Out(stream.Signature(ConfigBody)),
                "drained": In(1),
                "config_refused": In(1),
                "halt": In(1),
                "index": Out(INDEX),
                "busy": Out(1),
                "error": Out(Error),
            }
        )

    def elaborate(self, platform):
        m = Module()
        ahead = self.build.fetch_ahead  # commands buffered or under way
        m.submodules.window = window = Window()
        m.submodules.beats = beats = SyncFIFO(width=64 + 1, depth=ahead * BEATS)

        # ---- addresses ------------------------------------------------------------------
        address = Signal(self.build.address_bits)
        to_ask = Signal(self.build.count_bits)
        room = Signal(range(ahead + 1), init=ahead)
        free = Signal()  # a command leaves the buffer
        asked = Signal()
        check = window.check
        m.d.comb += [
            window.base.eq(self.base),
            window.limit.eq(self.limit),
            # A window takes more after the one outside, which would be counted in `room`.
            check.valid.eq((to_ask != 0) & (room != 0) & window.idle),
            check.p.begin.eq(address),
            check.p.bytes.eq(COMMAND_BYTES),
            check.p.request.address.eq(address),
            check.p.request.words.eq(BEATS),
            asked.eq(check.valid & check.ready),
            self.read.address.valid.eq(window.request.valid),
            self.read.address.p.address.eq(window.request.p.address),
            self.read.address.p.length.eq(BEATS - 1),
            self.read.address.p.last.eq(1),
            window.request.ready.eq(self.read.address.ready),
        ]
        m.d.sync += room.eq(room + free - asked)
        with m.If(asked):
            m.d.sync += [address.eq(address + COMMAND_BYTES), to_ask.eq(to_ask - 1)]

        # ---- beats ----------------------------------------------------------------------
        beat = self.read.data
        m.d.comb += [
            beats.w_data.eq(Cat(beat.p.data, beat.p.resp[1])),
            beats.w_en.eq(beat.valid),
            beat.ready.eq(beats.w_rdy),
        ]
        raw = Signal(8 * COMMAND_BYTES, reset_less=True)
        have = Signal(range(BEATS + 1))
        bad = Signal()  # a beat of the command came with an error
        left = Signal.like(to_ask)  # commands to dispatch
        index = Signal(self.build.index_bits)
        some = Signal(BEATS)  # a bit of this beat is set
        pop, shift = Signal(), Signal()
        came = Signal(64 + 1)  # the beat that is shifted in
        m.d.comb += [
            pop.eq((have != BEATS) & beats.r_rdy),
            beats.r_en.eq(pop),
            self.index.eq(index),
            self.busy.eq(left != 0),
        ]
        registered = self.build.registered
        # Registered, since `shift` goes to every bit of a command.
        m.d["sync" if registered else "comb"] += [shift.eq(pop), came.eq(beats.r_data)]
        with m.If(pop):
            m.d.sync += have.eq(have + 1)
        with m.If(shift):
            m.d.sync += [
                raw.eq(Cat(raw[64:], came[:64])),
                bad.eq(bad | came[64]),
                some.eq(Cat(some[1:], came[:64].any())),
            ]

        # ---- check and dispatch ---------------------------------------------------------
        header = Signal(Header)
        body = Signal(BODY_BITS)
        bodies = {
            op: body
            for op, body in BODIES.items()
            if self.build.sparse_pes or not op.name.startswith("SPARSE")
        }
        known = Signal(len(bodies))
        ok = Signal(len(bodies))
        m.d.comb += [Value.cast(header).eq(raw[:64]), body.eq(raw[64:])]
        for i, (opcode, layout) in enumerate(bodies.items()):
            fields = Signal(layout, name=f"fields_{opcode.name.lower()}")
            width = Shape.cast(layout).width
            above = 1 + -(-width // 64)  # beats that are all spare
            spare = raw[64 + width : 64 * above].any() | some[above:].any()
            m.d.comb += Value.cast(fields).eq(body)
            good = rules(self.build, opcode, header.wait, header.signal, fields)
            # Registered, so that the checks do not sit in the way of the dispatch.
            checks = Cat(*good, ~spare)
            if registered:
                checked = Signal(len(checks), name=f"checked_{opcode.name.lower()}")
                m.d.sync += checked.eq(checks)
                checks = checked
            m.d.sync += [known[i].eq(header.opcode == int(opcode)), ok[i].eq(checks.all())]

        def go(name):
            port = getattr(self, name)
            return port.valid & port.ready

        for name in engines(self.build):
            item = getattr(self, name).p
            m.d.comb += [
                item.wait.eq(header.wait),
                item.signal.eq(header.signal),
                item.index.eq(index),
            ]
            if name == "store":
                m.d.comb += [
                    item.body.body.eq(body),
                    item.body.is_shape.eq(header.opcode == int(Opcode.SHAPE)),
                ]
            elif name == "sparse":
                m.d.comb += [
                    item.body.body.eq(body),
                    item.body.kind.eq(header.opcode - int(Opcode.SPARSE_RUN)),
                ]
            else:
                m.d.comb += Value.cast(item.body).eq(body)
        m.d.comb += Value.cast(self.config.payload).eq(body)

        def leave(gone):
            """The command leaves the buffer; registered, a cycle later: the queues' room ends in
            the state."""
            with m.If(gone):
                if not registered:
                    m.d.comb += free.eq(1)
                m.next = "Leave" if registered else "Collect"

        with m.If(self.start):
            m.d.sync += [
                address.eq(self.program),
                to_ask.eq(self.count),
                left.eq(self.count),
                index.eq(0),
            ]
        with m.FSM():
            with m.State("Collect"):
                with m.If(have == BEATS):
                    m.next = "First" if registered else "Check"
                with m.Elif(window.outside & window.idle & (room == ahead - 1) & (have == 0)):
                    # Everything before the range outside has been dispatched.
                    m.d.sync += self.error.eq(Error.READ_WINDOW)
                    m.next = "Stopped"
            if registered:  # until `some`, and then each check, is in its register
                with m.State("First"):
                    m.next = "Second"
                with m.State("Second"):
                    m.next = "Check"
            with m.State("Check"):
                with m.If(bad):
                    m.d.sync += self.error.eq(Error.READ_RESPONSE)
                    m.next = "Stopped"
                with m.Elif(header.version != VERSION_VALUE):
                    m.d.sync += self.error.eq(Error.VERSION)
                    m.next = "Stopped"
                with m.Elif(~(known & ok).any()):
                    m.d.sync += self.error.eq(Error.ILLEGAL_COMMAND)
                    m.next = "Stopped"
                with m.Elif(~self.halt):
                    m.next = "Dispatch"
            with m.State("Dispatch"):
                for i, opcode in enumerate(bodies):
                    target = SHARED.get(opcode, opcode.name.lower())
                    with m.If(known[i]):
                        if opcode is Opcode.CONFIG:
                            with m.If(self.drained):
                                m.next = "Configure"
                        else:
                            m.d.comb += getattr(self, target).valid.eq(1)
                            leave(go(target))
            with m.State("Configure"):
                m.d.comb += self.config.valid.eq(1)
                leave(self.config.ready & ~self.config_refused)
                with m.If(self.config.ready & self.config_refused):
                    m.d.sync += self.error.eq(Error.ILLEGAL_COMMAND)
                    m.next = "Stopped"
            if registered:
                with m.State("Leave"):
                    m.d.comb += free.eq(1)
                    m.next = "Collect"
            with m.State("Stopped"):
                pass
        with m.If(free):
            m.d.sync += [left.eq(left - 1), index.eq(index + 1), have.eq(0), bad.eq(0)]
        return m
