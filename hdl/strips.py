"""The outer loops of STORE: image, row, block."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .axi import ADDRESS, Range
from .config import LANES
from .isa import ENTRY_ADDR, Pool, ShapeBody, StoreBody
from .rlc_encoder import STRIP_BITS

STRIP_ENTRIES = 20   # bits of the entries in a strip of the output
COORDINATE = 18      # bits of a tile's row or column, signed: a window that reads anything begins within 2**17 of it


class Channel(data.Struct):
    """Where a channel of a tile is: offset of its block, and its place in the block."""
    block: ENTRY_ADDR
    place: 11


class Offsets(data.Struct):
    """Products of the command's fields, found once per command."""
    column_a: ENTRY_ADDR     # of the first window's column
    column_b: ENTRY_ADDR
    step_a: ENTRY_ADDR       # from a window to the next
    step_b: ENTRY_ADDR


class Strip(data.Struct):
    """One (image, out row, out block)."""
    image_a: ENTRY_ADDR      # row 0 of the ring
    row_a: ENTRY_ADDR        # the window's first row that exists
    row_b: ENTRY_ADDR
    ring_row: 16             # that row's place in the ring
    rows: 8                  # rows of the window that exist
    count: 8                 # rows that count in the divisor
    channel_a: Channel
    channel_b: Channel
    lane: 2                  # of its first entry in the 64-bit words of DRAM
    last: 1                  # of the command


class StripWrite(data.Struct):
    """A strip in DRAM: its bytes unless it is coded, and the address of its length if it is."""
    range: Range
    table: ADDRESS


