"""The inner loops of STORE: column, chunk, window; and the reads they need."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, LANES
from hdl.isa import ENTRY_ADDR, WORD_ADDR, Pool, ShapeBody, StoreBody
from hdl.lib.stream.credit_fifo import CreditFifo
from hdl.lib.stream.skid_buffer import SkidBuffer
from hdl.lib.stream.through import through
from hdl.memory.words import BLOCK, COORDINATE, Offsets, Strip, Tap, TapMark
from hdl.timing import DIVISORS

READS = 16  # reads under way


class Pending(data.Struct):
    """A read under way, or a tap without one."""

    mark: TapMark
    at: 2  # lane of the first entry
    operand: 1  # the first operand of an add: the second follows


class TapReader(wiring.Component):
    """Walks the columns, chunks and windows of strips and reads their entries.

    Members: `strips` in; `store`, `shape`, `offsets`, stable until `idle`; `request` and
    `response` of the global buffer; `taps` out, one per place of a window (a place outside
    the tile is a tap without a read; a window has at least one); `idle`. place: bits of an
    entry's address; lanes: the most entries of a chunk.

    Throughput one read a cycle, strips of two windows or more included, and one cycle for a place
    that is not read (two in an add). Eight cycles from a strip to its first request, one from a
    response to its tap. No path leads from `request` and `taps` to the walk, nor between them.
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
        store, shape, offsets, bits = self.store, self.shape, self.offsets, self.place
        chunk = store.chunk if self.lanes > 1 else 1
        stages = 4  # from the walk to the requests

        # ---- what depends on the command only ---------------------------------------------
        pooled = Signal()
        kernel, kernel_before, kernel_one = Signal(8), Signal(8), Signal()
        width, width_before = Signal(17), Signal(signed(18))
        stride, first = Signal(8), Signal(signed(COORDINATE))
        columns_left, columns_one = Signal(16), Signal()
        block_left, block_one = Signal(BLOCK), Signal()
        ring_before, ring_one = Signal(16), Signal()
        place_before = [Signal(BLOCK, name=f"place_before_{n}") for n in "ab"]
        place_one = [Signal(name=f"place_one_{n}") for n in "ab"]
        # from a block's last chunk to the next block
        jump = [Signal(bits, name=f"jump_{n}") for n in "ab"]
        # `before`: the index before the last, behind which the last comes. `one`: the first is the
        # last.
        m.d.comb += pooled.eq(store.pool != Pool.NONE)
        m.d.sync += [
            kernel.eq(Mux(pooled, shape.kernel_x, 1)),
            kernel_before.eq(kernel - 2),
            kernel_one.eq(kernel == 1),
            width.eq(Mux(pooled, shape.width, 1 << 16)),
            width_before.eq(width - 2),
            stride.eq(Mux(pooled, shape.stride_x, 1)),
            first.eq(Mux(pooled, shape.x_first, 0)),
            columns_left.eq(store.columns - 1),
            columns_one.eq(store.columns == 1),
            block_left.eq(store.out_block - chunk),
            block_one.eq(store.out_block == chunk),
            ring_before.eq(store.ring - 2),
            ring_one.eq(store.ring == 1),
        ]
        for n, body in enumerate((store, shape)):
            m.d.sync += [
                place_before[n].eq(body.block - (chunk << 1)),
                place_one[n].eq(body.block == chunk),
                jump[n].eq(body.block_stride - body.block + chunk),
            ]

        # ---- walk: one tap per cycle, of an add each half of it ----------------------------
        coming, strip = Signal(Strip), Signal(Strip)  # the next, and the one under way
        loaded = Signal()  # there is a next
        walking = Signal()
        second, second_next = Signal(), Signal()  # at the second operand of an add
        column = Signal(16)  # columns still to come behind this one
        # tile columns of the window
        left, right = Signal(signed(COORDINATE)), Signal(signed(COORDINATE))
        low = Signal(signed(COORDINATE))  # the first that counts
        # of the next window, also of the next strip's first
        left_next = Signal(signed(COORDINATE))
        # channels of the out block still to come behind this chunk
        left_over = Signal(BLOCK)
        rows = Signal(8)  # rows of the window still to come, this one too
        ring_row = Signal(16)
        place = Signal(8)  # in the window's row
        row_before = Signal(8)  # the place before its last
        channel = [Signal(BLOCK, name=f"channel_{n}") for n in "ab"]
        lane, tall_0 = Signal(2), Signal(8)
        # Registers that tell where the tap is; all of it has been walked before the first strip.
        row_one = Signal()  # rows of the window have one tap
        fresh = Signal()  # its first tap
        stale = Signal()  # `rest` is not that of the next window
        strip_fresh = Signal()  # of the first window of the strip
        x_last, y_last, chunk_last, column_last = (
            Signal(name=n, init=1) for n in ("x_last", "y_last", "chunk_last", "column_last")
        )
        window_last, turn_last, strip_last = (
            Signal(name=n, init=1) for n in ("window_last", "turn_last", "strip_last")
        )
        x_next, y_next, chunk_next, column_next = (
            Signal(name=n) for n in ("x_next", "y_next", "chunk_next", "column_next")
        )
        m.d.comb += [
            x_next.eq(x_last),
            y_next.eq(y_last),
            chunk_next.eq(chunk_last),
            column_next.eq(column_last),
        ]
        m.d.sync += [
            x_last.eq(x_next),
            y_last.eq(y_next),
            chunk_last.eq(chunk_next),
            column_last.eq(column_next),
            # What enables much is not found from the others in as many steps.
            window_last.eq(x_next & y_next),
            turn_last.eq(x_next & y_next & chunk_next),
            strip_last.eq(x_next & y_next & chunk_next & column_next),
        ]
        wraps = Signal()  # its row is the ring's last
        # its chunk is the last of a block of the tile, of each operand
        ends = Signal(2)
        # a tap's operand goes on; its last operand, or nothing at all
        go, turn = Signal(), Signal()
        window_ends, column_ends, next_column, begins, follows = (
            Signal(name=n)
            for n in ("window_ends", "column_ends", "next_column", "begins", "follows")
        )
        final_chunk, final_column = Signal(), Signal()  # the next is the last
        m.d.comb += [
            window_ends.eq(window_last & turn),
            column_ends.eq(turn_last & turn),
            follows.eq(loaded & ~stale),
            # or the next strip's first
            next_column.eq(turn_last & turn & (~column_last | follows)),
            final_chunk.eq(left_over == chunk),
            final_column.eq(Mux(column_last, columns_one, column == 1)),
            self.strips.ready.eq(~loaded),
            begins.eq(strip_last & turn & follows),
            second_next.eq(store.add & Mux(walking, second ^ go, ~(turn & follows))),
        ]
        m.d.sync += second.eq(second_next)
        with m.If(self.strips.ready & self.strips.valid):
            m.d.sync += [coming.eq(self.strips.p), loaded.eq(1)]
        with m.Elif(begins):
            m.d.sync += loaded.eq(0)
        with m.If(begins):
            m.d.sync += strip.eq(coming)

        # What a row of the next window has. It may be a cycle late: that matters only behind a
        # window of one tap, so beyond the right edge, as the next of this strip is, or with a
        # kernel of one. For the next strip it is waited.
        rest = Signal(signed(COORDINATE + 1))  # places behind its first but one
        m.d.sync += [rest.eq(width_before - left_next), stale.eq(next_column & ~kernel_one)]
        rest_one = kernel_one | (rest < 0)

        now = Signal(Strip)
        m.d.comb += now.eq(Mux(column_last & chunk_last, coming, strip))
        # Only what tells where the tap is, and `left_next`, must hold while no strip follows.
        with m.If(turn):
            m.d.sync += [
                fresh.eq(window_last & (~strip_last | follows)),
                place.eq(Mux(x_last, 0, place + 1)),
            ]
            with m.If(~x_last):
                m.d.comb += x_next.eq(place == row_before)
            with m.Elif(~window_last):
                m.d.comb += [x_next.eq(row_one), y_next.eq(rows <= 2)]
            with m.Elif(~strip_last | follows):
                m.d.comb += [
                    x_next.eq(Mux(chunk_last, rest_one, row_one)),
                    y_next.eq(now.single),
                    chunk_next.eq(Mux(chunk_last, block_one, final_chunk)),
                ]
                with m.If(chunk_last):
                    m.d.comb += column_next.eq(final_column)
        with m.If(turn & x_last):
            m.d.sync += [
                rows.eq(Mux(y_last, now.rows, rows - 1)),
                ring_row.eq(Mux(y_last, now.ring_row, Mux(wraps, 0, ring_row + 1))),
                wraps.eq(Mux(y_last, now.wraps, Mux(wraps, ring_one, ring_row == ring_before))),
            ]
        with m.If(window_ends):
            m.d.sync += [
                left_over.eq(Mux(chunk_last, block_left, left_over - chunk)),
                strip_fresh.eq(chunk_last & column_last),
            ]
            for n, (place_0, ends_0) in enumerate(
                ((now.place_a, now.ends_a), (now.place_b, now.ends_b))
            ):
                m.d.sync += [
                    channel[n].eq(Mux(chunk_last, place_0, Mux(ends[n], 0, channel[n] + chunk))),
                    ends[n].eq(
                        Mux(
                            chunk_last,
                            ends_0,
                            Mux(ends[n], place_one[n], channel[n] == place_before[n]),
                        )
                    ),
                ]
        with m.If(column_ends):
            m.d.sync += [
                column.eq(Mux(column_last, columns_left, column - 1)),
                left.eq(left_next),
                right.eq(left_next + kernel),
                low.eq(Mux(left_next < shape.count_left, shape.count_left, left_next)),
                row_one.eq(rest_one),
                row_before.eq(Mux(rest < kernel_before, rest, kernel_before)),
                lane.eq(now.lane),
                tall_0.eq(now.count),
                walking.eq(~strip_last | follows),
            ]
        with m.If(next_column):
            m.d.sync += left_next.eq(Mux(final_column, first, left_next + stride))
        with m.Elif(~walking):
            m.d.sync += left_next.eq(first)

        # Of each loop the address at which its turn began: a step of a loop begins all those within
        # it.
        other, load, select = Signal(), Signal(), Signal(2)
        moves = Signal(4)
        control = [
            other.eq(second),
            load.eq(strip_last),
            moves.eq(Cat(turn, turn & x_last, window_ends, next_column)),
            select.eq(Cat(x_last & ~window_last | turn_last, window_last)),
        ]
        address = []
        for n, (body, next_row, next_window, new) in enumerate(
            (
                (
                    store,
                    Mux(wraps, offsets.ring_back, store.row_stride),
                    offsets.step_a,
                    coming.first_a,
                ),
                (shape, shape.row_stride, offsets.step_b, coming.first_b),
            )
        ):
            begun = [
                Signal(bits, name=f"{name}_{'ab'[n]}") for name in ("tap", "row", "chunk", "window")
            ]
            by, after = (Signal(bits, name=f"{name}_{'ab'[n]}") for name in ("by", "after"))
            control.append(
                by.eq(
                    Mux(
                        window_last,
                        Mux(
                            turn_last,
                            Mux(strip_last, new, next_window),
                            Mux(ends[n], jump[n], chunk),
                        ),
                        Mux(x_last, next_row, body.column_stride),
                    )
                )
            )
            m.d.comb += after.eq(
                Mux(
                    load,
                    0,
                    Mux(
                        select[1],
                        Mux(select[0], begun[3], begun[2]),
                        Mux(select[0], begun[1], begun[0]),
                    ),
                )
                + by
            )
            for moved, value in zip(moves, begun):
                with m.If(moved):
                    m.d.sync += value.eq(after)
            address.append(begun[0])
        m.d.sync += control  # a cycle after the walk

        # ---- divisors and whether there is anything to read ---------------------------------
        valid = [Signal(name=f"valid_{i}") for i in range(stages)]
        marks = [Signal(TapMark, name=f"mark_{i}") for i in range(stages)]
        operand = [Signal(name=f"operand_{i}") for i in range(stages)]
        entry = [Signal(bits, name=f"entry_{i}") for i in range(stages)]
        low_1, high = Signal(signed(COORDINATE)), Signal(signed(COORDINATE))
        tall_1, tall, wide = Signal(8), Signal(8), Signal(8)
        count = Signal(5)
        x = Signal(signed(COORDINATE + 1))
        m.d.comb += x.eq(left + place)
        # Five bits by five: not worth a multiplier block.
        parts = [Mux(wide[i], tall[:5] << i, 0) for i in range(5)]
        small = (tall <= DIVISORS) & (wide <= DIVISORS)
        for i in range(1, stages):
            m.d.sync += [
                valid[i].eq(valid[i - 1]),
                marks[i].eq(marks[i - 1]),
                operand[i].eq(operand[i - 1]),
                entry[i].eq(Mux(other, *reversed(address)) if i == 1 else entry[i - 1]),
            ]
        halves, fits = [Signal(9, name=f"half_{i}") for i in range(2)], Signal()
        area = halves[0] + halves[1]
        m.d.sync += [
            valid[0].eq(walking & go),
            operand[0].eq(store.add & ~second),
            marks[0].read.eq((x >= 0) & (left < width) & (rows != 0)),
            marks[0].first.eq(fresh),
            marks[0].last.eq(window_last),
            marks[0].ends.first.eq(strip_fresh),
            marks[0].ends.last.eq(column_last & chunk_last),
            marks[0].ends.lane.eq(lane),
            low_1.eq(low),
            high.eq(Mux(right < shape.count_right, right, shape.count_right)),
            tall_1.eq(tall_0),
            wide.eq(Mux(high > low_1, (high - low_1)[:8], 0)),
            tall.eq(tall_1),
            halves[0].eq(sum(parts[:2])),
            halves[1].eq(sum(parts[2:])),
            fits.eq(small),
            # More than the table holds comes as a constant or not at all.
            count.eq(Mux(fits & (area <= DIVISORS), area, 0)),
        ]

        # ---- requests -------------------------------------------------------------------
        # The first operand of a place that is not read is not waited for either.
        # the walk goes on late after a stall
        depth = READS * (2 if self.lanes > 1 else 1)
        m.submodules.pending = pending = CreditFifo(Shape.cast(Pending).width, depth)
        m.submodules.asked = asked = CreditFifo(bits - 2, depth)
        room = Signal()
        ask = Signal(Pending)
        read = marks[-1].read
        wanted = valid[-1] & (read | ~operand[-1])
        m.d.comb += [
            ask.mark.eq(marks[-1]),
            ask.mark.count.eq(count),
            ask.at.eq(entry[-1][:2]),
            ask.operand.eq(operand[-1]),
            pending.w_data.eq(Value.cast(ask)),
        ]
        # What the walk has begun finds room in both queues, so nothing between stops it.
        m.d.sync += [
            room.eq(pending.level < depth - stages - 4),
            go.eq(room),
            turn.eq(room & (second_next | ~store.add)),
        ]
        m.d.comb += [
            pending.w_en.eq(wanted),
            asked.w_en.eq(wanted & read),
            asked.w_data.eq(entry[-1][2:]),
            self.request.payload.eq(asked.r_data),
            self.request.valid.eq(asked.r_rdy),
            asked.r_en.eq(asked.r_rdy & self.request.ready),
        ]

        # ---- responses ------------------------------------------------------------------
        head = Signal(Pending)
        held = Signal(Pending)
        full = Signal()
        entries = Signal(ENTRY_BITS * self.lanes)
        take, free = Signal(), Signal()
        m.d.comb += [
            Value.cast(head).eq(pending.r_data),
            take.eq(pending.r_rdy & (~head.mark.read | self.response.valid) & free),
            pending.r_en.eq(take),
            self.response.ready.eq(pending.r_rdy & head.mark.read & free),
        ]
        with m.If(free):
            m.d.sync += [
                full.eq(take),
                held.eq(head),
                entries.eq(self.response.payload >> (head.at << 4)),
            ]
        tap = stream.Signature(Tap).create(path=("tap",))
        m.d.comb += [
            Value.cast(tap.p.entries).eq(entries),
            tap.p.operand.eq(held.operand),
            tap.p.mark.eq(held.mark),
        ]
        skid = SkidBuffer(Tap)
        wiring.connect(m, through(m, "taps_out", skid, tap), wiring.flipped(self.taps))
        crowded = Signal()  # in a register: both places after the queue are full
        m.d.sync += crowded.eq(~self.taps.ready & (crowded | ((full | skid.full) & take)))
        m.d.comb += [tap.valid.eq(full), free.eq(~crowded)]
        inside = full | skid.full
        m.d.comb += self.idle.eq(
            ~(walking | loaded | Cat(valid).any() | pending.r_rdy | (pending.level != 0) | inside)
        )
        return m
