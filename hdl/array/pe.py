"""Processing element: spads, zero gating, p-innermost MAC pipeline (JSSC 2017, fig. 12)."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.array.drain import DrainBuffer
from hdl.array.loop_counter import LoopCounter
from hdl.array.words import (
    EVENTS,
    PassHeader,
    filter_bus_word,
    ifmap_bus_word,
    ofmap_bus_word,
    psum_bus_word,
    tag_layout,
)
from hdl.config import ENTRY_BITS, LANES, PSUM_LANES, WORD_BITS, Config, bits_for
from hdl.lib.arithmetic.lane_mux import LaneMux
from hdl.lib.arithmetic.multiplier import Multiplier
from hdl.lib.arithmetic.select_adder import SelectAdder
from hdl.lib.block_ram import BlockRam
from hdl.lib.marks import FILTERS, MATCH, MULTIPLIER, PE, mark_module
from hdl.timing import HAZARD

DEPTH = 6  # cycles from the issue of a MAC to its sum


class ProcessingElement(wiring.Component):
    """One PE of the chain.

    Members
    -------
    shift, tags_in, tags_out   the configuration chain: while `shift` is high the tags move
    gate                       zero activations hold the multiplier (same results and cycles)
    skip                       zero activations are not stored and cost no MAC
    <net>_word, <net>_fire, <net>_accept   for ifmap, filter, psum: the row offers the word
                 to all its PEs; `accept` is high when the word is not for this PE or there
                 is room; `fire` (only when all accept) moves it
    <net>_next, <net>_load     <net>_word in the next cycle if `load`, so that
                 the tag's comparison ends in a register before the word is offered; the tags hold
                 from then on
    chain_in, chain_out        psums from the PE before and to the one after; two are held behind
                               the adder
    ofmap                      finished psums of a tail, towards the output network
    events                     one bit per name of EVENTS

    For a window of `window` = q*S entries it issues window * max(p, HAZARD) MACs slots, one
    a cycle: all p filters on one entry, then the next entry, so that successive MACs touch
    different psums. An entry of the first `step` columns is freed as soon as the last
    filter has used it, so loading overlaps computing even when q*S fills the spad. The
    p sums leave through a buffer of their own, where the predecessor's psums are added;
    that costs no MAC cycles unless the buffer is full.

    With `skip` the spad holds non-zero entries and their places in the stream, so a window
    takes max(1, non-zero entries) * max(p, HAZARD) slots: one without any hands over zeros.
    An entry is issued once it is known whether another of its window follows.

    Throughput: one MAC a cycle without bubbles between windows and passes while operands
    are there and p >= HAZARD. Latency: DEPTH cycles from issue to sum, 2 more to chain_out.

    With config.simd = 2 a slot is two MACs, of an entry and two filters (Eyeriss v2, JETCAS 2019,
    IV: SIMD): p is even, a row of the filter spad has both filters' words, and there are two
    multipliers and psum spads; HAZARD and rates count slots, p / 2 an entry, and so do events.
    Networks and the chain carry the same words: the drain buffer gives the two sums one by one.

    With one input lane (`input_lanes`) an entry goes from its bus into the spad, and a header comes
    16 bits at a time. With one psum lane (`psum_lanes`) a head adds the psum that its bus offers
    and accepts it by doing so, and a tail's sums go to `ofmap` one by one as they would go to the
    next PE. With four a head has a FIFO of words and a tail gathers them.

    place: of the PE in the chain, which marks its block RAM and multipliers (hdl/lib/marks.py) and
    changes nothing else.
    """

    def __init__(self, config: Config, place: int = 0):
        self.config, self._place = config, place
        psum = signed(config.psum_bits)
        tags = tag_layout(config)
        ports = {
            "shift": In(1),
            "tags_in": In(tags),
            "tags_out": Out(tags),
            "gate": In(1),
            "skip": In(1),
            "chain_in": In(stream.Signature(psum)),
            "chain_out": Out(stream.Signature(psum)),
            "ofmap": Out(stream.Signature(ofmap_bus_word(config))),
            "events": Out(len(EVENTS)),
        }
        for net, layout in (
            ("ifmap", ifmap_bus_word),
            ("filter", filter_bus_word),
            ("psum", psum_bus_word),
        ):
            ports |= {
                f"{net}_word": In(layout(config)),
                f"{net}_fire": In(1),
                f"{net}_accept": Out(1),
                f"{net}_next": In(layout(config)),
                f"{net}_load": In(1),
            }
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        c = self.config
        tags = self.tags_out
        with m.If(self.shift):
            m.d.sync += tags.eq(self.tags_in)

        def matching(net, found, condition):
            """`found`: the word of `net` is for this PE, which is `condition` of a word."""
            with m.If(getattr(self, f"{net}_load")):
                m.d.sync += found.eq(condition(getattr(self, f"{net}_next")))

        # ---- filters: two halves, one fills while the other is used ---------------------
        half = c.filter_half // c.simd  # rows of one
        m.submodules.filter_spad = filter_spad = BlockRam(
            2 * half, ENTRY_BITS * c.simd, {FILTERS: self._place}
        )
        f_read, f_write = filter_spad.read, filter_spad.write
        f_half = Signal()  # being filled
        f_closes = Signal()  # register: an entry is being written, the half's last
        f_address = Signal(range(2 * half))
        some, both = Signal(), Signal()  # halves filled and not yet released: one or two; two
        half_filled = Signal()
        release = Signal()  # the pass in the older half has issued its last MAC
        f_match = Signal(attrs={MATCH: 1})
        f_ends = Signal(init=1)  # nothing follows the entry being written
        f_taken = Signal()
        m.d.comb += [
            f_taken.eq(self.filter_fire & f_match),
            self.filter_accept.eq(~f_match | (~both & ~(some & f_closes) & f_ends)),
            f_write.addr.eq(f_address),
            half_filled.eq(f_closes),
        ]
        matching("filter", f_match, lambda word: tags.enable & (word.tag == tags.filter))
        with m.If(f_write.en):
            m.d.sync += f_address.eq(f_address + 1)
        with m.If(half_filled):
            m.d.sync += [f_half.eq(~f_half), f_address.eq(Mux(f_half, 0, half))]
        if c.input_lanes == LANES:
            f_word = Signal(WORD_BITS, reset_less=True)
            # of f_word, the next entry to write, and how many
            f_lane, f_left = Signal(2), Signal(3)
            f_last = Signal()
            m.submodules.filter_mux = f_mux = LaneMux()
            m.d.comb += [
                f_write.en.eq(f_left != 0),
                f_mux.word.eq(f_word),
                f_mux.lane.eq(f_lane),
                f_write.data.eq(f_mux.entry),
            ]
            with m.If(f_left != 0):
                m.d.sync += [
                    f_lane.eq(f_lane + 1),
                    f_left.eq(f_left - 1),
                    f_ends.eq(f_left <= 2),
                    f_closes.eq((f_left == 2) & f_last),
                ]
            with m.If(f_taken):
                m.d.sync += [
                    f_word.eq(self.filter_word.data),
                    f_lane.eq(0),
                    f_left.eq(self.filter_word.count),
                    f_last.eq(self.filter_word.last),
                    f_ends.eq(self.filter_word.count <= 1),
                    f_closes.eq((self.filter_word.count == 1) & self.filter_word.last),
                ]
        else:
            f_entry, f_there = Signal(ENTRY_BITS, reset_less=True), Signal()
            f_row = f_entry
            f_fills = f_taken  # a row, with the entry that comes
            if c.simd == 2:
                # of a row: its first entry; the next is its second
                f_first, f_second = Signal(ENTRY_BITS, reset_less=True), Signal()
                f_row, f_fills = Cat(f_first, f_entry), f_taken & f_second
                with m.If(f_taken):
                    m.d.sync += f_second.eq(~f_second & ~self.filter_word.last)
                with m.If(f_taken & ~f_second):
                    m.d.sync += f_first.eq(self.filter_word.data)
            m.d.comb += [f_write.en.eq(f_there), f_write.data.eq(f_row)]
            m.d.sync += [
                f_there.eq(f_fills),
                f_entry.eq(self.filter_word.data),
                f_closes.eq(f_taken & self.filter_word.last),
            ]
        with m.If(half_filled & ~release):
            m.d.sync += [some.eq(1), both.eq(some)]
        with m.Elif(release & ~half_filled):
            m.d.sync += [some.eq(both), both.eq(0)]

        # ---- ifmap: FIFO of words, then one entry a cycle into the sliding spad ---------
        i_match = Signal(attrs={MATCH: 1})
        matching(
            "ifmap", i_match, lambda word: tags.enable & (word.header | (word.tag == tags.ifmap))
        )
        spad_bits = (c.ifmap_spad - 1).bit_length()
        m.submodules.ifmap_spad = ifmap_spad = Memory(
            shape=unsigned(ENTRY_BITS), depth=c.ifmap_spad, init=[]
        )
        a_read, a_write = ifmap_spad.read_port(domain="comb"), ifmap_spad.write_port()
        # Entries come, are read and are freed in order; the highest bit of each tells a full spad
        # from an empty one.
        write_at, read_at, oldest = (
            Signal(spad_bits + 1, name=n) for n in ("write_at", "read_at", "oldest")
        )
        after_read, after_write = Signal.like(read_at), Signal.like(write_at)
        spad_full = Signal()
        free = Signal()
        entry_in = Signal()
        shape = Signal(WORD_BITS, reset_less=True)  # of the pass after this one
        following = Signal(PassHeader)
        following_valid = Signal()
        take_header = Signal()
        m.d.comb += [
            a_write.addr.eq(write_at[:spad_bits]),
            a_write.en.eq(entry_in),
            a_read.addr.eq(read_at[:spad_bits]),
            after_read.eq(read_at + 1),
            after_write.eq(write_at + 1),
            following.eq(shape),
        ]
        with m.If(entry_in):
            m.d.sync += write_at.eq(after_write)
        if c.input_lanes == LANES:
            in_layout = data.StructLayout({"data": WORD_BITS, "count": 3, "header": 1})
            m.submodules.ifmap_fifo = i_fifo = fifo.SyncFIFO(
                width=in_layout.size, depth=c.ifmap_fifo
            )
            i_in, i_out = Signal(in_layout), Signal(in_layout)
            m.submodules.ifmap_mux = i_mux = LaneMux()
            lane = Signal(2)
            taken = Signal(2)  # the lane that goes into the spad
            wanted, final_lane, near = Signal(), Signal(), Signal()
            m.d.comb += [
                self.ifmap_accept.eq(~i_match | i_fifo.w_rdy),
                i_in.data.eq(self.ifmap_word.data),
                i_in.count.eq(self.ifmap_word.count),
                i_in.header.eq(self.ifmap_word.header),
                i_fifo.w_en.eq(self.ifmap_fire & i_match),
                i_fifo.w_data.eq(i_in),
                i_out.eq(i_fifo.r_data),
                a_write.data.eq(i_mux.entry),
                i_mux.word.eq(i_out.data),
                i_mux.lane.eq(taken),
                near.eq(1),
                spad_full.eq(write_at ^ oldest == c.ifmap_spad),
                taken.eq(lane),
                wanted.eq(1),
                final_lane.eq(lane + 1 == i_out.count),
                entry_in.eq(i_fifo.r_rdy & ~i_out.header & ~spad_full & wanted & near),
                take_header.eq(i_fifo.r_rdy & i_out.header & ~following_valid),
                i_fifo.r_en.eq(take_header | (entry_in & final_lane)),
            ]
            with m.If(entry_in):
                m.d.sync += lane.eq(Mux(final_lane, 0, taken + 1))
            with m.If(take_header):
                m.d.sync += [shape.eq(i_out.data), following_valid.eq(1)]
        else:
            word = self.ifmap_word
            m.d.comb += [
                self.ifmap_accept.eq(~i_match | ~Mux(word.header, following_valid, spad_full)),
                take_header.eq(self.ifmap_fire & i_match & word.header),
                entry_in.eq(self.ifmap_fire & i_match & ~word.header),
                a_write.data.eq(word.data),
            ]
            # A register, since all PEs of a row wait for it.
            with m.If(free):
                m.d.sync += spad_full.eq(0)
            with m.Elif(entry_in):
                m.d.sync += spad_full.eq(after_write ^ oldest == c.ifmap_spad)
            with m.If(take_header):
                m.d.sync += [
                    shape.eq(Cat(shape[ENTRY_BITS:], word.data)),
                    following_valid.eq(word.last),
                ]

        # ---- MAC control: entry k of the window, filter (or two of them) i, position f --
        # What ends a loop is known in a register before it is asked for: an entry takes HAZARD
        # cycles at least, so comparisons of what changes with an entry or more seldom may come a
        # cycle late.
        active = Signal()
        next_p, next_window = (
            following.p[c.simd - 1 : bits_for(c.psum_spad)],
            following.window[: bits_for(c.ifmap_spad)],
        )
        # k: from 1
        k, i = (
            Signal(bits_for(c.ifmap_spad), init=1),
            Signal(range(max(c.psum_spad // c.simd, HAZARD))),
        )
        m.submodules.f_loop = f_loop = LoopCounter(16)
        m.submodules.lap_loop = lap_loop = LoopCounter(16)
        window, step = (
            Signal(bits_for(c.ifmap_spad), reset_less=True, name=n) for n in ("window", "step")
        )
        positions, laps = Signal(16, reset_less=True), Signal(16, reset_less=True)
        # fewer filters than HAZARD, which is 3; two
        few, two = Signal(reset_less=True), Signal(reset_less=True)
        late_i = Signal.like(i, reset_less=True)  # the last slot of an entry but one
        one_entry = Signal(reset_less=True)  # is all of a window
        f_used = Signal()  # half in use
        f_next, f_address_now = Signal(range(2 * half)), Signal(range(2 * half))
        here = Signal(max(8, c.place_bits if c.skip else 0))  # the entry's index in the window
        fresh = Signal(init=1)  # no entry of the window has been used
        there, empty = Signal(), Signal()  # an entry of the window; it has none
        bubble, slot_end, last_k, last_f, last_lap = (
            Signal(name=n) for n in ("bubble", "slot_end", "last_k", "last_f", "last_lap")
        )
        frees = Signal(init=1)  # the entry is of the window's first `step`
        have_psum, able, issue, slot, entry_end = Signal(), Signal(), Signal(), Signal(), Signal()
        last_i = Signal()  # of the filters
        moves = Signal()  # a pass that is active goes on
        window_end, pass_end, load = Signal(), Signal(), Signal()
        passed, back = Signal(), Signal()  # the entry is not needed again; reading goes back
        m.submodules.drain = drain = DrainBuffer(c)
        m.d.comb += [
            last_i.eq(slot_end | (few & (i == two))),
            have_psum.eq(~last_k | drain.room),
            # What an end waits for comes last into each, so that none lies behind another.
            able.eq(some & there & have_psum),
            moves.eq(able | bubble),
            # slot: a cycle that moves on
            issue.eq(active & ~bubble & able),
            slot.eq(active & moves),
            entry_end.eq((active & slot_end) & moves),
            window_end.eq((active & slot_end & last_k) & moves),
            pass_end.eq((active & slot_end & last_k & last_f & last_lap) & moves),
            load.eq(
                (active & slot_end & last_k & last_f & last_lap & following_valid) & moves
                | (~active & following_valid)
            ),
            release.eq(pass_end),
            drain.take.eq(issue & last_k),
            passed.eq(~empty & (frees | last_f)),
            free.eq(entry_end & passed),
            back.eq(last_k & ~passed),
            f_address_now.eq(f_next),
            f_read.addr.eq(f_address_now),
            f_read.en.eq(1),
        ]
        m.d.comb += [
            f_loop.limit.eq(positions),
            f_loop.step.eq(window_end),
            last_f.eq(f_loop.last),
            lap_loop.limit.eq(laps),
            lap_loop.step.eq(window_end & last_f),
            last_lap.eq(lap_loop.last),
        ]
        # The cycle behind a loop's last step, or behind a new shape, is free for its load.
        m.d.sync += [
            f_loop.load.eq(load | (window_end & last_f & ~last_lap)),
            lap_loop.load.eq(load),
        ]
        with m.If(slot):
            m.d.sync += [
                i.eq(Mux(slot_end, 0, i + 1)),
                slot_end.eq(~slot_end & (i == late_i)),
                bubble.eq(~slot_end & (bubble | last_i) & few),
            ]
        with m.If(issue):
            m.d.sync += f_next.eq(f_next + 1)
        with m.If(entry_end):
            m.d.sync += [fresh.eq(last_k), k.eq(Mux(last_k, 1, k + 1))]
        with m.If(window_end):
            m.d.sync += f_next.eq(Mux(f_used ^ pass_end, half, 0))
        # The window slides: reading goes back to the oldest entry still held.
        with m.If(entry_end):
            m.d.sync += read_at.eq(Mux(back, oldest, after_read))
        if not c.skip:
            # the last entry of a window but one, and of its first `step`
            late, at_step = Signal(), Signal()
            m.d.sync += [late.eq(k + 1 == window), at_step.eq(k == step)]
            with m.If(entry_end):
                m.d.sync += [
                    last_k.eq(Mux(last_k, one_entry, late)),
                    frees.eq(last_k | (frees & ~at_step)),
                ]
            with m.If(load):
                m.d.sync += last_k.eq(next_window == 1)
            # Going back there is an entry, the window's second or a later one.
            with m.If(entry_in):
                m.d.sync += there.eq(1)
            with m.Elif(entry_end):
                m.d.sync += there.eq(back | (after_read != write_at))
        if c.skip:
            # Places count the entries of the stream, zeros included, modulo 2**PLACE.
            PLACE = c.place_bits
            m.submodules.places = places = Memory(
                shape=unsigned(PLACE), depth=c.ifmap_spad, init=[]
            )
            at, after, place_in = (
                places.read_port(domain="comb"),
                places.read_port(domain="comb"),
                places.write_port(),
            )
            arrived = Signal(PLACE)  # place of the FIFO's head word
            start = Signal(PLACE)  # of the window
            known, ended = Signal(PLACE), Signal()
            index, index_after = Signal(PLACE), Signal(PLACE)
            lanes = Signal(4)
            more = Signal()
            p = Signal(8)
            with m.If(load):
                m.d.sync += p.eq(following.p)
            ahead = Signal.like(read_at)  # entries in the spad not yet passed
            for n in range(4):
                m.d.comb += lanes[n].eq(
                    (1 if n == 3 else lane <= n)
                    & (n < i_out.count)
                    & (i_out.data.word_select(n, ENTRY_BITS) != 0)
                )
            m.d.comb += [
                at.addr.eq(read_at[:spad_bits]),
                after.addr.eq(after_read[:spad_bits]),
                place_in.addr.eq(write_at[:spad_bits]),
                ahead.eq(write_at - read_at),
                place_in.en.eq(entry_in),
                place_in.data.eq(arrived + taken),
                index.eq(at.data - start),
                index_after.eq(after.data - start),
                # everything before this place is in the spad or was zero
                known.eq(arrived + lane - start),
                ended.eq(known >= window),
            ]
            m.d.comb += [
                here.eq(k - 1),
                there.eq(ahead != 0),
                last_k.eq(k == window),
                frees.eq(here < step),
            ]
            with m.If(self.skip):
                m.d.comb += [
                    wanted.eq(lanes.any()),
                    near.eq(known < (1 << PLACE - 1)),
                    here.eq(Mux(empty, 0, index)),
                    empty.eq(fresh & Mux(ahead != 0, index >= window, ended)),
                    more.eq((ahead > 1) & (index_after < window)),
                    last_k.eq(~more),
                    there.eq(empty | ((ahead != 0) & ((ahead > 1) | ended))),
                ]
                for n in reversed(range(4)):
                    with m.If(lanes[n]):
                        m.d.comb += [
                            taken.eq(n),
                            final_lane.eq(~lanes[n + 1 :].any() if n < 3 else 1),
                        ]
                with m.If(i_fifo.r_rdy & ~i_out.header & ~lanes.any() & near):
                    m.d.comb += i_fifo.r_en.eq(1)
                    m.d.sync += lane.eq(0)
                m.d.comb += f_address_now.eq(Mux(f_used, c.filter_half, 0) + here[:8] * p + i)
            with m.If(i_fifo.r_en & ~i_out.header):
                m.d.sync += arrived.eq(arrived + i_out.count)
            with m.If(window_end):
                m.d.sync += start.eq(start + Mux(last_f, window, step))
        with m.If(free):
            m.d.sync += oldest.eq(oldest + 1)
        with m.If(pass_end):
            m.d.sync += [active.eq(0), f_used.eq(~f_used)]
        with m.If(load):
            m.d.sync += [
                active.eq(1),
                following_valid.eq(0),
                window.eq(next_window),
                step.eq(following.step),
                positions.eq(following.positions),
                laps.eq(following.laps),
                few.eq(next_p < HAZARD),
                two.eq(next_p[1]),
                late_i.eq(Mux(next_p < HAZARD, HAZARD, next_p) - 2),
                one_entry.eq(next_window == 1),
            ]

        # ---- pipeline: operands, product, psum, sum -------------------------------------
        p_bits = (c.psum_spad // c.simd - 1).bit_length()
        stage = data.StructLayout({"first": 1, "final": 1, "last": 1, "index": p_bits})
        pipe = [Signal(stage, name=f"pipe_{n}", reset_less=True) for n in range(1, DEPTH + 1)]
        valid = Signal(DEPTH)  # of `pipe`
        m.d.sync += [
            valid.eq(Cat(issue, valid)),
            pipe[0].first.eq(fresh),
            pipe[0].final.eq(last_k),
            pipe[0].last.eq(last_i),
            pipe[0].index.eq(i),
        ]
        for before, after in zip(pipe, pipe[1:]):
            m.d.sync += after.eq(before)
        entry = Signal(signed(ENTRY_BITS))
        operand_0, operand_a = (  # operand_0: beside the filter memory's output
            Signal(signed(ENTRY_BITS), reset_less=True, name=n) for n in ("operand_0", "operand_a")
        )
        # gated: the operands keep still, the product is zero
        hold = Signal(reset_less=True)
        held_1, held_2 = Signal(reset_less=True), Signal(reset_less=True)
        m.d.comb += entry.eq(a_read.data)
        if c.skip:
            with m.If(empty):
                m.d.comb += entry.eq(0)
        m.d.sync += operand_0.eq(entry)
        zero = (self.gate | self.skip) & (operand_0 == 0) if c.gating or c.skip else Const(0)
        # Meanwhile the block RAM's output register is filled.
        m.d.sync += [hold.eq(zero), operand_a.eq(operand_0)]
        m.d.sync += [held_1.eq(hold), held_2.eq(held_1)]
        totals = []
        for lane in range(c.simd):
            suffix = f"_{lane}" if lane else ""
            weight = f_read.data.word_select(lane, ENTRY_BITS).as_signed()
            product = Signal(signed(2 * ENTRY_BITS), name=f"product{suffix}")
            m.submodules[f"multiplier{suffix}"] = multiplier = Multiplier(
                {MULTIPLIER: self._place * c.simd + lane}
            )
            m.d.comb += [
                multiplier.a.eq(operand_a),
                multiplier.w.eq(weight),
                multiplier.load.eq(~hold),
                multiplier.advance.eq(~held_1),
                multiplier.clear.eq(held_2),
                product.eq(multiplier.product),
            ]
            m.submodules[f"psum_spad{suffix}"] = psum_spad = Memory(
                shape=signed(c.psum_bits), depth=c.psum_spad // c.simd, init=[]
            )
            p_read, p_write = psum_spad.read_port(domain="comb"), psum_spad.write_port()
            psum, total = (
                Signal(signed(c.psum_bits), reset_less=True, name=f"{n}{suffix}")
                for n in ("psum", "total")
            )
            m.d.comb += [
                p_read.addr.eq(pipe[-3].index),
                p_write.addr.eq(pipe[-1].index),
                p_write.data.eq(total),
                p_write.en.eq(valid[-1] & ~pipe[-1].final),
            ]
            m.d.sync += [psum.eq(Mux(pipe[-3].first, 0, p_read.data)), total.eq(psum + product)]
            totals.append(total)

        # ---- drain: add the predecessor's psums, hand over ------------------------------
        done_layout = data.StructLayout({"psum": signed(c.psum_bits), "last": 1})
        done = Signal(done_layout)
        out, spare = (Signal(done_layout, reset_less=True, name=n) for n in ("out", "spare"))
        out_valid, spare_valid = Signal(), Signal()
        out_next, out_free = Signal(), Signal()  # `out` goes; there is room behind the adder
        h_match, given = Signal(), Signal()  # a word is for this head; its next psum moves
        due, move, push = Signal(), Signal(), Signal()  # a sum may leave; it leaves; through `out`
        m.submodules.adder = adder = SelectAdder(c.psum_bits)
        m.d.comb += [
            drain.write.eq(valid[-1] & pipe[-1].final),
            drain.psums.eq(Cat(*totals)),
            drain.last.eq(pipe[-1].last),
            drain.next.eq(move),
            due.eq(drain.valid & out_free),
            move.eq(Mux(tags.head, given, due & self.chain_in.valid)),
            self.chain_in.ready.eq(due & ~tags.head),
            adder.own.eq(drain.out),
            adder.other.eq(self.chain_in.payload),
            adder.select.eq(tags.head),
            done.psum.eq(adder.total),
            done.last.eq(drain.out_last),
        ]
        matching("psum", h_match, lambda word: tags.enable & tags.head & (word.tag == tags.psum))
        with m.If(~spare_valid):
            m.d.sync += spare.eq(done)
        with m.If(out_next | ~out_valid):
            m.d.sync += [
                out.eq(Mux(spare_valid, spare, done)),
                out_valid.eq(spare_valid | push),
                spare_valid.eq(0),
            ]
        with m.Elif(push):
            m.d.sync += spare_valid.eq(1)
        m.d.comb += self.chain_out.payload.eq(out.psum)
        if c.psum_lanes == 1:
            # A head takes a psum from the bus as it adds it; a tail gives what a PE of the chain
            # would get.
            m.d.comb += [
                self.psum_accept.eq(~h_match | due),
                given.eq(self.psum_fire & h_match),
                adder.one.eq(self.psum_word.data),
                push.eq(move),
                out_free.eq(~spare_valid),
                self.chain_out.valid.eq(out_valid & ~tags.tail),
                self.ofmap.valid.eq(out_valid & tags.tail),
                out_next.eq(Mux(tags.tail, self.ofmap.ready, self.chain_out.ready)),
                self.ofmap.payload.data.eq(out.psum),
                self.ofmap.payload.end.eq(out.last),
                self.ofmap.payload.last.eq(out.last),
            ]
        else:
            head_layout = data.StructLayout({"data": c.psum_bits * PSUM_LANES, "count": 3})
            m.submodules.psum_fifo = h_fifo = fifo.SyncFIFO(
                width=head_layout.size, depth=c.psum_fifo
            )
            h_in, h_out = Signal(head_layout), Signal(head_layout)
            h_lane, h_last = Signal(2), Signal()
            # A tail gathers four psums a word.
            gathered = Signal(c.psum_bits * PSUM_LANES, reset_less=True)
            g_lane, g_full, g_last = Signal(2), Signal(), Signal()
            m.d.comb += [
                self.psum_accept.eq(~h_match | h_fifo.w_rdy),
                h_in.data.eq(self.psum_word.data),
                h_in.count.eq(self.psum_word.count),
                h_fifo.w_data.eq(h_in),
                h_out.eq(h_fifo.r_data),
                h_fifo.w_en.eq(self.psum_fire & h_match),
                given.eq(due & h_fifo.r_rdy),
                adder.one.eq(h_out.data.word_select(h_lane, c.psum_bits)),
                h_last.eq(h_lane + 1 == h_out.count),
                h_fifo.r_en.eq(move & tags.head & h_last),
                push.eq(move & ~tags.tail),
                self.chain_out.valid.eq(out_valid),
                out_next.eq(self.chain_out.ready),
                out_free.eq(Mux(tags.tail, ~g_full | self.ofmap.ready, ~spare_valid)),
                self.ofmap.valid.eq(g_full),
                self.ofmap.payload.data.eq(gathered),
                self.ofmap.payload.last.eq(g_last),
            ]
            with m.If(move & tags.head):
                m.d.sync += h_lane.eq(Mux(h_last, 0, h_lane + 1))
            with m.If(g_full & self.ofmap.ready):
                m.d.sync += g_full.eq(0)
            with m.If(move & tags.tail):
                m.d.sync += gathered.word_select(g_lane, c.psum_bits).eq(done.psum)
                with m.If(done.last | (g_lane == PSUM_LANES - 1)):
                    m.d.sync += [g_full.eq(1), g_last.eq(done.last), g_lane.eq(0)]
                with m.Else():
                    m.d.sync += g_lane.eq(g_lane + 1)

        if c.counters:
            waiting = active & ~bubble
            gated_now = Signal()
            m.d.comb += gated_now.eq(valid[0] & zero)
            m.d.comb += self.events.eq(
                Cat(
                    issue,
                    gated_now,
                    waiting & ~some,
                    waiting & some & ~there,
                    waiting & some & there & ~have_psum,
                    active & bubble,
                    ~active,
                )
            )
        mark_module(m, platform, PE)
        return m
