"""Products of a STORE's fields."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import ENTRY_ADDR, ShapeBody, StoreBody
from hdl.memory.words import STORE_ENTRIES, Offsets, StripLimits

FACTOR = 18  # bits of a factor, signed: those of an FPGA's multiplier


class StripProducts(wiring.Component):
    """Finds the products that a STORE needs, one a cycle of one multiplier.

    Members: `restart`: the next cycle is the first; `store`, `shape` and `limits`, stable after it;
    `product`, and `first`: it is the way from the left edge of an operand's tile to the first
    window; `ring_offset`, the way from a ring's first row to the first row of an image; `entries`
    of a strip; `offsets`. place: bits of an offset, all of which are modulo 2**place.

    `first` are pulses in the third and fourth cycle; `done` in the sixth, after which `ring_offset`
    and `entries` are there; `offsets` three cycles later.
    """

    DONE = 5

    def __init__(self, place: int = ENTRY_ADDR):
        self.place = place
        super().__init__(
            {
                "restart": In(1),
                "store": In(StoreBody),
                "shape": In(ShapeBody),
                "limits": In(StripLimits),
                "product": Out(place),
                "first": Out(2),
                "ring_offset": Out(place),
                "entries": Out(STORE_ENTRIES),
                "offsets": Out(Offsets),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        store, shape, limits, offsets = self.store, self.shape, self.limits, self.offsets
        number = Signal(4)  # of the product whose factors are taken
        with m.If(self.restart):
            m.d.sync += number.eq(0)
        with m.Elif(~number.all()):
            m.d.sync += number.eq(number + 1)

        # Times x_first two, row_first and out_block; times stride_x two, and 1 - ring.
        back = Cat(~limits.ring_before, ~limits.ring_one).as_signed()
        odd = number[0]
        one = Mux(
            number[2],
            Mux(number[1], back, limits.stride_x),
            Mux(number[1], Mux(odd, store.out_block, store.row_first), limits.x_first),
        )
        other = Mux(
            number[1],
            Mux(odd, store.columns, store.row_stride),
            Mux(odd, shape.column_stride, store.column_stride),
        )

        # Beyond these bits no factor counts: an offset is modular, and all but offsets are shorter.
        bits = max(FACTOR, self.place)
        factors = [Signal(signed(bits), name=f"factor_{n}") for n in range(2)]
        product = Signal(signed(2 * bits))
        m.d.sync += [
            factors[0].eq(one),
            factors[1].eq(other),
            product.eq(factors[0] * factors[1]),
        ]

        # A product comes two cycles after its number.
        m.d.comb += [
            self.product.eq(product),
            self.first.eq(Cat(number == 2, number == 3)),
            self.done.eq(number == self.DONE),
        ]
        for at, value, found in (
            (4, self.ring_offset, self.product),
            (5, self.entries, product),
            (6, offsets.step_a, self.product),
            (7, offsets.step_b, self.product),
            (8, offsets.ring_back, self.product),
        ):
            with m.If(number == at):
                m.d.sync += value.eq(found)
        return m
