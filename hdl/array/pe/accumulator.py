"""The MAC pipeline of a PE: operands, products, psums, sums (JSSC 2017, fig. 12)."""

from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.array.pe.mac.lane import MacLane
from hdl.array.words import slot_layout
from hdl.config import ENTRY_BITS, Config

DEPTH = 6  # cycles from the issue of a slot to its sums


class Accumulator(wiring.Component):
    """config.simd MACs a slot, of one entry and as many filters.

    Members
    -------
    issue, slot, entry   a slot; in the same cycle what it is, and its entry
    hold                 a zero entry holds the multipliers still: same sums
    weights              of its filters, two cycles after `issue`
    done, sums, last, single   a slot that was `final`, DEPTH cycles after its issue: the sums; it
                         was `last`; with config.simd = 2: the first of them is all
    gated                event: a slot issued in the cycle before holds the multipliers

    One slot a cycle, those with the same index hdl.timing.HAZARD apart. gating: zero entries can
    hold the multipliers; without it `hold` is not looked at. place: of the PE in the chain.
    """

    def __init__(self, config: Config, place: int = 0):
        self.config, self._place = config, place
        self._gating = config.gating or config.skip
        super().__init__(
            {
                "issue": In(1),
                "slot": In(slot_layout(config)),
                "entry": In(signed(ENTRY_BITS)),
                "hold": In(1),
                "weights": In(ENTRY_BITS * config.simd),
                "done": Out(1),
                "sums": Out(config.psum_bits * config.simd),
                "last": Out(1),
                "single": Out(1),
                "gated": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c = self.config
        pipe = [Signal(slot_layout(c), name=f"slot_{n}", reset_less=True) for n in range(DEPTH)]
        valid = Signal(DEPTH)  # of `pipe`
        m.d.sync += valid.eq(Cat(self.issue, valid))
        for before, after in zip([self.slot, *pipe], pipe):
            m.d.sync += after.eq(before)

        # While the filter spad is read, a zero is found.
        came, operand = (
            Signal(signed(ENTRY_BITS), reset_less=True, name=name) for name in ("came", "operand")
        )
        zero = self.hold & (came == 0) if self._gating else Const(0)
        hold, held, held_on = (
            Signal(reset_less=True, name=name) for name in ("hold_now", "held", "held_on")
        )
        m.d.sync += [
            came.eq(self.entry),
            operand.eq(came),
            hold.eq(zero),
            held.eq(hold),
            held_on.eq(held),
        ]
        m.d.comb += self.gated.eq(valid[0] & zero)

        # Products and sums.
        lanes = [MacLane(c, self._place * c.simd + n) for n in range(c.simd)]
        final = pipe[-1]
        for n, lane in enumerate(lanes):
            m.submodules[f"lane_{n}"] = lane
            m.d.comb += [
                lane.entry.eq(operand),
                lane.weight.eq(self.weights.word_select(n, ENTRY_BITS).as_signed()),
                lane.load.eq(~hold),
                lane.advance.eq(~held),
                lane.clear.eq(held_on),
                lane.first.eq(pipe[-3].first),
                lane.read_index.eq(pipe[-3].index),
                lane.write.eq(valid[-1] & ~final.final),
                lane.write_index.eq(final.index),
            ]
        m.d.comb += [
            self.done.eq(valid[-1] & final.final),
            self.sums.eq(Cat(lane.total for lane in lanes)),
            self.last.eq(final.last),
            self.single.eq(final.single),
        ]
        return m
