"""The first channel of an operand's strip."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import ENTRY_ADDR
from hdl.memory.words import BLOCK, StripTurn


class ChannelPointer(wiring.Component):
    """Walks the channels of a row by blocks of the output, in blocks of the tile.

    Members: `now`; `row`, the address of the row's first; `block` and `block_stride`, of the tile,
    `out_block` and `chunk`, stable; `used`: there is such an operand; `again`: the next cycle must
    go over a block of the tile once more; of the strip `address`, `place` in the tile's block, and
    `ends`: the chunk there is the last of its block, a cycle after the others. place: bits of an
    address.

    One cycle a block of the tile that is gone over; one adder each does for the address and for the
    place.
    """

    def __init__(self, place: int = ENTRY_ADDR):
        self.address_bits = place
        super().__init__(
            {
                "now": In(StripTurn),
                "row": In(place),
                "block": In(BLOCK),
                "block_stride": In(place),
                "out_block": In(BLOCK),
                "chunk": In(3),
                "used": In(1),
                "again": Out(1),
                "address": Out(place),
                "place": Out(BLOCK + 1),
                "ends": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        now = self.now
        size = Signal(BLOCK)
        jump = Signal(self.address_bits)  # from the channel after a block to the next block's first
        m.d.sync += [
            size.eq(self.block | (self.block == 0)),
            jump.eq(self.block_stride - self.block),
        ]

        # The place after an out block, or else in the tile's next block: negative if before that.
        following, by, beyond = Signal(BLOCK + 2), Signal(BLOCK + 2), Signal()
        m.d.comb += [
            by.eq(Mux(now.waits, Cat(~size, C(3, 2)), self.out_block)),
            following.eq((Cat(C(1), self.place) + Cat(now.waits, by)) >> 1),
            beyond.eq(~following[-1] & self.used),
            self.again.eq((self.place >= (size << 1)) & self.used),
        ]
        m.d.sync += self.ends.eq(following[3:].all() & ((following[:3] + self.chunk)[:3] == 0))

        # The address goes along.
        moves, step = Signal(), Signal(self.address_bits)
        m.d.comb += [
            moves.eq(now.emit | now.along & beyond),
            step.eq(Mux(now.waits, jump, self.out_block)),
        ]
        with m.If(now.seek):
            m.d.sync += [self.address.eq(self.row), self.place.eq(0)]
        with m.Elif(moves):
            m.d.sync += [self.address.eq(self.address + step), self.place.eq(following)]
        return m
