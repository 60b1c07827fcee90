"""The LOAD engine: DRAM to global buffer."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.buffer.words import GlbWrite
from hdl.isa import Error, LoadBody
from hdl.lib.axi import ADDRESS, ReadMaster
from hdl.memory.load.bursts import BurstReader
from hdl.memory.load.coded_path import CodedPath
from hdl.memory.load.coded_strips import CodedStrips
from hdl.memory.load.plain import NoCodedPath, PlainStrips
from hdl.memory.load.reader import StripReader
from hdl.memory.load.walk import LoadWalk
from hdl.memory.load.writer import WordWriter


class Load(wiring.Component):
    """Walks LOAD commands, reads their strips in bursts, writes them to the global buffer.

    Members: `command`, stream of LoadBody; `done`; `error` (held until reset); `base` and `limit`,
    the read window; `read`, an AXI read master; `write`, the port of the global buffer.

    A strip is checked as a whole before its first burst. The strips of a command follow the bursts
    of the command before without waiting for its data. After an error nothing more is asked for,
    and what is under way is taken and dropped. A word of 8-bit entries becomes two in the global
    buffer, in one write. rlc: strips may be run-length coded; their words go through a decoder, and
    their lengths are read ahead, those of the next command too, with bursts of their own between
    those of strips. address: bits of an address in memory.

    Throughput a beat a cycle, and a strip a cycle or its bursts, with a cycle between two commands;
    first address seven cycles after the command. `error` is READ_WINDOW, READ_RESPONSE or
    RLC_STREAM, of the oldest command not done.
    """

    command: In(stream.Signature(LoadBody))
    done: Out(1)
    error: Out(Error)
    base: In(ADDRESS)
    limit: In(ADDRESS)
    read: Out(ReadMaster)
    write: Out(stream.Signature(GlbWrite))

    def __init__(self, *, address: int = ADDRESS, rlc: bool = True):
        self.address, self.rlc = address, rlc
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.walk = walk = LoadWalk(self.address)
        m.submodules.strips = strips = CodedStrips(self.address) if self.rlc else PlainStrips()
        m.submodules.reader = reader = StripReader(self.address)
        m.submodules.bursts = bursts = BurstReader()
        m.submodules.coded = coded = CodedPath() if self.rlc else NoCodedPath()
        m.submodules.writer = writer = WordWriter()

        # A coded command is told to the reader of lengths too.
        command, lengths, walked = self.command, strips.command, walk.command
        m.d.comb += [
            command.ready.eq(walked.ready & (~command.p.rlc | lengths.ready)),
            walked.valid.eq(command.valid & (~command.p.rlc | lengths.ready)),
            walked.payload.eq(command.payload),
            lengths.valid.eq(command.valid & command.p.rlc & walked.ready),
            lengths.payload.eq(command.payload),
            coded.targets.valid.eq(walk.targets.valid & walk.targets.ready),
            coded.targets.payload.eq(walk.targets.payload),
        ]

        # From strips to bursts, from beats to words.
        wiring.connect(m, walk.strips, strips.strips)
        wiring.connect(m, walk.targets, writer.targets)
        wiring.connect(m, strips.found, reader.strips)
        wiring.connect(m, strips.coded, coded.lengths)
        wiring.connect(m, strips.request, bursts.table)
        wiring.connect(m, reader.bursts, bursts.strips)
        wiring.connect(m, bursts.read, wiring.flipped(self.read))
        wiring.connect(m, bursts.lengths, strips.table)
        wiring.connect(m, bursts.coded, coded.words)
        wiring.connect(m, bursts.words, writer.words)
        wiring.connect(m, coded.out, writer.coded)
        wiring.connect(m, writer.write, wiring.flipped(self.write))
        m.d.comb += self.done.eq(writer.done)
        for part in (strips, reader):
            m.d.comb += [part.base.eq(self.base), part.limit.eq(self.limit)]

        # An error found ahead belongs to the oldest command only once all before it has landed; of
        # two at once the older is told.
        drained, stopped = Signal(), Signal()
        m.d.comb += [
            drained.eq(reader.idle & bursts.idle & coded.idle & writer.idle),
            stopped.eq(self.error != Error.NONE),
            bursts.stop.eq(stopped),
            writer.stop.eq(stopped),
        ]
        with m.If(~stopped):
            with m.If(bursts.bad):
                m.d.sync += self.error.eq(Error.READ_RESPONSE)
            with m.Elif(writer.idle & (coded.error != Error.NONE)):
                m.d.sync += self.error.eq(coded.error)
            with m.Elif(drained & reader.outside):
                m.d.sync += self.error.eq(Error.READ_WINDOW)
            with m.Elif(drained):
                m.d.sync += self.error.eq(strips.error)
        return m
