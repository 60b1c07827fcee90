"""The bursts of LOAD on the bus, and the beats that they bring."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.axi import Burst, ReadMaster, Request
from hdl.lib.stream.buffered_fifo import BufferedFifo
from hdl.lib.stream.forward_slice import ForwardSlice
from hdl.lib.stream.through import into
from hdl.memory.words import BurstKind, CodedWord, DecodedWord, TableWord
from hdl.timing import READ_BURSTS


class BurstReader(wiring.Component):
    """Puts bursts on the bus, READ_BURSTS under way at most, and sends their beats where they go.

    Members: `strips`, bursts of strips, tagged if coded; `table`, bursts of lengths, which go
    first; `read`, an AXI read master; `words`, `coded` and `lengths`, the beats of plain strips,
    coded ones and tables; `bad`: the word that moves came with an error; `stop`: nothing more is
    asked for, and what is under way is taken and dropped; `idle`: nothing is under way.

    Latency one cycle for a burst, none for a beat; throughput one of each a cycle.
    """

    strips: In(stream.Signature(Burst))
    table: In(stream.Signature(Request))
    read: Out(ReadMaster)
    words: Out(stream.Signature(DecodedWord))
    coded: Out(stream.Signature(CodedWord))
    lengths: Out(stream.Signature(TableWord, always_ready=True))
    bad: Out(1)
    stop: In(1)
    idle: Out(1)

    def elaborate(self, platform):
        m = Module()

        # Addresses. A burst's kind is noted, in a FIFO whose head is in a register.
        address = into(m, "address", ForwardSlice(Burst), wiring.flipped(self.read.address))
        strip, table = self.strips, self.table
        expect, kind, issue = Signal(BurstKind), Signal(BurstKind), Signal()
        m.submodules.kinds = kinds = BufferedFifo(BurstKind, READ_BURSTS)
        m.d.comb += [
            address.valid.eq((table.valid | strip.valid) & kinds.input.ready & ~self.stop),
            address.payload.eq(strip.payload),
            issue.eq(address.valid & address.ready),
            table.ready.eq(issue),
            strip.ready.eq(issue & ~table.valid),
            expect.last.eq(strip.p.last),
            expect.coded.eq(~table.valid & strip.p.tag),
            expect.table.eq(table.valid),
            kinds.input.valid.eq(issue),
            kinds.input.payload.eq(expect),
            self.idle.eq(kinds.level == 0),
        ]
        with m.If(table.valid):
            m.d.comb += [
                address.p.address.eq(table.p.address),
                address.p.length.eq(table.p.words - 1),
            ]

        # Beats.
        beat, there, ready = self.read.data, Signal(), Signal()
        plain = ~kind.table & ~kind.coded
        m.d.comb += [
            kind.eq(kinds.output.payload),
            there.eq(beat.valid & kinds.output.valid),
            ready.eq(kind.table | (kind.coded & self.coded.ready) | (plain & self.words.ready)),
            beat.ready.eq(kinds.output.valid & (self.stop | ready)),
            kinds.output.ready.eq(beat.valid & beat.ready & beat.p.last),
            self.words.valid.eq(there & plain & ~self.stop),
            self.words.p.data.eq(beat.p.data),
            self.words.p.last.eq(beat.p.last & kind.last),
            self.bad.eq(self.words.valid & self.words.ready & beat.p.resp[1]),
            self.coded.valid.eq(there & kind.coded),
            self.lengths.valid.eq(there & kind.table),
        ]
        for port in (self.coded, self.lengths):
            m.d.comb += [port.p.data.eq(beat.p.data), port.p.bad.eq(beat.p.resp[1])]
        return m
