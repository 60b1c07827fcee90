"""Shares the AXI read channels between the fetcher, LOAD and SPARSE_STREAM."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.axi import ReadMaster
from hdl.lib.stream.buffered_fifo import BufferedFifo
from hdl.lib.stream.register_slice import RegisterSlice
from hdl.lib.stream.through import into, through
from hdl.memory.words import TaggedBurst, TaggedData
from hdl.timing import OUTSTANDING_READS

FETCH, DATA = 0, 1  # IDs


class ReadArbiter(wiring.Component):
    """By falling priority: `fetch` with ID 0, `columns` and `load` with ID 1. The data goes back by
    ID, and of ID 1 in the order of the addresses.

    Members: these three; `address` and `data`, the bus; `halt`: no new address is taken (one or two
    may still leave); `outstanding`: an address or its data is pending. use_columns: there are some.
    Of ID 1 OUTSTANDING_READS bursts at most may be under way: each client bounds its own to half of
    them. `columns` must take its data at once, or that of `load` waits for it.

    Latency one cycle each way, throughput one address and one beat a cycle. Both ways end in
    register slices: no path leads from the bus to the clients, nor back.
    """

    fetch: In(ReadMaster)
    columns: In(ReadMaster)
    load: In(ReadMaster)
    address: Out(stream.Signature(TaggedBurst))
    data: In(stream.Signature(TaggedData))
    halt: In(1)
    outstanding: Out(1)

    def __init__(self, use_columns: bool = True):
        self.use_columns = use_columns
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        asked = into(m, "asked", RegisterSlice(TaggedBurst), wiring.flipped(self.address))
        came = through(m, "came", RegisterSlice(TaggedData), wiring.flipped(self.data))

        # One bit per burst of ID 1: it is LOAD's. It is noted a cycle late; its data comes later
        # still. There is room, since the clients are bounded.
        next_load, next_columns = Signal(init=1), Signal()
        noted, note, forget = Signal(), Signal(), Signal()
        if self.use_columns:
            m.submodules.order = order = BufferedFifo(1, OUTSTANDING_READS)
            m.d.sync += [order.input.valid.eq(noted), order.input.payload.eq(note)]
            m.d.comb += [
                order.output.ready.eq(forget),
                next_load.eq(order.output.valid & order.output.payload),
                next_columns.eq(order.output.valid & ~order.output.payload),
            ]

        # Addresses: the first client that asks.
        free = ~self.halt
        for ident, client in ((FETCH, self.fetch), (DATA, self.columns), (DATA, self.load)):
            asks = client.address
            m.d.comb += asks.ready.eq(free & asked.ready)
            with m.If(asks.valid & free):
                m.d.comb += [
                    asked.valid.eq(1),
                    asked.p.id.eq(ident),
                    asked.p.burst.eq(asks.payload),
                    noted.eq(asked.ready & (ident == DATA)),
                    note.eq(client is self.load),
                ]
            free = free & ~asks.valid

        # Data: to the client of the ID.
        m.d.comb += forget.eq(came.valid & came.ready & came.p.beat.last & (came.p.id == DATA))
        for mine, client in (
            (came.p.id == FETCH, self.fetch),
            ((came.p.id == DATA) & next_columns, self.columns),
            ((came.p.id == DATA) & next_load, self.load),
        ):
            m.d.comb += [
                client.data.payload.eq(came.p.beat),
                client.data.valid.eq(came.valid & mine),
            ]
            with m.If(mine):
                m.d.comb += came.ready.eq(client.data.ready)

        # Bursts under way; each client bounds its own, to 68 together.
        pending = Signal(8)
        ended = came.valid & came.ready & came.p.beat.last
        m.d.sync += pending.eq(pending + (asked.valid & asked.ready) - ended)
        m.d.comb += self.outstanding.eq(pending != 0)
        return m
