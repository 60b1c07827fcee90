"""Shares the AXI read channels between the fetcher and LOAD."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .axi import Burst, ReadData, ReadMaster

FETCH, LOAD = 0, 1     # IDs


class TaggedBurst(data.Struct):
    burst: Burst
    id: 1


class TaggedData(data.Struct):
    beat: ReadData
    id: 1


class ReadArbiter(wiring.Component):
    """Fetch has ID 0 and priority, LOAD ID 1; the data goes back by ID.

    Members: `fetch`, `load`; `address` and `data`, the bus; `halt`: no new address leaves;
    `outstanding`: an address or its data is pending. Latency one cycle for addresses, none
    for data; throughput one of each per cycle.
    """

    fetch: In(ReadMaster)
    load: In(ReadMaster)
    address: Out(stream.Signature(TaggedBurst))
    data: In(stream.Signature(TaggedData))
    halt: In(1)
    outstanding: Out(1)

    def elaborate(self, platform):
        m = Module()
        room = Signal()
        pending = Signal(8)       # bursts; each client bounds its own, to 36 together
        m.d.comb += [
            room.eq((~self.address.valid | self.address.ready) & ~self.halt),
            self.fetch.address.ready.eq(room),
            self.load.address.ready.eq(room & ~self.fetch.address.valid),
            self.outstanding.eq(pending != 0),
        ]
        taken = room & (self.fetch.address.valid | self.load.address.valid)
        with m.If(self.address.ready):
            m.d.sync += self.address.valid.eq(0)
        with m.If(taken):
            m.d.sync += self.address.valid.eq(1)
            with m.If(self.fetch.address.valid):
                m.d.sync += [self.address.p.burst.eq(self.fetch.address.payload),
                             self.address.p.id.eq(FETCH)]
            with m.Else():
                m.d.sync += [self.address.p.burst.eq(self.load.address.payload),
                             self.address.p.id.eq(LOAD)]
        ended = self.data.valid & self.data.ready & self.data.p.beat.last
        m.d.sync += pending.eq(pending + taken - ended)
        for ident, client in ((FETCH, self.fetch), (LOAD, self.load)):
            m.d.comb += [client.data.payload.eq(self.data.p.beat),
                         client.data.valid.eq(self.data.valid & (self.data.p.id == ident))]
            with m.If(self.data.p.id == ident):
                m.d.comb += self.data.ready.eq(client.data.ready)
        return m
