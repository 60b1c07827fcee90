"""The LOAD engine: DRAM to global buffer."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from .axi import ADDRESS, BurstSplitter, ReadMaster, Window
from .glb import GlbWrite
from .isa import WORD_ADDR, Error, LoadBody

OUTSTANDING = 32   # bursts under way: covers the latency of memory with short strips
COMMANDS = 4       # commands under way


class Load(wiring.Component):
    """Walks LOAD commands, reads their strips in bursts, writes them to the global buffer.

    Members: `command`, stream of LoadBody; `done`; `error` (held until reset); `base` and
    `limit`, the read window; `read`, an AXI read master; `write`, the port of the global
    buffer (a 64-bit beat in lanes 0-3 of each).

    A strip is checked as a whole before its first burst. The strips of a command follow the
    bursts of the command before without waiting for its data. Throughput one beat per cycle
    and one strip per cycle or its bursts; first address four cycles behind the command.
    """

    command: In(stream.Signature(LoadBody))
    done: Out(1)
    error: Out(Error)
    base: In(ADDRESS)
    limit: In(ADDRESS)
    read: Out(ReadMaster)
    write: Out(stream.Signature(GlbWrite))

    def elaborate(self, platform):
        m = Module()
        m.submodules.window = window = Window()
        m.submodules.splitter = splitter = BurstSplitter()
        # One bit per burst under way: the last of its command.
        m.submodules.bursts = bursts = SyncFIFO(width=1, depth=OUTSTANDING)
        # Where the data of each command under way goes.
        m.submodules.words = words = SyncFIFO(width=WORD_ADDR, depth=COMMANDS)

        # ---- walk -----------------------------------------------------------------------
        body = Signal(LoadBody)
        walking = Signal()
        at_a, at_b, at_c = Signal(ADDRESS), Signal(ADDRESS), Signal(ADDRESS)
        left_a, left_b, left_c = Signal(16), Signal(16), Signal(16)   # laps after this one
        check = window.check
        final = Signal()
        step = Signal()
        m.d.comb += [
            final.eq((left_a == 0) & (left_b == 0) & (left_c == 0)),
            step.eq(check.valid & check.ready),
            check.valid.eq(walking),
            check.p.begin.eq(at_c),
            check.p.bytes.eq(body.length << 3),
            check.p.request.address.eq(at_c),
            check.p.request.words.eq(body.length),
            check.p.request.last.eq(final),
            self.command.ready.eq((~walking | (step & final)) & words.w_rdy),
            words.w_en.eq(self.command.valid & self.command.ready),
            words.w_data.eq(self.command.p.word),
        ]
        with m.If(step):
            m.d.sync += walking.eq(~final)
            with m.If(left_c != 0):
                m.d.sync += [left_c.eq(left_c - 1), at_c.eq(at_c + body.stride_c)]
            with m.Else():
                m.d.sync += left_c.eq(body.count_c - 1)
                with m.If(left_b != 0):
                    m.d.sync += [left_b.eq(left_b - 1), at_b.eq(at_b + body.stride_b),
                                 at_c.eq(at_b + body.stride_b)]
                with m.Else():
                    m.d.sync += [left_b.eq(body.count_b - 1), left_a.eq(left_a - 1)]
                    m.d.sync += [r.eq(at_a + body.stride_a) for r in (at_a, at_b, at_c)]
        with m.If(self.command.valid & self.command.ready):
            p = self.command.p
            m.d.sync += [walking.eq(1), body.eq(p),
                         left_a.eq(p.count_a - 1), left_b.eq(p.count_b - 1),
                         left_c.eq(p.count_c - 1)]
            m.d.sync += [r.eq(p.dram) for r in (at_a, at_b, at_c)]

        # ---- addresses ------------------------------------------------------------------
        address = self.read.address
        m.d.comb += [window.base.eq(self.base), window.limit.eq(self.limit)]
        wiring.connect(m, window.request, splitter.request)
        issue = Signal()
        m.d.comb += [
            issue.eq(splitter.burst.valid & bursts.w_rdy & (~address.valid | address.ready)),
            splitter.burst.ready.eq(issue),
            bursts.w_en.eq(issue),
            bursts.w_data.eq(splitter.burst.p.last),
        ]
        with m.If(address.ready):
            m.d.sync += address.valid.eq(0)
        with m.If(issue):
            m.d.sync += [address.valid.eq(1), address.payload.eq(splitter.burst.payload)]

        # ---- data -----------------------------------------------------------------------
        beat = self.read.data
        word = Signal(WORD_ADDR)      # of the next beat
        first = Signal(init=1)        # the next beat is a command's first
        here = Signal(WORD_ADDR)
        ends = Signal()
        closing = Signal()            # the write in the output register ends a command
        take = Signal()
        m.d.comb += [
            beat.ready.eq((~self.write.valid | self.write.ready) & bursts.r_rdy),
            take.eq(beat.valid & beat.ready),
            bursts.r_en.eq(take & beat.p.last),
            ends.eq(beat.p.last & bursts.r_data[0]),
            here.eq(word),
            words.r_en.eq(take & ends),
        ]
        with m.If(first):
            m.d.comb += here.eq(words.r_data)
        with m.If(self.write.ready):
            m.d.sync += self.write.valid.eq(0)
        with m.If(take):
            m.d.sync += [self.write.valid.eq(1), self.write.p.word.eq(here),
                         self.write.p.data.eq(beat.p.data), self.write.p.mask.eq(0x0F),
                         closing.eq(ends), word.eq(here + 1), first.eq(ends)]
        m.d.comb += self.done.eq(self.write.valid & self.write.ready & closing)

        # ---- errors ---------------------------------------------------------------------
        # A window error belongs to the oldest command only once all before it has landed.
        with m.If(self.error == Error.NONE):
            with m.If(take & beat.p.resp[1]):
                m.d.sync += self.error.eq(Error.READ_RESPONSE)
            with m.Elif(window.outside & window.idle & splitter.idle & ~bursts.r_rdy
                        & ~self.write.valid):
                m.d.sync += self.error.eq(Error.READ_WINDOW)
        return m
