"""Run-length coded strips to entries, the format of golden/rlc.py."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, LANES
from hdl.isa import WORD_ADDR, Error
from hdl.memory.words import LENGTH, PAIR_BITS, PAIRS, RUN_BITS, CodedStrip, CodedWord, DecodedWord

PLACE = 7  # bits of a place: 3 entries kept and a word's 96
SLOTS = 2 * LANES - 1  # places of the word under way, and of what one word may leave


class RlcDecoder(wiring.Component):
    """Decodes strips one after the other.

    Members: `strips`, what comes; `coded`, their words; `out`, the words of four entries;
    `error`: RLC_STREAM at a word that the format forbids, READ_RESPONSE at one that is bad, of
    the strip that `out` would have gone on with; nothing comes out after it, until reset. `idle`:
    nothing is inside but a strip whose words are to come.

    Latency three cycles. Throughput a word out per cycle, and a word in per cycle as long as it
    leaves less than a word of four entries to come; strips follow each other without a gap.
    """

    strips: In(stream.Signature(CodedStrip))
    coded: In(stream.Signature(CodedWord))
    out: Out(stream.Signature(DecodedWord))
    error: Out(Error)
    idle: Out(1)

    def elaborate(self, platform):
        m = Module()
        pairs = range(PAIRS)

        # ---- words to items: places within the word -------------------------------------
        inside = Signal()  # of a strip, behind its first item
        to_come = Signal(LENGTH)
        left_in = Signal(LENGTH)  # words of the strip, this one too
        empty = Signal()  # a strip without words is an item without levels
        push = Signal()
        full = Signal()
        take = Signal()  # the item goes on
        place = [Signal(PLACE, name=f"place_{i}") for i in pairs]
        level = [Signal(ENTRY_BITS, name=f"level_{i}") for i in pairs]
        some = [Signal(name=f"some_{i}") for i in pairs]  # the level is not zero
        total = Signal(PLACE)
        first, final, last = Signal(), Signal(), Signal()
        words = Signal(WORD_ADDR)
        flaw = Signal(Error)
        strip, word = self.strips, self.coded.p
        ready = Signal()
        m.d.comb += [
            left_in.eq(Mux(inside, to_come, strip.p.coded)),
            empty.eq(~inside & (strip.p.coded == 0)),
            ready.eq((inside | strip.valid) & (~full | take)),
            self.coded.ready.eq(ready & ~empty),
            push.eq(ready & (empty | self.coded.valid)),
            strip.ready.eq(push & ~inside),
        ]
        runs = [word.data[PAIR_BITS * i : PAIR_BITS * i + RUN_BITS] for i in pairs]
        ends = left_in <= 1
        with m.If(take):
            m.d.sync += full.eq(0)
        with m.If(push):
            m.d.sync += [
                full.eq(1),
                first.eq(~inside),
                final.eq(ends),
                inside.eq(~ends),
                to_come.eq(left_in - 1),
                total.eq(Mux(empty, 0, sum(runs) + PAIRS)),
                flaw.eq(
                    Mux(
                        empty,
                        Error.NONE,
                        Mux(
                            word.bad,
                            Error.READ_RESPONSE,
                            Mux(word.data[63] != ends, Error.RLC_STREAM, Error.NONE),
                        ),
                    )
                ),
            ]
            m.d.sync += [place[i].eq(sum(runs[: i + 1]) + i) for i in pairs]
            for i in pairs:
                new = word.data[PAIR_BITS * i + RUN_BITS : PAIR_BITS * (i + 1)]
                m.d.sync += [level[i].eq(Mux(empty, 0, new)), some[i].eq((new != 0) & ~empty)]
            with m.If(~inside):
                m.d.sync += [words.eq(strip.p.words), last.eq(strip.p.last)]

        # ---- items to entries: places from the word under way on ------------------------
        have = Signal()
        # Places by the word of four entries that they are in, from the one under way on, and by
        # their lane there.
        number = [Signal(PLACE - 2, name=f"number_{i}") for i in pairs]
        lane = [Signal(2, name=f"lane_{i}") for i in pairs]
        value = [Signal(ENTRY_BITS, name=f"value_{i}") for i in pairs]
        far = [Signal(name=f"far_{i}") for i in pairs]  # a level behind the word under way
        whole = Signal(PLACE - 2)  # words of which all entries are known
        closes, closes_last = Signal(), Signal()
        left = Signal(WORD_ADDR)  # words of the strip to come out
        final_word = Signal()  # the last of them
        kept = [Signal(ENTRY_BITS, name=f"kept_{i}") for i in range(LANES - 1)]
        # entries that the items before leave: where the next one's places begin
        offset = Signal(2)
        slots = [Signal(ENTRY_BITS, name=f"slot_{i}") for i in range(SLOTS)]
        for i, slot in enumerate(slots):
            found = kept[i] if i < LANES - 1 else 0
            for n, which, v in zip(number, lane, value):
                found = found | Mux((n == i // LANES) & (which == i % LANES), v, 0)
            m.d.comb += slot.eq(found)
        # Registers, found with the places: a word is known, one at most is; one may go out; a level
        # lies behind it.
        reach, spent, offers, behind = (
            Signal(name=n) for n in ("reach", "spent", "offers", "behind")
        )
        sound = Signal(init=1)  # no error yet
        ready_out, flawed, goes, stays = Signal(), Signal(), Signal(), Signal()
        emit, done, consume, wrong = Signal(), Signal(), Signal(), Signal()
        out = self.out
        m.d.comb += [
            ready_out.eq(have & offers & sound & (~out.valid | out.ready)),
            wrong.eq(ready_out & flawed),
            emit.eq(ready_out & ~flawed),
            done.eq(emit & final_word),
            # The item goes with a word, or to be kept without one.
            flawed.eq(final_word & (~closes | behind)),
            goes.eq(offers & Mux(closes, final_word & ~behind, ~final_word & spent & reach)),
            stays.eq(~closes & spent & ~reach),
            consume.eq((emit & goes) | (have & stays)),
            take.eq(full & sound & (~have | stays | (goes & (~out.valid | out.ready)))),
            self.idle.eq(~full & ~have & ~out.valid & ~(strip.valid & empty)),
        ]
        with m.If(wrong):
            m.d.sync += [self.error.eq(Error.RLC_STREAM), sound.eq(0)]
        with m.If(out.ready):
            m.d.sync += out.valid.eq(0)
        with m.If(emit):
            m.d.sync += [
                out.valid.eq(1),
                out.p.last.eq(closes_last & done),
                left.eq(left - 1),
                final_word.eq(left == 2),
                whole.eq(whole - 1),
                reach.eq(whole != 1),
                spent.eq(whole <= 2),
                offers.eq(closes | (whole != 1)),
                behind.eq(Cat(f & (n != 1) for f, n in zip(far, number)).any()),
            ]
            for i in range(LANES):
                m.d.sync += out.p.data[ENTRY_BITS * i : ENTRY_BITS * (i + 1)].eq(slots[i])
            for n, v, f in zip(number, value, far):
                m.d.sync += [n.eq(n - 1), f.eq(f & (n != 1))]
                with m.If(n == 0):
                    m.d.sync += v.eq(0)
            m.d.sync += [k.eq(0) for k in kept]
        with m.If(consume):
            m.d.sync += have.eq(0)
            with m.If(~done):
                m.d.sync += [
                    k.eq(Mux(reach, slots[LANES + i], slots[i])) for i, k in enumerate(kept)
                ]
        with m.If(take):
            known, ahead = Signal(PLACE), Signal(PAIRS)
            m.d.comb += known.eq(total + offset)
            m.d.sync += [
                have.eq(1),
                whole.eq(known[2:]),
                closes.eq(final),
                self.error.eq(flaw),
                sound.eq(flaw == Error.NONE),
                reach.eq(known >= LANES),
                spent.eq(known < 2 * LANES),
                offers.eq(final | (known >= LANES)),
                behind.eq(ahead.any()),
                offset.eq(Mux(final, 0, known[:2])),
            ]
            for i in pairs:
                at = Signal(PLACE, name=f"at_{i}")
                m.d.comb += [at.eq(place[i] + offset), ahead[i].eq(some[i] & (at >= LANES))]
                m.d.sync += [
                    Cat(lane[i], number[i]).eq(at),
                    value[i].eq(level[i]),
                    far[i].eq(ahead[i]),
                ]
            with m.If(first):
                m.d.sync += [left.eq(words), final_word.eq(words == 1), closes_last.eq(last)]
        return m
