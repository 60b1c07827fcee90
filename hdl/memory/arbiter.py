"""Shares the AXI read channels between the fetcher, LOAD and SPARSE_STREAM."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from hdl.lib.axi import ReadMaster
from hdl.lib.stream.stage import stage
from hdl.memory.words import TaggedBurst, TaggedData

FETCH, DATA = 0, 1  # IDs
OUTSTANDING = 64  # bursts of the clients with ID 1: each bounds its own to half of them


class ReadArbiter(wiring.Component):
    """By falling priority: `fetch` with ID 0, `columns` and `load` with ID 1. The data goes
    back by ID, and of ID 1 in the order of the addresses.

    Members: these three; `address` and `data`, the bus; `halt`: no new address leaves;
    `outstanding`: an address or its data is pending. Latency one cycle for addresses, none for
    data, but of ID 1 one cycle between address and data at least; throughput one of each per cycle.
    use_columns: there are some. `columns` must take its data at once, or that of `load` waits
    behind it. registered: latency one cycle for data and two for addresses, throughput one of each
    every two cycles: no path leads from the bus to the clients, nor back.
    """

    fetch: In(ReadMaster)
    columns: In(ReadMaster)
    load: In(ReadMaster)
    address: Out(stream.Signature(TaggedBurst))
    data: In(stream.Signature(TaggedData))
    halt: In(1)
    outstanding: Out(1)

    def __init__(self, use_columns: bool = True, registered: bool = False):
        self.use_columns, self.registered = use_columns, registered
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        # One bit per burst of ID 1: it is LOAD's. The first is in a register.
        room_to_note, next_load, next_columns = Signal(init=1), Signal(init=1), Signal()
        noted, note, forget = Signal(), Signal(), Signal()
        if self.use_columns:
            m.submodules.order = order = SyncFIFOBuffered(width=1, depth=OUTSTANDING)
            event = m.d.sync if self.registered else m.d.comb  # its data comes later still
            event += [order.w_en.eq(noted), order.w_data.eq(note)]
            m.d.comb += [
                order.r_en.eq(forget),
                room_to_note.eq(order.w_rdy),
                next_load.eq(order.r_rdy & order.r_data),
                next_columns.eq(order.r_rdy & ~order.r_data),
            ]
        room = Signal()
        pending = Signal(8)  # bursts; each client bounds its own, to 68 together
        m.d.comb += [
            room.eq(
                (~self.address.valid | (0 if self.registered else self.address.ready)) & ~self.halt
            ),
            self.outstanding.eq(pending != 0),
        ]
        taken = Signal()
        with m.If(self.address.ready):
            m.d.sync += self.address.valid.eq(0)
        free = room
        for name, ident, client in (
            ("fetch", FETCH, self.fetch),
            ("columns", DATA, self.columns),
            ("load", DATA, self.load),
        ):
            asks = stage(
                m, self.registered, f"{name}_asks", wiring.flipped(client.address), half=True
            )
            ready = free if ident == FETCH else free & room_to_note
            m.d.comb += asks.ready.eq(ready)
            with m.If(asks.valid & ready):
                m.d.comb += [taken.eq(1), noted.eq(ident == DATA), note.eq(client is self.load)]
                m.d.sync += [
                    self.address.valid.eq(1),
                    self.address.p.id.eq(ident),
                    self.address.p.burst.eq(asks.payload),
                ]
            free = free & ~asks.valid
        came = stage(m, self.registered, "came", wiring.flipped(self.data), half=True)
        ended = came.valid & came.ready & came.p.beat.last
        m.d.sync += pending.eq(pending + taken - ended)
        m.d.comb += forget.eq(ended & (came.p.id == DATA))
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
        return m
