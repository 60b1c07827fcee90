"""Where the strips of a STORE's operands begin in the global buffer."""

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import ENTRY_ADDR, ShapeBody, StoreBody
from hdl.memory.store.strips.operands.channels import ChannelPointer
from hdl.memory.store.strips.operands.image import ImageBase
from hdl.memory.store.strips.operands.products import StripProducts
from hdl.memory.store.strips.operands.ring import RingPointer
from hdl.memory.store.strips.operands.rows import RowPointer
from hdl.memory.words import BLOCK, STORE_ENTRIES, Offsets, StripLimits, StripTurn


class StripOperands(wiring.Component):
    """Walks the images, rows and blocks of a STORE's tile, of which only the first operand's has a
    ring, and of a second one in an add.

    Members: `now`; `store`, `shape`, `limits` and `chunk`, stable; `multiplied`, `entries` of a
    strip and `offsets`, of StripProducts; `again`: a pointer must go over a block of the tile once
    more; of each operand's strip `address`, `channel`, its place in the tile's block, and `ends`:
    the chunk there is the block's last; `ring_row` and `wraps`, of the first operand's row. place:
    bits of an address.

    Latencies are those of the parts.
    """

    def __init__(self, place: int = ENTRY_ADDR):
        self.place = place
        super().__init__(
            {
                "now": In(StripTurn),
                "store": In(StoreBody),
                "shape": In(ShapeBody),
                "limits": In(StripLimits),
                "chunk": In(3),
                "multiplied": Out(1),
                "entries": Out(STORE_ENTRIES),
                "offsets": Out(Offsets),
                "again": Out(1),
                "address": Out(data.ArrayLayout(place, 2)),
                "channel": Out(data.ArrayLayout(BLOCK, 2)),
                "ends": Out(2),
                "ring_row": Out(16),
                "wraps": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.products = products = StripProducts(self.place)
        m.submodules.rows_a = ring = RingPointer(self.place)
        m.submodules.rows_b = rows = RowPointer(self.place)
        images = [ImageBase(self.place) for _ in "ab"]
        channels = [ChannelPointer(self.place) for _ in "ab"]
        for name, image, channel in zip("ab", images, channels):
            m.submodules[f"image_{name}"], m.submodules[f"channels_{name}"] = image, channel
        store, shape = self.store, self.shape

        # Products.
        m.d.comb += [
            products.restart.eq(self.now.waiting),
            products.store.eq(store),
            products.shape.eq(shape),
            products.limits.eq(self.limits),
            self.multiplied.eq(products.done),
            self.entries.eq(products.entries),
            self.offsets.eq(products.offsets),
        ]

        # The first operand's rows lie in a ring.
        m.d.comb += [
            ring.limits.eq(self.limits),
            ring.row_first.eq(store.row_first),
            ring.offset.eq(products.ring_offset),
            self.ring_row.eq(ring.row),
            self.wraps.eq(ring.wraps),
        ]

        # Images, rows and channels of both.
        m.d.comb += self.again.eq(channels[0].again | channels[1].again)
        for n, (body, used, pointer) in enumerate(((store, 1, ring), (shape, store.add, rows))):
            image, channel = images[n], channels[n]
            m.d.comb += [part.now.eq(self.now) for part in (image, pointer, channel)]
            m.d.comb += [
                image.base.eq(body.base),
                image.stride.eq(body.image_stride),
                image.product.eq(products.product),
                image.first.eq(products.first[n]),
                pointer.image.eq(image.address),
                pointer.stride.eq(body.row_stride),
                channel.row.eq(pointer.address),
                channel.block.eq(body.block),
                channel.block_stride.eq(body.block_stride),
                channel.out_block.eq(store.out_block),
                channel.chunk.eq(self.chunk),
                channel.used.eq(used),
                self.address[n].eq(channel.address),
                self.channel[n].eq(channel.place),
                self.ends[n].eq(channel.ends),
            ]
        return m
