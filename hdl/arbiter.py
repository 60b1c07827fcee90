"""Shares the AXI read channels between the fetcher, LOAD and SPARSE_STREAM."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from .axi import Burst, ReadData, ReadMaster

FETCH, DATA = 0, 1     # IDs
OUTSTANDING = 64       # bursts of the clients with ID 1: each bounds its own to half of them


class TaggedBurst(data.Struct):
    burst: Burst
    id: 1


class TaggedData(data.Struct):
    beat: ReadData
    id: 1


class ReadArbiter(wiring.Component):
    """By falling priority: `fetch` with ID 0, `columns` and `load` with ID 1. The data goes
    back by ID, and of ID 1 in the order of the addresses.

    Members: these three; `address` and `data`, the bus; `halt`: no new address leaves;
    `outstanding`: an address or its data is pending. Latency one cycle for addresses, none
    for data; throughput one of each per cycle. `columns` must take its data at once, or
    that of `load` waits behind it.
    """

    fetch: In(ReadMaster)
    columns: In(ReadMaster)
    load: In(ReadMaster)
    address: Out(stream.Signature(TaggedBurst))
    data: In(stream.Signature(TaggedData))
    halt: In(1)
    outstanding: Out(1)

    def elaborate(self, platform):
        m = Module()
        # One bit per burst of ID 1: it is LOAD's.
        m.submodules.order = order = SyncFIFO(width=1, depth=OUTSTANDING)
        room = Signal()
        pending = Signal(8)       # bursts; each client bounds its own, to 68 together
        m.d.comb += [
            room.eq((~self.address.valid | self.address.ready) & ~self.halt),
            self.outstanding.eq(pending != 0),
        ]
        taken = Signal()
        with m.If(self.address.ready):
            m.d.sync += self.address.valid.eq(0)
        free = room
        for ident, client in ((FETCH, self.fetch), (DATA, self.columns), (DATA, self.load)):
            ready = free if ident == FETCH else free & order.w_rdy
            m.d.comb += client.address.ready.eq(ready)
            with m.If(client.address.valid & ready):
                m.d.comb += [taken.eq(1), order.w_en.eq(ident == DATA), order.w_data.eq(client is self.load)]
                m.d.sync += [self.address.valid.eq(1), self.address.p.id.eq(ident),
                             self.address.p.burst.eq(client.address.payload)]
            free = free & ~client.address.valid
        ended = self.data.valid & self.data.ready & self.data.p.beat.last
        m.d.sync += pending.eq(pending + taken - ended)
        m.d.comb += order.r_en.eq(ended & (self.data.p.id == DATA))
        for mine, client in ((self.data.p.id == FETCH, self.fetch),
                             ((self.data.p.id == DATA) & ~order.r_data, self.columns),
                             ((self.data.p.id == DATA) & order.r_data, self.load)):
            m.d.comb += [client.data.payload.eq(self.data.p.beat), client.data.valid.eq(self.data.valid & mine)]
            with m.If(mine):
                m.d.comb += self.data.ready.eq(client.data.ready)
        return m
