"""The outer loops of STORE: image, row, block."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import LANES
from hdl.isa import ENTRY_ADDR, Pool, ShapeBody, StoreBody
from hdl.lib.axi import ADDRESS
from hdl.memory.words import BLOCK, COORDINATE, STRIP_BITS, Offsets, Strip, StripWrite

STRIP_ENTRIES = 20  # bits of the entries in a strip of the output

FACTOR = 18  # bits of a factor, signed: those of an FPGA's multiplier


class StripWalker(wiring.Component):
    """Finds the strips of a STORE, one ahead of the taps.

    Members: `start`, a pulse; `store` and `shape`, stable until `idle`; `offsets`, valid with the
    first strip; `strips`; `writes`, where the same strips go in DRAM (at its own pace, within one
    strip); `too_long`, a strip beyond 2**20 entries, or 2**17 if coded (nothing is issued). place:
    bits to which the offsets in the tile are computed, those of an entry's address; address: those
    of an address in memory; lanes: the most entries of a chunk; rlc: a STORE may be coded.

    Latency thirteen: one multiplier finds a product a cycle. A strip takes three cycles, and one
    for each block of the tile beyond one that it goes over; the first of a row 7 + 2 * stride_y. No
    path leads from whoever takes one to the walk.
    """

    start: In(1)
    idle: Out(1)
    store: In(StoreBody)
    shape: In(ShapeBody)
    offsets: Out(Offsets)
    strips: Out(stream.Signature(Strip))
    writes: Out(stream.Signature(StripWrite))
    too_long: Out(1)

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
        store, shape, offsets, place = self.store, self.shape, self.offsets, self.place
        chunk = store.chunk if self.lanes > 1 else 1
        strip, write = self.strips, self.writes
        span = write.p.range

        # ---- what depends on the command only ---------------------------------------------
        pooled = Signal()
        height = Signal(17)
        kernel, stride = Signal(8), Signal(8)
        y_first = Signal(signed(16))
        # the ring's last row, and the one before
        ring_last, ring_before = Signal(16), Signal(16)
        ring_one = Signal()
        # Of each loop the last index.
        blocks_last, rows_last, images_last = Signal(BLOCK), Signal(16), Signal(8)
        m.d.comb += pooled.eq(store.pool != Pool.NONE)
        m.d.sync += [
            height.eq(Mux(pooled, shape.height, 1 << 16)),
            kernel.eq(Mux(pooled, shape.kernel_y, 1)),
            stride.eq(Mux(pooled, shape.stride_y, 1)),
            y_first.eq(Mux(pooled, shape.y_first, 0)),
            ring_last.eq(store.ring - 1),
            ring_before.eq(store.ring - 2),
            ring_one.eq(store.ring == 1),
            blocks_last.eq(store.blocks - 1),
            rows_last.eq(store.rows - 1),
            images_last.eq(store.images - 1),
        ]

        # ---- products -------------------------------------------------------------------
        bits = max(FACTOR, place)
        number = Signal(4)  # of the product whose factors are taken
        factors = [Signal(signed(bits), name=f"factor_{i}") for i in range(2)]
        product = Signal(signed(2 * bits))
        entries = Signal(27)
        ring_offset = Signal(place)
        x_first, stride_x = Signal(signed(16)), Signal(8)
        m.d.sync += [
            x_first.eq(Mux(pooled, shape.x_first, 0)),
            stride_x.eq(Mux(pooled, shape.stride_x, 1)),
        ]
        # Times x_first two, row_first and out_block; times stride_x two, and 1 - ring.
        back = Cat(~ring_before, ~ring_one).as_signed()
        odd = number[0]
        one = Mux(
            number[2],
            Mux(number[1], back, stride_x),
            Mux(number[1], Mux(odd, store.out_block, store.row_first), x_first),
        )
        other = Mux(
            number[1],
            Mux(odd, store.columns, store.row_stride),
            Mux(odd, shape.column_stride, store.column_stride),
        )
        m.d.sync += product.eq(factors[0] * factors[1])
        m.d.sync += number.eq(Mux(number.all(), number, number + 1))
        # Beyond `bits` no factor counts: an offset is modular, and all but offsets are shorter.
        m.d.sync += [factors[0].eq(one), factors[1].eq(other)]

        # ---- rows -----------------------------------------------------------------------
        image, row, block = Signal(8), Signal(16), Signal(BLOCK)
        top = Signal(signed(COORDINATE))  # tile row of the window's first
        bottom = Signal(signed(COORDINATE))
        at = Signal(17)  # the tile row the pointers stand on
        goal = Signal(17)  # the one they are to stand on
        ring_row, wraps = Signal(16), Signal()
        row_a, row_b = Signal(place), Signal(place)
        image_a, image_b = Signal(place), Signal(place)
        # rows that exist
        low, high = Signal(signed(COORDINATE)), Signal(signed(COORDINATE))
        dram_image, dram_row, dram = (
            Signal(self.address, name=n) for n in ("dram_image", "dram_row", "dram")
        )
        # Of the lengths; without run-length coding they stay 0.
        table_bits = self.address if self.rlc else 0
        table_image, table_row, table = (
            Signal(table_bits, name=n) for n in ("table_image", "table_row", "table")
        )
        excess = Signal()
        m.d.comb += excess.eq(
            entries[STRIP_ENTRIES:].any()
            | ((store.rlc & entries[STRIP_BITS:].any()) if self.rlc else 0)
        )
        rows, count = Signal(8), Signal(8)
        final, last_row, last_image = Signal(), Signal(), Signal()
        # A loop's counter stands still for two cycles before a strip ends it.
        m.d.sync += [
            final.eq(block == blocks_last),
            last_row.eq(row == rows_last),
            last_image.eq(image == images_last),
        ]

        # ---- the first channel of a block --------------------------------------------------
        first = [Signal(place, name=f"first_{n}") for n in "ab"]
        channel = [Signal(BLOCK + 1, name=f"place_{n}") for n in "ab"]
        size = [Signal(BLOCK, name=f"size_{n}") for n in "ab"]  # of a block of the tile
        jump = [Signal(place, name=f"jump_{n}") for n in "ab"]  # from behind one to the next
        beyond, again = Signal(2), Signal(2)
        used = (1, store.add)
        for n, body in enumerate((store, shape)):
            m.d.sync += [
                size[n].eq(body.block | (body.block == 0)),
                jump[n].eq(body.block_stride - body.block),
            ]
            m.d.comb += [
                beyond[n].eq((channel[n] >= size[n]) & used[n]),
                again[n].eq((channel[n] >= (size[n] << 1)) & used[n]),
            ]
        ends = [channel[n] + chunk == size[n] for n in range(2)]

        with m.If(strip.ready):
            m.d.sync += strip.valid.eq(0)
        with m.If(write.ready):
            m.d.sync += write.valid.eq(0)

        # Where the walk is, one register a state: they enable a hundred registers each.
        names = (
            "waiting",
            "multiply",
            "new_image",
            "new_row",
            "bounds",
            "seek",
            "offer",
            "emit",
            "along",
            "bad",
        )
        waiting, multiply, new_image, new_row, bounds, seek, offer, emit, along, bad = [
            Signal(name=n, init=n == "waiting") for n in names
        ]
        found, begun = Signal(), Signal()
        end = Signal()
        m.d.comb += [
            end.eq(final & last_row & last_image),
            self.idle.eq(waiting & ~strip.valid & ~write.valid),
            begun.eq(waiting & self.start),
            self.too_long.eq(bad),
        ]
        # the strip's end is theirs
        ends_row, ends_image, ends_all = (Signal(name=f"ends_{n}") for n in ("row", "image", "all"))
        # A strip comes a cycle after its offer, and is taken before the next is offered; a row is
        # found in two.
        room = ~strip.valid & ~write.valid
        emits, settled = offer & room, Signal()
        m.d.sync += [
            emit.eq(emits),
            ends_row.eq(emits & final),
            ends_image.eq(emits & final & last_row),
            ends_all.eq(emits & end),
            found.eq(at == goal),
            settled.eq(seek & ~settled),
        ]
        m.d.sync += [
            waiting.eq(waiting & ~self.start | ends_all),
            offer.eq(seek & settled & found | along & ~again.any() | offer & ~room),
            multiply.eq(begun | multiply & (number != 5)),
            new_image.eq(multiply & (number == 5) | ends_image & ~ends_all),
            new_row.eq(new_image & ~excess | ends_row & ~ends_image),
            bounds.eq(new_row),
            seek.eq(bounds | seek & ~(settled & found)),
            along.eq(emit & ~ends_row | along & again.any()),
            bad.eq(bad | new_image & excess),
        ]

        with m.If(waiting):
            m.d.sync += [
                number.eq(0),
                image.eq(0),
                dram_image.eq(store.dram),
                table_image.eq(store.table),
            ]
        with m.Elif(ends_image):
            m.d.sync += [
                image.eq(image + 1),
                dram_image.eq(dram_image + store.out_image_stride),
                table_image.eq(table_image + store.out_image_stride),
            ]
        for value, body, its in ((image_a, store, 2), (image_b, shape, 3)):
            with m.If(waiting):
                m.d.sync += value.eq(body.base)
            with m.Elif(ends_image | multiply & (number == its)):
                m.d.sync += value.eq(value + Mux(multiply, product, body.image_stride))
        with m.If(new_image):
            m.d.sync += [
                row.eq(0),
                at.eq(0),
                dram_row.eq(dram_image),
                table_row.eq(table_image),
                top.eq(y_first),
            ]
        with m.Elif(ends_row):
            m.d.sync += [
                row.eq(row + 1),
                dram_row.eq(dram_row + store.out_row_stride),
                table_row.eq(table_row + store.table_row),
                top.eq(top + stride),
            ]
        with m.If(new_image):
            m.d.sync += [
                ring_row.eq(store.row_first),
                wraps.eq(store.row_first == ring_last),
                row_a.eq(image_a + ring_offset),
                row_b.eq(image_b),
            ]
        with m.Elif(seek & settled & ~found):
            m.d.sync += [at.eq(at + 1), row_b.eq(row_b + shape.row_stride)]
            with m.If(wraps):
                m.d.sync += [ring_row.eq(0), row_a.eq(image_a), wraps.eq(ring_one)]
            with m.Else():
                m.d.sync += [
                    ring_row.eq(ring_row + 1),
                    row_a.eq(row_a + store.row_stride),
                    wraps.eq(ring_row == ring_before),
                ]
        # The rows of the window that exist, and then, while they are sought, those that count: each
        # between two bounds. What is found before a row is known is found again.
        from_row, to_row = Signal(signed(COORDINATE)), Signal(signed(COORDINATE))
        overlap, sought = Signal(signed(COORDINATE + 1)), Signal()
        m.d.comb += [
            from_row.eq(Mux(seek, shape.count_top, 0)),
            to_row.eq(Mux(seek, shape.count_bottom, height)),
            overlap.eq(high - low),
        ]
        m.d.sync += [
            bottom.eq(top + kernel),
            low.eq(Mux(top < from_row, from_row, top)),
            high.eq(Mux(bottom < to_row, bottom, to_row)),
            sought.eq(bounds),
        ]
        with m.If(bounds):
            m.d.sync += goal.eq(low)
        with m.If(sought):
            m.d.sync += rows.eq(Mux(overlap < 0, 0, overlap[:8]))
        with m.If(seek):
            m.d.sync += count.eq(Mux(overlap < 0, 0, overlap[:8]))
        with m.If(new_row):
            m.d.sync += [dram.eq(dram_row), table.eq(table_row), block.eq(0)]
        with m.Elif(emit):
            m.d.sync += [
                dram.eq(dram + store.out_block_stride),
                table.eq(table + 2),
                block.eq(block + 1),
            ]
        for n in range(2):
            with m.If(seek):
                m.d.sync += [first[n].eq((row_a, row_b)[n]), channel[n].eq(0)]
            with m.Elif(emit):
                m.d.sync += [
                    first[n].eq(first[n] + store.out_block),
                    channel[n].eq(channel[n] + store.out_block),
                ]
            with m.Elif(along & beyond[n]):
                m.d.sync += [channel[n].eq(channel[n] - size[n]), first[n].eq(first[n] + jump[n])]
        with m.If(emit):
            m.d.sync += [
                strip.valid.eq(1),
                strip.p.first_a.eq(first[0]),
                strip.p.first_b.eq(first[1]),
                strip.p.place_a.eq(channel[0]),
                strip.p.place_b.eq(channel[1]),
                strip.p.ends_a.eq(ends[0]),
                strip.p.ends_b.eq(ends[1]),
                strip.p.ring_row.eq(ring_row),
                strip.p.wraps.eq(wraps),
                strip.p.rows.eq(rows),
                strip.p.single.eq(rows <= 1),
                strip.p.count.eq(count),
                strip.p.lane.eq(dram[1:3]),
                strip.p.last.eq(ends_all),
                write.valid.eq(1),
                write.p.table.eq(table),
                span.begin.eq(dram),
                span.bytes.eq(entries << 1),
                span.request.address.eq(dram & ~7),
                span.request.last.eq(ends_all),
                span.request.words.eq((entries[:STRIP_ENTRIES] + dram[1:3] + 3) >> 2),
            ]
        # A product comes two cycles behind its number.
        for n, value in enumerate(
            (ring_offset, entries, offsets.step_a, offsets.step_b, offsets.ring_back), 4
        ):
            with m.If(number == n):
                m.d.sync += value.eq(product if value is entries else product[:place])
        return m
