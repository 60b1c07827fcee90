"""The inner loops of STORE: column, chunk, window; and the reads they need."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from .config import ENTRY_BITS, LANES
from .isa import ENTRY_ADDR, WORD_ADDR, Pool, ShapeBody, StoreBody
from .kept_queue import KeptQueue
from .pool import DIVISORS, Tap
from .skid import cut
from .strips import BLOCK, COORDINATE, Offsets, Strip

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

    Throughput one read per cycle, strips included, and one cycle for a place that is not read (two in an add). Four
    cycles from a strip to its first request, two from a response to its tap.
    registered: six cycles to the request, one to the tap; no path from `request` and
    `taps` to the walk, nor between them.
    """

    strips: In(stream.Signature(Strip))
    store: In(StoreBody)
    shape: In(ShapeBody)
    offsets: In(Offsets)
    request: Out(stream.Signature(WORD_ADDR))
    response: In(stream.Signature(128))
    taps: Out(stream.Signature(Tap))
    idle: Out(1)

    def __init__(self, place: int = ENTRY_ADDR, lanes: int = LANES, registered: bool = False):
        self.place, self.lanes, self.registered = place, lanes, registered
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        store, shape, offsets, bits = self.store, self.shape, self.offsets, self.place
        chunk = store.chunk if self.lanes > 1 else 1
        stages = 4 if self.registered else 3          # from the walk to the requests

        # ---- what depends on the command only ---------------------------------------------
        pooled = Signal()
        kernel, kernel_before, kernel_one = Signal(8), Signal(8), Signal()
        width, width_before = Signal(17), Signal(signed(18))
        stride, first = Signal(8), Signal(signed(COORDINATE))
        columns_before, columns_one = Signal(16), Signal()
        seen_before, block_one = Signal(BLOCK), Signal()
        ring_before, ring_one = Signal(16), Signal()
        place_before = [Signal(BLOCK, name=f"place_before_{n}") for n in "ab"]
        place_one = [Signal(name=f"place_one_{n}") for n in "ab"]
        jump = [Signal(bits, name=f"jump_{n}") for n in "ab"]      # from a block's last chunk to the next block
        # `before`: the index before the last, behind which the last comes. `one`: the first is the last.
        m.d.comb += pooled.eq(store.pool != Pool.NONE)
        m.d.sync += [
            kernel.eq(Mux(pooled, shape.kernel_x, 1)), kernel_before.eq(kernel - 2), kernel_one.eq(kernel == 1),
            width.eq(Mux(pooled, shape.width, 1 << 16)), width_before.eq(width - 2),
            stride.eq(Mux(pooled, shape.stride_x, 1)), first.eq(Mux(pooled, shape.x_first, 0)),
            columns_before.eq(store.columns - 2), columns_one.eq(store.columns == 1),
            seen_before.eq(store.out_block - (chunk << 1)), block_one.eq(store.out_block == chunk),
            ring_before.eq(store.ring - 2), ring_one.eq(store.ring == 1),
        ]
        for n, body in enumerate((store, shape)):
            m.d.sync += [place_before[n].eq(body.block - (chunk << 1)), place_one[n].eq(body.block == chunk),
                         jump[n].eq(body.block_stride - body.block + chunk)]

        # ---- walk: one tap per cycle, of an add each half of it ----------------------------
        strip = Signal(Strip)
        walking = Signal()
        second, second_next = Signal(), Signal()   # at the second operand of an add
        column = Signal(16)
        left, right = Signal(signed(COORDINATE)), Signal(signed(COORDINATE))   # tile columns of the window
        low = Signal(signed(COORDINATE))   # the first that counts
        left_next = Signal(signed(COORDINATE))     # of the next window, also of the next strip's first
        seen = Signal(BLOCK)               # channels of the out block passed
        rows = Signal(8)                   # rows of the window still to come, this one too
        ring_row = Signal(16)
        place = Signal(8)                  # in the window's row
        row_before = Signal(8)             # the place before its last
        channel = [Signal(BLOCK, name=f"channel_{n}") for n in "ab"]
        # Registers that tell where the tap is.
        row_one = Signal()                 # rows of the window have one tap
        fresh = Signal()                   # its first tap
        stale = Signal()                   # `rest` is not yet that of the next window
        x_last, y_last, chunk_last, column_last = Signal(), Signal(), Signal(), Signal()
        wraps = Signal()                   # its row is the ring's last
        ends = Signal(2)                   # its chunk is the last of a block of the tile, of each operand
        begin, step, go = Signal(), Signal(), Signal()
        turn = Signal()                    # go, at the last operand: what that does behind the walk does no harm
        done = y_last & chunk_last & column_last & ~stale       # in the last row of a strip, and the next may follow
        m.d.comb += [
            step.eq(turn),
            begin.eq(self.strips.valid & self.strips.ready),
            self.strips.ready.eq(~walking | (x_last & step & done)),
            second_next.eq(store.add & walking & (second ^ go)),
        ]
        m.d.sync += second.eq(second_next)

        # What a row of the next window has. It may be a cycle late: that matters only behind a window of one tap, so
        # beyond the right edge, as the next of this strip is, or with a kernel of one, as the next has.
        rest = Signal(signed(COORDINATE + 1))      # places behind its first but one
        if self.registered:
            m.d.sync += rest.eq(width_before - left_next)
        else:
            m.d.comb += rest.eq(width_before - left_next)

        def start_row(row_one):
            return [place.eq(0), x_last.eq(row_one)]

        def start_window(strip):
            return [rows.eq(strip.rows), y_last.eq(strip.rows <= 1), ring_row.eq(strip.ring_row), wraps.eq(strip.wraps),
                    fresh.eq(1), stale.eq(~kernel_one if self.registered else 0)]

        def start_column(strip, final):
            return [
                seen.eq(0), chunk_last.eq(block_one), channel[0].eq(strip.place_a), channel[1].eq(strip.place_b),
                ends.eq(Cat(strip.ends_a, strip.ends_b)), column_last.eq(final),
                left.eq(left_next), right.eq(left_next + kernel),
                low.eq(Mux(left_next < shape.count_left, shape.count_left, left_next)),
                left_next.eq(Mux(final, first, left_next + stride)),
                row_one.eq(kernel_one | (rest < 0)), row_before.eq(Mux(rest < kernel_before, rest, kernel_before)),
                *start_row(kernel_one | (rest < 0)), *start_window(strip)]

        with m.If(step):
            m.d.sync += [fresh.eq(0), stale.eq(0)]
            with m.If(~x_last):
                m.d.sync += [place.eq(place + 1), x_last.eq(place == row_before)]
            with m.Elif(~y_last):
                m.d.sync += [*start_row(row_one), rows.eq(rows - 1), y_last.eq(rows <= 2)]
                with m.If(wraps):
                    m.d.sync += [ring_row.eq(0), wraps.eq(ring_one)]
                with m.Else():
                    m.d.sync += [ring_row.eq(ring_row + 1), wraps.eq(ring_row == ring_before)]
            with m.Elif(~chunk_last):
                m.d.sync += [*start_row(row_one), *start_window(strip), seen.eq(seen + chunk), chunk_last.eq(seen == seen_before)]
                for n in range(2):
                    with m.If(ends[n]):
                        m.d.sync += [channel[n].eq(0), ends[n].eq(place_one[n])]
                    with m.Else():
                        m.d.sync += [channel[n].eq(channel[n] + chunk), ends[n].eq(channel[n] == place_before[n])]
            with m.Elif(~column_last):
                m.d.sync += [column.eq(column + 1), *start_column(strip, column == columns_before)]
            with m.Else():
                m.d.sync += walking.eq(0)
        with m.If(begin):
            m.d.sync += [walking.eq(1), strip.eq(self.strips.p), column.eq(0), *start_column(self.strips.p, columns_one)]
        with m.Elif(~walking):
            m.d.sync += left_next.eq(first)

        # Of each loop the address at which its turn began: a step of a loop begins all those within it.
        loops = [1, x_last, x_last & y_last, x_last & y_last & chunk_last]      # the tap is the last of those within
        other, load, select = Signal(), Signal(), Signal(2)
        moves = Signal(4)
        control = [other.eq(second), load.eq(begin), moves.eq(Cat(step & loop | begin for loop in loops)),
                   select.eq(Mux(x_last, Mux(y_last, Mux(chunk_last, 3, 2), 1), 0))]
        address = []
        for n, (body, next_row, next_window, new) in enumerate((
                (store, Mux(wraps, offsets.ring_back, store.row_stride), offsets.step_a, self.strips.p.first_a),
                (shape, shape.row_stride, offsets.step_b, self.strips.p.first_b))):
            begun = [Signal(bits, name=f"{name}_{'ab'[n]}") for name in ("tap", "row", "chunk", "window")]
            by, after = (Signal(bits, name=f"{name}_{'ab'[n]}") for name in ("by", "after"))
            next_chunk = Mux(ends[n], jump[n], chunk)
            control.append(by.eq(Mux(begin, new, Mux(x_last, Mux(y_last, Mux(chunk_last, next_window, next_chunk), next_row),
                                                     body.column_stride))))
            m.d.comb += after.eq(Mux(load, 0, Mux(select[1], Mux(select[0], begun[3], begun[2]),
                                                  Mux(select[0], begun[1], begun[0]))) + by)
            for moved, value in zip(moves, begun):
                with m.If(moved):
                    m.d.sync += value.eq(after)
            address.append(begun[0])
        if self.registered:      # a cycle behind the walk
            m.d.sync += control
        else:
            m.d.comb += control
        joins = 1 if self.registered else 0        # the stage at which addresses are there

        # ---- divisors and whether there is anything to read ---------------------------------
        valid = [Signal(name=f"valid_{i}") for i in range(stages)]
        marks = [Signal(Ends, name=f"ends_{i}") for i in range(stages)]
        operand = [Signal(name=f"operand_{i}") for i in range(stages)]
        entry = [Signal(bits, name=f"entry_{i}") for i in range(stages)]
        low_1, high = Signal(signed(COORDINATE)), Signal(signed(COORDINATE))
        tall_1, tall, wide = Signal(8), Signal(8), Signal(8)
        count = Signal(5)
        x = Signal(signed(COORDINATE + 1))
        m.d.comb += x.eq(left + place)
        advance = Signal()
        # Five bits by five: not worth a multiplier block.
        parts = [Mux(wide[i], tall[:5] << i, 0) for i in range(5)]
        small = (tall <= DIVISORS) & (wide <= DIVISORS)
        with m.If(advance):
            for i in range(1, stages):
                m.d.sync += [valid[i].eq(valid[i - 1]), marks[i].eq(marks[i - 1]), operand[i].eq(operand[i - 1])]
            for i in range(joins, stages):
                m.d.sync += entry[i].eq(Mux(other, *reversed(address)) if i == joins else entry[i - 1])
            m.d.sync += [
                valid[0].eq(walking & go), operand[0].eq(store.add & ~second),
                marks[0].read.eq((x >= 0) & (left < width) & (rows != 0)),
                marks[0].first.eq(fresh),
                marks[0].last.eq(x_last & y_last),
                marks[0].strip_first.eq((column == 0) & (seen == 0)),
                marks[0].strip_last.eq(column_last & chunk_last),
                marks[0].lane.eq(strip.lane),
                low_1.eq(low), high.eq(Mux(right < shape.count_right, right, shape.count_right)), tall_1.eq(strip.count),
                wide.eq(Mux(high > low_1, (high - low_1)[:8], 0)), tall.eq(tall_1),
            ]
            if self.registered:
                halves, fits = [Signal(9, name=f"half_{i}") for i in range(2)], Signal()
                m.d.sync += [halves[0].eq(sum(parts[:2])), halves[1].eq(sum(parts[2:])), fits.eq(small)]
                area = halves[0] + halves[1]
            else:
                area, fits = sum(parts), small
            # More than the table holds comes as a constant or not at all.
            m.d.sync += count.eq(Mux(fits & (area <= DIVISORS), area, 0))

        # ---- requests -------------------------------------------------------------------
        # The first operand of a place that is not read is not waited for either.
        queue = KeptQueue if self.registered else SyncFIFO
        m.submodules.pending = pending = queue(width=Shape.cast(Pending).width, depth=IN_FLIGHT)
        ask = Signal(Pending)
        read = marks[-1].read
        wanted = valid[-1] & (read | ~operand[-1])
        m.d.comb += [
            ask.ends.eq(marks[-1]), ask.count.eq(count), ask.at.eq(entry[-1][:2]), ask.operand.eq(operand[-1]),
            pending.w_data.eq(Value.cast(ask)),
        ]
        if self.registered:
            # What the walk has begun finds room in both queues, so nothing between stops it.
            m.submodules.asked = asked = KeptQueue(width=bits - 2, depth=IN_FLIGHT)
            room = Signal()
            m.d.sync += [room.eq(pending.level < IN_FLIGHT - stages - 4), go.eq(room),
                         turn.eq(room & (second_next | ~store.add))]
            m.d.comb += [
                advance.eq(1), pending.w_en.eq(wanted), asked.w_en.eq(wanted & read), asked.w_data.eq(entry[-1][2:]),
                self.request.payload.eq(asked.r_data), self.request.valid.eq(asked.r_rdy),
                asked.r_en.eq(asked.r_rdy & self.request.ready)]
        else:
            m.d.comb += [
                go.eq(advance), turn.eq(go & (second | ~store.add)),
                self.request.payload.eq(entry[-1] >> 2),
                self.request.valid.eq(valid[-1] & read & pending.w_rdy),
                pending.w_en.eq(wanted & (~read | self.request.ready)),
                advance.eq(~wanted | (pending.w_en & pending.w_rdy)),
            ]

        # ---- responses ------------------------------------------------------------------
        head = Signal(Pending)
        held = Signal(Pending)
        full = Signal()
        entries = Signal(ENTRY_BITS * self.lanes)
        take, free = Signal(), Signal()
        m.d.comb += [
            Value.cast(head).eq(pending.r_data),
            take.eq(pending.r_rdy & (~head.ends.read | self.response.valid) & free),
            pending.r_en.eq(take),
            self.response.ready.eq(pending.r_rdy & head.ends.read & free),
        ]
        with m.If(free):
            m.d.sync += [full.eq(take), held.eq(head), entries.eq(self.response.payload >> (head.at << 4))]
        tap = stream.Signature(Tap).create(path=("tap",))
        p = tap.p
        m.d.comb += [Value.cast(p.entries).eq(entries), p.operand.eq(held.operand), p.count.eq(held.count)]
        m.d.comb += [p[n].eq(held.ends[n]) for n, _ in data.Layout.cast(Ends)]
        if self.registered:
            last, waits = cut(m, True, "taps_out", tap)
            crowded = Signal()       # in a register: both places behind the queue are full
            m.d.sync += crowded.eq(~self.taps.ready & (crowded | ((full | waits) & take)))
            m.d.comb += [tap.valid.eq(full), free.eq(~crowded)]
            wiring.connect(m, last, wiring.flipped(self.taps))
            inside = full | waits
        else:
            leave = ~self.taps.valid | self.taps.ready
            m.d.comb += free.eq(~full | leave)
            with m.If(self.taps.ready):
                m.d.sync += self.taps.valid.eq(0)
            with m.If(full & leave):
                m.d.sync += [self.taps.valid.eq(1), self.taps.payload.eq(tap.payload)]
            inside = full | self.taps.valid
        m.d.comb += self.idle.eq(~(walking | Cat(valid).any() | pending.r_rdy | (pending.level != 0) | inside))
        return m
