"""A PE of the sparse engine: pointers, compressed weights, codebook, accumulators (EIE fig. 4)."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, Config, bits_for
from hdl.isa import Target
from hdl.lib.marks import PE, mark_module
from hdl.sparse.decode import EntryDecoder
from hdl.sparse.mac import SparseMac
from hdl.sparse.reader import WordReader
from hdl.sparse.scan import ActivationScan
from hdl.sparse.words import (
    EVENTS,
    WORD_ENTRIES,
    SparseFill,
    column_layout,
    span_layout,
    spread_layout,
)

SEGMENTS = 2  # columns whose pointers are read, ahead of the weights
WORDS_AHEAD = 4  # words of weights read ahead of the decoder


class SparsePe(wiring.Component):
    """One sparse PE.

    Members
    -------
    number          its index among the PEs
    fill            a SparseFill, applied at once
    scan, scan_address, scan_count, scan_base    start looking for non-zero activations
    found           stream of them; `scanning` until the last has been taken
    column          stream of broadcast columns; ready while the queue holds less than `limit`
    record          stream of records' words, of which the PE takes its own bytes, instead of
                    columns; `span`, `load`: its bytes of the words behind this one
    mark, marked    a command's last word has come; `marked` until it has been decoded, or for
                    ever if that met an error
    row, clear, accumulator    reads an accumulator (combinational) and sets it to 0
    keep, keep_address, kept   writes an activation
    look, look_address, looked reads one, a cycle later; not while scanning
    busy            a column is somewhere inside
    error           a pointer or row out of range was met; stays until reset; nothing is added
                    but the three products that may be on their way
    events          one bit per name of EVENTS; `padding`, padding entries met

    A column takes one cycle per non-zero weight of this PE. Padding entries are folded into
    their successor, unless they are all that a word has of a column: such a part takes a
    cycle. The pointer stage passes a column, empty or not, and the weights a word in each
    cycle, ahead of the decoder; empty columns cost a MAC cycle only where SEGMENTS and WORDS_AHEAD
    run dry. With a `limit` of 1 a column is taken every other cycle. Latency from a column
    to the write of its first sum: 8 cycles.

    An accumulator fill must not meet MACs or `clear`, nor an activation fill `keep`: they
    share a write port.

    config.registered: ActivationScan, WordReader, EntryDecoder and SparseMac, whose memories are
    block RAM. The same rates;
    latency from a column to the write of its first sum 18 cycles. Up to WORDS_AHEAD of reader.py
    are
    read ahead. The differences:
    column          up to LATE of reader.py come when there are `limit` already; with a limit below
                    3 one of three cycles at least
    record          ready while there is room for a word, whether the PE would take of it or not; no
                    event tells of it
    scan_base       saturated to the width of a column
    show            reads the accumulator of `row`, which comes two cycles later, and is 0 where
                    none was shown
    looking, look   while `looking`, activations move on with each `look`: `looked` is that of the
                    look before
    """

    def __init__(self, config: Config):
        self.config = config
        c = config
        local = bits_for(2 * c.sparse_activations - 1)
        column = stream.Signature(column_layout(c))
        super().__init__(
            {
                "number": In(8),
                "fill": In(SparseFill),
                "scan": In(1),
                "scan_address": In(local),
                "scan_count": In(16),
                "scan_base": In(c.sparse_column_bits if c.registered else 16),
                "scanning": Out(1),
                "found": Out(column),
                "column": In(column),
                "limit": In(5),
                "record": In(stream.Signature(spread_layout(c))),
                "span": In(span_layout(c)),
                "load": In(1),
                "mark": In(1),
                "marked": Out(1),
                "row": In(range(c.sparse_rows)),
                "show": In(1),
                "clear": In(1),
                "accumulator": Out(signed(c.psum_bits)),
                "keep": In(1),
                "keep_address": In(local),
                "kept": In(ENTRY_BITS),
                "looking": In(1),
                "look": In(1),
                "look_address": In(local),
                "looked": Out(ENTRY_BITS),
                "busy": Out(1),
                "error": Out(1),
                "events": Out(len(EVENTS)),
                "padding": Out(4),
            }
        )

    def elaborate(self, platform):
        m = self._registered() if self.config.registered else self._plain()
        mark_module(m, platform, PE)
        return m

    def _registered(self) -> Module:
        m = Module()
        c, fill = self.config, self.fill
        m.submodules.scanner = scanner = ActivationScan(c)
        m.submodules.reader = reader = WordReader(c)
        m.submodules.decoder = decoder = EntryDecoder(c)
        m.submodules.mac = mac = SparseMac(c)
        for name in (
            "number",
            "scan",
            "scan_address",
            "scan_count",
            "scan_base",
            "looking",
            "look",
            "look_address",
        ):
            m.d.comb += getattr(scanner, name).eq(getattr(self, name))
        wiring.connect(m, scanner.found, wiring.flipped(self.found))
        wiring.connect(m, wiring.flipped(self.column), reader.column)
        wiring.connect(m, wiring.flipped(self.record), reader.record)
        wiring.connect(m, reader.word, decoder.word)
        for name in ("limit", "span", "load", "mark"):
            m.d.comb += getattr(reader, name).eq(getattr(self, name))
        for name in ("valid", "row", "index", "value"):
            m.d.comb += getattr(mac, name).eq(getattr(decoder, name))
        m.d.comb += [
            scanner.write.eq(self.keep | fill.targets[Target.ACTIVATIONS]),
            scanner.write_address.eq(Mux(self.keep, self.keep_address, fill.address)),
            scanner.write_data.eq(Mux(self.keep, self.kept, fill.entry)),
            self.scanning.eq(scanner.scanning),
            self.looked.eq(scanner.looked),
            reader.weights.eq(fill.targets[Target.WEIGHTS]),
            reader.pointers.eq(fill.targets[Target.POINTERS]),
            reader.address.eq(fill.address),
            reader.data.eq(fill.data),
            decoder.error.eq(self.error),
            mac.code.eq(fill.targets[Target.CODEBOOK]),
            mac.code_address.eq(fill.address),
            mac.code_data.eq(fill.code),
            mac.fill.eq(fill.targets[Target.ACCUMULATORS]),
            mac.fill_address.eq(fill.address),
            mac.fill_data.eq(fill.psum),
            mac.own_row.eq(self.row),
            mac.show.eq(self.show),
            mac.clear.eq(self.clear),
            self.accumulator.eq(mac.accumulator),
        ]
        with m.If(self.mark):
            m.d.sync += self.marked.eq(1)
        with m.Elif(decoder.passed):
            m.d.sync += self.marked.eq(0)
        with m.If(reader.bad | decoder.outside):
            m.d.sync += self.error.eq(1)
        m.d.comb += [
            self.busy.eq(~reader.empty | ~decoder.empty | mac.busy),
            self.events.eq(Cat(decoder.valid, reader.empty & decoder.empty, ~self.column.ready)),
            self.padding.eq(decoder.padding),
        ]
        return m

    def _plain(self) -> Module:
        m = Module()
        c = self.config
        fill = self.fill

        # ---- activations: scan for the next that is not zero ----------------------------
        m.submodules.activations = activations = Memory(
            shape=unsigned(ENTRY_BITS), depth=2 * c.sparse_activations, init=[]
        )
        a_write, a_read = activations.write_port(), activations.read_port()
        at, left = Signal.like(self.scan_address), Signal(16)
        column = Signal(c.sparse_column_bits)
        reading, read_column = Signal(), Signal(c.sparse_column_bits)
        step, room = Signal(), Signal()

        def stored(column):  # those beyond all others stay there instead of wrapping
            return Mux(column > c.sparse_columns, c.sparse_columns, column)

        m.d.comb += [
            a_write.en.eq(self.keep | fill.targets[Target.ACTIVATIONS]),
            a_write.addr.eq(Mux(self.keep, self.keep_address, fill.address)),
            a_write.data.eq(Mux(self.keep, self.kept, fill.entry)),
            room.eq(~self.found.valid | self.found.ready),
            # The word read last cycle moves on: it is zero or there is room for it.
            step.eq(~reading | (a_read.data == 0) | room),
            a_read.en.eq(self.look | (step & (left != 0))),
            a_read.addr.eq(Mux(self.look, self.look_address, at)),
            self.looked.eq(a_read.data),
            self.scanning.eq((left != 0) | reading | self.found.valid),
        ]
        with m.If(room):
            m.d.sync += self.found.valid.eq(0)
        with m.If(reading & (a_read.data != 0) & room):
            m.d.sync += [
                self.found.valid.eq(1),
                self.found.payload.column.eq(read_column),
                self.found.payload.value.eq(a_read.data),
            ]
        with m.If(step):
            m.d.sync += [reading.eq(left != 0), read_column.eq(column)]
            with m.If(left != 0):
                m.d.sync += [
                    left.eq(left - 1),
                    at.eq(at + 1),
                    column.eq(stored(column + c.sparse_pes)),
                ]
        with m.If(self.scan):
            m.d.sync += [
                at.eq(self.scan_address),
                left.eq(self.scan_count),
                column.eq(stored(self.scan_base + self.number)),
            ]

        # ---- activation queue -----------------------------------------------------------
        m.submodules.queue = queue = fifo.SyncFIFO(
            width=column_layout(c).size, depth=c.sparse_queue
        )
        head = Signal(column_layout(c))
        m.d.comb += [
            self.column.ready.eq((queue.level < self.limit) & queue.w_rdy),
            queue.w_en.eq(self.column.valid & self.column.ready),
            queue.w_data.eq(self.column.payload),
            head.eq(queue.r_data),
        ]

        # ---- pointers: p[column] and p[column + 1] from two banks -----------------------
        bits = c.sparse_pointer_bits
        banks = []
        for name in ("even", "odd"):
            memory = Memory(shape=unsigned(bits), depth=c.sparse_pointers // 2, init=[])
            m.submodules[f"pointers_{name}"] = memory
            banks.append((memory.read_port(), memory.write_port()))
        (even, even_write), (odd, odd_write) = banks
        looked, is_odd, value = Signal(), Signal(), Signal(signed(ENTRY_BITS))
        begin, end = Signal(bits), Signal(bits)
        go, passes = Signal(), Signal()
        segment_layout = data.StructLayout(
            {"begin": bits, "end": bits, "value": signed(ENTRY_BITS)}
        )
        m.submodules.segments = segments = fifo.SyncFIFO(width=segment_layout.size, depth=SEGMENTS)
        segment_in, segment = Signal(segment_layout), Signal(segment_layout)
        beyond = Signal()  # the second pointer of the last column is not stored
        m.d.comb += [
            even_write.en.eq(fill.targets[Target.POINTERS]),
            odd_write.en.eq(fill.targets[Target.POINTERS]),
            even_write.addr.eq(fill.address),
            odd_write.addr.eq(fill.address),
            even_write.data.eq(fill.data[:32]),
            odd_write.data.eq(fill.data[32:]),
            even.addr.eq((head.column + 1) >> 1),
            odd.addr.eq(head.column >> 1),
            even.en.eq(go),
            odd.en.eq(go),
            begin.eq(Mux(is_odd, odd.data, even.data)),
            end.eq(Mux(is_odd, even.data, odd.data)),
            passes.eq(looked & ((begin == end) | segments.w_rdy)),
            go.eq(queue.r_rdy & (~looked | passes)),
            queue.r_en.eq(go),
            segments.w_en.eq(looked & (begin != end) & segments.w_rdy & ~beyond & (begin < end)),
            segment_in.begin.eq(begin),
            segment_in.end.eq(end),
            segment_in.value.eq(value),
            segments.w_data.eq(segment_in),
            segment.eq(segments.r_data),
        ]
        with m.If(go):
            m.d.sync += [
                looked.eq(1),
                is_odd.eq(head.column[0]),
                value.eq(head.value),
                beyond.eq(head.column + 1 >= c.sparse_pointers),
            ]
        with m.Elif(passes):
            m.d.sync += looked.eq(0)
        with m.If(looked & ((begin > end) | (end > 8 * c.sparse_words) | beyond)):
            m.d.sync += self.error.eq(1)

        # ---- weights: a word of eight entries a cycle -----------------------------------
        m.submodules.weights = weights = Memory(shape=unsigned(64), depth=c.sparse_words, init=[])
        w_read, w_write = weights.read_port(), weights.write_port()
        begun, next_entry, entry = Signal(), Signal(bits), Signal(bits)
        word_layout = data.StructLayout(
            {"low": 3, "high": 4, "first": 1, "value": signed(ENTRY_BITS)}
        )
        note, noted = Signal(word_layout), Signal()
        m.submodules.words = words = fifo.SyncFIFO(width=64 + word_layout.size, depth=WORDS_AHEAD)
        ahead = Signal(range(WORDS_AHEAD + 1))  # words read and not yet decoded
        read, last_word, pop = Signal(), Signal(), Signal()
        # instead of the memory's
        record, take, part = self.record.p, Signal(), Signal(word_layout)
        m.d.comb += [
            w_write.en.eq(fill.targets[Target.WEIGHTS]),
            w_write.addr.eq(fill.address),
            w_write.data.eq(fill.data),
            entry.eq(Mux(begun, next_entry, segment.begin)),
            last_word.eq(entry[3:] == (segment.end - 1)[3:bits]),
            read.eq(segments.r_rdy & (ahead != WORDS_AHEAD)),
            segments.r_en.eq(read & last_word),
            w_read.en.eq(read),
            w_read.addr.eq(entry[3:]),
            words.w_en.eq(noted | take),
            words.w_data.eq(Mux(take, Cat(record.data, part), Cat(w_read.data, note))),
        ]
        m.d.sync += [noted.eq(read), ahead.eq(ahead + (read | take) - pop)]
        with m.If(read):
            m.d.sync += [
                begun.eq(~last_word),
                next_entry.eq((entry[3:] + 1) << 3),
                note.low.eq(entry[:3]),
                note.high.eq(Mux(last_word, (segment.end - 1)[:3] + 1, WORD_ENTRIES)),
                note.first.eq(~begun),
                note.value.eq(segment.value),
            ]

        # ---- or the PE's bytes of a record's words ----------------------------------------
        span, own = Signal(span_layout(c)), Signal()
        behind = Signal(range(WORDS_AHEAD + 1))  # words not yet decoded of the command marked
        outside = Signal()
        m.d.comb += [
            own.eq(
                (span.begin[3:] <= record.index)
                & (span.end > Cat(Const(0, 3), record.index))
                & (span.begin != span.end)
            ),
            self.record.ready.eq(~own | (ahead != WORDS_AHEAD)),
            take.eq(self.record.valid & self.record.ready & own),
            part.first.eq(span.begin[3:] == record.index),
            part.low.eq(Mux(part.first, span.begin[:3], 0)),
            part.high.eq(Mux(span.end[3:] == record.index, span.end[:3], WORD_ENTRIES)),
            part.value.eq(record.value),
            self.marked.eq(behind != 0),
        ]
        with m.If(self.load):
            m.d.sync += span.eq(self.span)
        with m.If(self.mark):
            m.d.sync += behind.eq(ahead - (pop & ~outside))
        with m.Elif(pop & (behind != 0) & ~outside & ~self.error):
            m.d.sync += behind.eq(behind - 1)

        # ---- decoder: the next real entry of the word, paddings folded into it -----------
        word = Signal(word_layout)
        under_way = Signal()  # lanes before `position` are done
        position, low = Signal(4), Signal(4)
        row_bits = bits_for(c.sparse_rows) + 8  # never wraps within a word
        row, base = Signal(signed(row_bits)), Signal(signed(row_bits))
        entries = words.r_data[:64]
        real, padding = Signal(WORD_ENTRIES), Signal(WORD_ENTRIES)
        m.d.comb += [
            word.eq(words.r_data[64:]),
            low.eq(Mux(under_way, position, word.low)),
            base.eq(Mux(word.first & ~under_way, -1, row)),
        ]
        for n in range(WORD_ENTRIES):
            inside = (low <= n) & (word.high > n)
            used = entries.word_select(n, 8)[:4] != 0
            m.d.comb += [real[n].eq(inside & used), padding[n].eq(inside & ~used)]
        chosen, zeros, index = Signal(range(WORD_ENTRIES)), Signal(4), Signal(4)
        # paddings before and behind the chosen
        before, after = Signal(WORD_ENTRIES), Signal(WORD_ENTRIES)
        more, some = Signal(), Signal()
        m.d.comb += [some.eq(real.any()), before.eq(padding)]
        for n in reversed(range(WORD_ENTRIES)):
            with m.If(real[n]):
                m.d.comb += [
                    chosen.eq(n),
                    index.eq(entries.word_select(n, 8)[:4]),
                    zeros.eq(entries.word_select(n, 8)[4:]),
                    before.eq(padding[:n]),
                    after.eq(padding & (0x1FE << n & 0xFF)),
                    more.eq(real[n + 1 :].any() if n + 1 < WORD_ENTRIES else 0),
                ]
        here, then = Signal(signed(row_bits)), Signal(signed(row_bits))
        decode = Signal()
        count_before, count_after = Signal(4), Signal(4)
        m.d.comb += [
            decode.eq(words.r_rdy),
            pop.eq(decode & ~more),
            words.r_en.eq(pop),
            count_before.eq(sum(before[n] for n in range(WORD_ENTRIES))),
            count_after.eq(Mux(more, 0, sum(after[n] for n in range(WORD_ENTRIES)))),
            here.eq(base + (count_before << 4) + Mux(some, zeros + 1, 0)),
            then.eq(here + (count_after << 4)),
        ]
        m.d.comb += outside.eq(decode & (then >= c.sparse_rows))
        with m.If(decode):
            m.d.sync += [row.eq(then), under_way.eq(more), position.eq(chosen + 1)]
        with m.If(outside):
            m.d.sync += self.error.eq(1)

        # ---- multiply and accumulate ----------------------------------------------------
        m.submodules.codebook = codebook = Memory(
            shape=data.ArrayLayout(unsigned(ENTRY_BITS), 4), depth=4, init=[]
        )
        k_read, k_write = codebook.read_port(domain="comb"), codebook.write_port()
        m.submodules.accumulators = accumulators = Memory(
            shape=signed(c.psum_bits), depth=c.sparse_rows, init=[]
        )
        s_read, s_write = accumulators.read_port(domain="comb"), accumulators.write_port()
        stage = data.StructLayout({"valid": 1, "row": range(c.sparse_rows)})
        fetch, multiply, add = (Signal(stage, name=n) for n in ("fetch", "multiply", "add"))
        operand, weight = Signal(signed(ENTRY_BITS)), Signal(4)
        product, total = Signal(signed(2 * ENTRY_BITS)), Signal(signed(c.psum_bits))
        m.d.comb += [
            k_write.en.eq(fill.targets[Target.CODEBOOK]),
            k_write.addr.eq(fill.address),
            k_write.data.eq(fill.data),
            k_read.addr.eq(weight[2:]),
        ]
        m.d.sync += [
            fetch.valid.eq(decode & some & ~outside & ~self.error),
            fetch.row.eq(here),
            weight.eq(index),
            operand.eq(word.value),
            multiply.eq(fetch),
            product.eq(
                k_read.data.as_value().word_select(weight[:2], ENTRY_BITS).as_signed() * operand
            ),
            add.eq(multiply),
            # the sum on its way to the memory is taken from the register: same-address bypass
            total.eq(Mux(add.valid & (add.row == multiply.row), total, s_read.data) + product),
        ]
        m.d.comb += [
            s_read.addr.eq(Mux(multiply.valid, multiply.row, self.row)),
            self.accumulator.eq(s_read.data),
        ]
        with m.If(add.valid):
            m.d.comb += [s_write.en.eq(1), s_write.addr.eq(add.row), s_write.data.eq(total)]
        with m.Elif(self.clear):
            m.d.comb += [s_write.en.eq(1), s_write.addr.eq(self.row), s_write.data.eq(0)]
        with m.Else():
            m.d.comb += [
                s_write.en.eq(fill.targets[Target.ACCUMULATORS]),
                s_write.addr.eq(fill.address),
                s_write.data.eq(fill.psum),
            ]

        inside = queue.r_rdy | looked | segments.r_rdy | (ahead != 0)
        m.d.comb += [
            self.busy.eq(inside | fetch.valid | multiply.valid | add.valid),
            self.events.eq(Cat(fetch.valid, ~inside, ~self.column.ready | ~self.record.ready)),
            self.padding.eq(Mux(decode, count_before + count_after, 0)),
        ]
        return m
