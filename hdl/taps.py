"""The inner loops of STORE: column, chunk, window; and the reads they need."""

from amaranth.hdl import Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from .config import ENTRY_BITS, LANES
from .isa import ENTRY_ADDR, WORD_ADDR, Pool, ShapeBody, StoreBody
from .pool import DIVISORS, Tap
from .strips import COORDINATE, Channel, Offsets, Strip

IN_FLIGHT = 16    # reads under way


class Ends(data.Struct):
    """What a tap tells the pooler."""
    read: 1
    first: 1
    last: 1
    strip_first: 1
    strip_last: 1
    lane: 2


class Pending(data.Struct):
    """A read under way, or a tap without one."""
    ends: Ends
    count: 5
    at: 2          # lane of the first entry
    operand: 1     # the first operand of an add: the second follows


class TapReader(wiring.Component):
    """Walks the columns, chunks and windows of strips and reads their entries.

    Members: `strips` in; `store`, `shape`, `offsets`, stable until `idle`; `request` and
    `response` of the global buffer; `taps` out, one per place of a window (a place outside
    the tile is a tap without a read; a window has at least one); `idle`. place: bits of an
    entry's address; lanes: the most entries of a chunk.

    Throughput one read per cycle, strips included. Six cycles from a strip to its first
    request, two from a response to its tap.
    """

    strips: In(stream.Signature(Strip))
    store: In(StoreBody)
    shape: In(ShapeBody)
    offsets: In(Offsets)
    request: Out(stream.Signature(WORD_ADDR))
    response: In(stream.Signature(128))
    taps: Out(stream.Signature(Tap))
    idle: Out(1)

    def __init__(self, place: int = ENTRY_ADDR, lanes: int = LANES):
        self.place, self.lanes = place, lanes
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        store, shape, offsets, entry_bits = self.store, self.shape, self.offsets, self.place
        chunk = store.chunk if self.lanes > 1 else 1

        pooled = Signal()
        kernel = Signal(8)
        width = Signal(17)
        stride = Signal(8)
        # Of each loop the last index, of those that go on by `chunk` the first from which none follows.
        kernel_last, width_last, columns_last = Signal(8), Signal(signed(18)), Signal(16)
        seen_last, place_last_a, place_last_b = (Signal(signed(12), name=n)
                                                 for n in ("seen_last", "place_last_a", "place_last_b"))
        m.d.sync += [
            kernel_last.eq(kernel - 1), width_last.eq(width - 1), columns_last.eq(store.columns - 1),
            seen_last.eq(store.out_block - chunk), place_last_a.eq(store.block - chunk),
            place_last_b.eq(shape.block - chunk),
            pooled.eq(store.pool != Pool.NONE),
            kernel.eq(Mux(pooled, shape.kernel_x, 1)),
            width.eq(Mux(pooled, shape.width, 1 << 16)),
            stride.eq(Mux(pooled, shape.stride_x, 1)),
        ]

        # ---- walk: one tap per cycle ----------------------------------------------------
        strip = Signal(Strip)
        walking = Signal()
        column = Signal(16)
        left = Signal(signed(COORDINATE))          # tile column of the window's first
        base_a, base_b = Signal(entry_bits), Signal(entry_bits)    # its offset
        seen = Signal(11)                  # channels of the out block passed
        channel_a, channel_b = Signal(Channel), Signal(Channel)
        rows = Signal(8)                   # rows of the window still to come, this one too
        top = Signal()                     # in the window's first row
        row_a, row_b, ring_row = Signal(entry_bits), Signal(entry_bits), Signal(16)
        place = Signal(8)                  # in the window's row
        x = Signal(signed(COORDINATE))
        x_a, x_b = Signal(entry_bits), Signal(entry_bits)

        x_last, y_last, chunk_last, column_last = Signal(), Signal(), Signal(), Signal()
        done = Signal()
        advance = Signal()
        step = Signal()
        m.d.comb += [
            x_last.eq((place == kernel_last) | (x >= width_last)),
            y_last.eq(rows <= 1),
            chunk_last.eq(seen >= seen_last),
            column_last.eq(column == columns_last),
            done.eq(x_last & y_last & chunk_last & column_last),
            step.eq(walking & advance),
            self.strips.ready.eq(~walking | (step & done)),
        ]

        def start_row(left, base_a, base_b):
            return [place.eq(0), x.eq(left), x_a.eq(base_a), x_b.eq(base_b)]

        def start_window(strip):
            return [rows.eq(strip.rows), top.eq(1), row_a.eq(strip.row_a),
                    row_b.eq(strip.row_b), ring_row.eq(strip.ring_row)]

        def start_column(strip):
            return [seen.eq(0), channel_a.eq(strip.channel_a), channel_b.eq(strip.channel_b)]

        def next_chunk(channel, place_last, block_stride):
            with m.If(channel.place >= place_last):
                m.d.sync += [channel.place.eq(0), channel.block.eq((channel.block + block_stride)[:entry_bits])]
            with m.Else():
                m.d.sync += channel.place.eq(channel.place + chunk)

        with m.If(step):
            with m.If(~x_last):
                m.d.sync += [place.eq(place + 1), x.eq(x + 1),
                             x_a.eq(x_a + store.column_stride), x_b.eq(x_b + shape.column_stride)]
            with m.Elif(~y_last):
                m.d.sync += [*start_row(left, base_a, base_b), rows.eq(rows - 1), top.eq(0),
                             row_b.eq(row_b + shape.row_stride)]
                with m.If(ring_row + 1 == store.ring):
                    m.d.sync += [ring_row.eq(0), row_a.eq(strip.image_a)]
                with m.Else():
                    m.d.sync += [ring_row.eq(ring_row + 1), row_a.eq(row_a + store.row_stride)]
            with m.Elif(~chunk_last):
                m.d.sync += [*start_row(left, base_a, base_b), *start_window(strip),
                             seen.eq(seen + chunk)]
                next_chunk(channel_a, place_last_a, store.block_stride)
                next_chunk(channel_b, place_last_b, shape.block_stride)
            with m.Elif(~column_last):
                m.d.sync += [
                    column.eq(column + 1), left.eq(left + stride),
                    base_a.eq(base_a + offsets.step_a), base_b.eq(base_b + offsets.step_b),
                    *start_row(left + stride, base_a + offsets.step_a, base_b + offsets.step_b),
                    *start_window(strip), *start_column(strip),
                ]
            with m.Else():
                m.d.sync += walking.eq(0)
        with m.If(self.strips.valid & self.strips.ready):
            p = self.strips.p
            first = Mux(pooled, shape.x_first, 0)
            m.d.sync += [
                walking.eq(1), strip.eq(p), column.eq(0), left.eq(first),
                base_a.eq(offsets.column_a), base_b.eq(offsets.column_b),
                *start_row(first, offsets.column_a, offsets.column_b),
                *start_window(p), *start_column(p),
            ]

        # ---- addresses and divisors: three stages ---------------------------------------
        valid = [Signal(name=f"valid_{i}") for i in range(3)]
        ends = [Signal(Ends, name=f"ends_{i}") for i in range(3)]
        sum_a, place_a = Signal(entry_bits), Signal(entry_bits)
        sum_b, place_b = Signal(entry_bits), Signal(entry_bits)
        low, high = Signal(signed(COORDINATE)), Signal(signed(COORDINATE))
        tall, wide = Signal(8), Signal(8)
        tall_1 = Signal(8)
        at_a, at_b, entry_a, entry_b = (Signal(entry_bits, name=n) for n in
                                        ("at_a", "at_b", "entry_a", "entry_b"))
        count = Signal(5)
        area = Signal(10)
        # Five bits by five: not worth a multiplier block.
        m.d.comb += area.eq(sum(Mux(wide[i], tall[:5] << i, 0) for i in range(5)))
        with m.If(advance):
            m.d.sync += [
                # The sums of a row and a column, and of a block and a place in it.
                valid[0].eq(walking),
                ends[0].read.eq((x >= 0) & (x < width) & (rows != 0)),
                ends[0].first.eq((place == 0) & top),
                ends[0].last.eq(x_last & y_last),
                ends[0].strip_first.eq((column == 0) & (seen == 0)),
                ends[0].strip_last.eq(column_last & chunk_last),
                ends[0].lane.eq(strip.lane),
                sum_a.eq(row_a + x_a), place_a.eq(channel_a.block + channel_a.place),
                sum_b.eq(row_b + x_b), place_b.eq(channel_b.block + channel_b.place),
                low.eq(Mux(left < shape.count_left, shape.count_left, left)),
                high.eq(Mux(left + kernel < shape.count_right, left + kernel, shape.count_right)),
                tall_1.eq(strip.count),
                # Addresses; columns that count.
                valid[1].eq(valid[0]), ends[1].eq(ends[0]),
                at_a.eq(sum_a + place_a), at_b.eq(sum_b + place_b),
                tall.eq(tall_1), wide.eq(Mux(high > low, (high - low)[:8], 0)),
                # Divisor; more than the table holds comes as a constant or not at all.
                valid[2].eq(valid[1]), ends[2].eq(ends[1]), entry_a.eq(at_a), entry_b.eq(at_b),
                count.eq(Mux((tall <= DIVISORS) & (wide <= DIVISORS) & (area <= DIVISORS), area, 0)),
            ]

        # ---- requests -------------------------------------------------------------------
        m.submodules.pending = pending = SyncFIFO(width=Shape.cast(Pending).width, depth=IN_FLIGHT)
        ask = Signal(Pending)
        second = Signal()             # at the second operand of an add
        entry = Signal(entry_bits)
        read = ends[2].read
        m.d.comb += [
            entry.eq(Mux(second, entry_b, entry_a)),
            ask.ends.eq(ends[2]), ask.count.eq(count), ask.at.eq(entry[:2]),
            ask.operand.eq(read & store.add & ~second),
            pending.w_data.eq(Value.cast(ask)),
            self.request.payload.eq(entry >> 2),
            self.request.valid.eq(valid[2] & read & pending.w_rdy),
            pending.w_en.eq(valid[2] & (~read | self.request.ready)),
            advance.eq(~valid[2] | (pending.w_en & pending.w_rdy & ~ask.operand)),
        ]
        with m.If(pending.w_en & pending.w_rdy):
            m.d.sync += second.eq(ask.operand)

        # ---- responses ------------------------------------------------------------------
        head = Signal(Pending)
        held = Signal(Pending)
        full = Signal()
        entries = Signal(ENTRY_BITS * self.lanes)
        take, leave = Signal(), Signal()
        m.d.comb += [
            Value.cast(head).eq(pending.r_data),
            leave.eq(full & (~self.taps.valid | self.taps.ready)),
            take.eq(pending.r_rdy & (~head.ends.read | self.response.valid) & (~full | leave)),
            pending.r_en.eq(take),
            self.response.ready.eq(pending.r_rdy & head.ends.read & (~full | leave)),
        ]
        with m.If(leave):
            m.d.sync += full.eq(0)
        with m.If(take):
            m.d.sync += [full.eq(1), held.eq(head),
                         entries.eq(self.response.payload >> (head.at << 4))]
        with m.If(self.taps.ready):
            m.d.sync += self.taps.valid.eq(0)
        with m.If(leave):
            p = self.taps.p
            m.d.sync += [self.taps.valid.eq(1), Value.cast(p.entries).eq(entries), p.operand.eq(held.operand),
                         p.count.eq(held.count)]
            m.d.sync += [p[n].eq(held.ends[n]) for n, _ in data.Layout.cast(Ends)]
        m.d.comb += self.idle.eq(~(walking | valid[0] | valid[1] | valid[2] | pending.r_rdy
                                   | full | self.taps.valid))
        return m