class StripWalker(wiring.Component):
    """Finds the strips of a STORE, one ahead of the taps.

    Members: `start`, a pulse; `store` and `shape`, stable until `idle`; `offsets`, valid with
    the first strip; `strips`; `writes`, where the same strips go in DRAM (at its own pace,
    within one strip); `too_long`, a strip beyond 2**20 entries, or 2**17 if coded (nothing is
    issued). place: bits to which the offsets in the tile are computed, those of an entry's address; address: those of
    an address in memory; lanes: the most entries of a chunk; rlc: a STORE may be coded.

    Latency: bits of the longest of row_first, stride_x, x_first and out_block, and seven.
    A strip takes out_block/chunk + 1 cycles, the first of a row 4 + stride_y. No multiplier:
    the products grow by shift and add. registered: no path from whoever takes a strip to the walk.
    """

    start: In(1)
    idle: Out(1)
    store: In(StoreBody)
    shape: In(ShapeBody)
    offsets: Out(Offsets)
    strips: Out(stream.Signature(Strip))
    writes: Out(stream.Signature(StripWrite))
    too_long: Out(1)

    def __init__(self, place: int = ENTRY_ADDR, registered: bool = False, *, address: int = ADDRESS, lanes: int = LANES,
                 rlc: bool = True):
        self.place, self.registered, self.address, self.lanes, self.rlc = place, registered, address, lanes, rlc
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        store, shape, offsets, place = self.store, self.shape, self.offsets, self.place
        chunk = store.chunk if self.lanes > 1 else 1
        strip, write = self.strips, self.writes
        span = write.p.range
        pooled = Signal()
        m.d.comb += pooled.eq(store.pool != Pool.NONE)

        # ---- products -------------------------------------------------------------------
        row_first, out_block = Signal(16), Signal(11)
        stride_x, x_first = Signal(8), Signal(signed(16))
        row_stride = Signal(place)
        column_a, column_b = Signal(place), Signal(place)
        columns = Signal(27)
        entries = Signal(27)
        ring_offset = Signal(place)

        # ---- rows -----------------------------------------------------------------------
        image, row, block = Signal(8), Signal(16), Signal(11)
        top = Signal(signed(COORDINATE))   # tile row of the window's first
        bottom = Signal(signed(COORDINATE))
        height = Signal(17)
        at = Signal(17)                    # the tile row the pointers stand on
        ring_row = Signal(16)
        row_a, row_b = Signal(place), Signal(place)
        image_a, image_b = Signal(place), Signal(place)
        low, high = Signal(signed(COORDINATE)), Signal(signed(COORDINATE))           # rows that exist
        count_low, count_high = Signal(signed(COORDINATE)), Signal(signed(COORDINATE))
        dram_image, dram_row, dram = (Signal(self.address, name=n) for n in ("dram_image", "dram_row", "dram"))
        # Of the lengths; without run-length coding they stay 0.
        table_bits = self.address if self.rlc else 0
        table_image, table_row, table = (Signal(table_bits, name=n) for n in ("table_image", "table_row", "table"))
        excess = Signal()
        m.d.comb += excess.eq(entries[STRIP_ENTRIES:].any() | ((store.rlc & entries[STRIP_BITS:].any()) if self.rlc else 0))
        channel_a, channel_b = Signal(Channel), Signal(Channel)
        seen = Signal(11)                  # channels of the out block passed
        rows, count = Signal(8), Signal(8)

        # Of each loop the last index, of those that go on by `chunk` the first from which none follows.
        blocks_last, rows_last, images_last = Signal(11), Signal(16), Signal(8)
        seen_last, place_last_a, place_last_b = (Signal(signed(12), name=n)
                                                 for n in ("seen_last", "place_last_a", "place_last_b"))
        m.d.sync += [
            blocks_last.eq(store.blocks - 1), rows_last.eq(store.rows - 1), images_last.eq(store.images - 1),
            seen_last.eq(store.out_block - chunk), place_last_a.eq(store.block - chunk),
            place_last_b.eq(shape.block - chunk)]

        def step(channel, place_last, block_stride):
            with m.If(channel.place >= place_last):
                m.d.sync += [channel.place.eq(0), channel.block.eq((channel.block + block_stride)[:place])]
            with m.Else():
                m.d.sync += channel.place.eq(channel.place + chunk)

        with m.If(strip.ready):
            m.d.sync += strip.valid.eq(0)
        with m.If(write.ready):
            m.d.sync += write.valid.eq(0)

        with m.FSM():
            with m.State("Idle"):
                m.d.comb += self.idle.eq(~strip.valid & ~write.valid)
                m.d.sync += [
                    row_first.eq(store.row_first), out_block.eq(store.out_block),
                    stride_x.eq(Mux(pooled, shape.stride_x, 1)),
                    x_first.eq(Mux(pooled, shape.x_first, 0)),
                    row_stride.eq(store.row_stride), columns.eq(store.columns),
                    column_a.eq(store.column_stride), column_b.eq(shape.column_stride),
                    entries.eq(0), ring_offset.eq(0),
                    height.eq(Mux(pooled, shape.height, 1 << 16)),
                    image.eq(0), image_a.eq(store.base), image_b.eq(shape.base),
                    dram_image.eq(store.dram), table_image.eq(store.table),
                ]
                with m.If(self.start):
                    m.d.sync += offsets.eq(0)
                    m.next = "Multiply"
            with m.State("Multiply"):
                m.d.sync += [
                    row_first.eq(row_first >> 1), out_block.eq(out_block >> 1),
                    stride_x.eq(stride_x >> 1), x_first.eq(x_first >> 1),
                    row_stride.eq(row_stride << 1), columns.eq(columns << 1),
                    column_a.eq(column_a << 1), column_b.eq(column_b << 1),
                ]
                with m.If(row_first[0]):
                    m.d.sync += ring_offset.eq(ring_offset + row_stride)
                with m.If(out_block[0]):
                    m.d.sync += entries.eq(entries + columns)
                with m.If(stride_x[0]):
                    m.d.sync += [offsets.step_a.eq((offsets.step_a + column_a)[:place]),
                                 offsets.step_b.eq((offsets.step_b + column_b)[:place])]
                with m.If(x_first == -1):      # the sign bit, and all above it
                    m.d.sync += [offsets.column_a.eq((offsets.column_a - column_a)[:place]),
                                 offsets.column_b.eq((offsets.column_b - column_b)[:place]),
                                 x_first.eq(0)]
                with m.Elif(x_first[0]):
                    m.d.sync += [offsets.column_a.eq((offsets.column_a + column_a)[:place]),
                                 offsets.column_b.eq((offsets.column_b + column_b)[:place])]
                with m.If((row_first == 0) & (out_block == 0) & (stride_x == 0) & (x_first == 0)):
                    m.next = "Image"
            with m.State("Image"):
                m.d.sync += [
                    row.eq(0), at.eq(0), ring_row.eq(store.row_first),
                    row_a.eq(image_a + ring_offset), row_b.eq(image_b), dram_row.eq(dram_image),
                    table_row.eq(table_image),
                    top.eq(Mux(pooled, shape.y_first, 0)),
                ]
                m.next = "Row"
                with m.If(excess):
                    m.next = "Too long"
            with m.State("Row"):
                m.d.sync += [
                    bottom.eq(top + Mux(pooled, shape.kernel_y, 1)),
                    low.eq(Mux(top < 0, 0, top)),
                    count_low.eq(Mux(top < shape.count_top, shape.count_top, top)),
                    dram.eq(dram_row), table.eq(table_row), block.eq(0),
                    channel_a.eq(0), channel_b.eq(0),
                ]
                m.next = "Bounds"
            with m.State("Bounds"):
                m.d.sync += [
                    high.eq(Mux(bottom < height, bottom, height)),
                    count_high.eq(Mux(bottom < shape.count_bottom, bottom, shape.count_bottom)),
                ]
                m.next = "Seek"
            with m.State("Seek"):
                m.d.sync += [
                    rows.eq(Mux(high > low, (high - low)[:8], 0)),
                    count.eq(Mux(count_high > count_low, (count_high - count_low)[:8], 0)),
                ]
                with m.If((at < low) & (at < height)):
                    m.d.sync += [at.eq(at + 1), row_b.eq(row_b + shape.row_stride)]
                    with m.If(ring_row + 1 == store.ring):
                        m.d.sync += [ring_row.eq(0), row_a.eq(image_a)]
                    with m.Else():
                        m.d.sync += [ring_row.eq(ring_row + 1), row_a.eq(row_a + store.row_stride)]
                with m.Else():
                    m.next = "Strip"
            with m.State("Strip"):
                final = (block == blocks_last)
                last_row = (row == rows_last)
                last_image = (image == images_last)
                end = Signal()
                m.d.comb += end.eq(final & last_row & last_image)
                room = ~strip.valid & ~write.valid
                if not self.registered:         # else a strip follows the one before by a cycle more
                    room = (~strip.valid | strip.ready) & (~write.valid | write.ready)
                with m.If(room):
                    m.d.sync += [
                        strip.valid.eq(1), strip.p.image_a.eq(image_a), strip.p.row_a.eq(row_a),
                        strip.p.row_b.eq(row_b), strip.p.ring_row.eq(ring_row),
                        strip.p.rows.eq(rows), strip.p.count.eq(count),
                        strip.p.channel_a.eq(channel_a), strip.p.channel_b.eq(channel_b),
                        strip.p.lane.eq(dram[1:3]), strip.p.last.eq(end),
                        write.valid.eq(1), write.p.table.eq(table), span.begin.eq(dram),
                        span.bytes.eq(entries << 1), span.request.address.eq(dram & ~7),
                        span.request.words.eq((entries[:STRIP_ENTRIES] + dram[1:3] + 3) >> 2),
                        span.request.last.eq(end),
                        seen.eq(0), block.eq(block + 1), dram.eq(dram + store.out_block_stride),
                        table.eq(table + 2),
                    ]
                    m.next = "Channel"
                    with m.If(final):
                        m.d.sync += [
                            row.eq(row + 1), dram_row.eq(dram_row + store.out_row_stride),
                            table_row.eq(table_row + store.table_row),
                            top.eq(top + Mux(pooled, shape.stride_y, 1)),
                        ]
                        m.next = "Row"
                        with m.If(last_row):
                            m.d.sync += [
                                image.eq(image + 1), image_a.eq(image_a + store.image_stride),
                                image_b.eq(image_b + shape.image_stride),
                                dram_image.eq(dram_image + store.out_image_stride),
                                table_image.eq(table_image + store.table_image),
                            ]
                            m.next = "Image"
                            with m.If(last_image):
                                m.next = "Idle"
            with m.State("Channel"):
                step(channel_a, place_last_a, store.block_stride)
                step(channel_b, place_last_b, shape.block_stride)
                m.d.sync += seen.eq(seen + chunk)
                with m.If(seen >= seen_last):
                    m.next = "Strip"
            with m.State("Too long"):
                m.d.comb += self.too_long.eq(1)
        return m
