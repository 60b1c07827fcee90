"""What the walk of taps needs of a command."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import Pool, ShapeBody, StoreBody
from hdl.memory.words import TapLimits


class TapLimiter(wiring.Component):
    """Finds the ends of the loops of a STORE's taps, in registers.

    Members: `store`, `shape`, `chunk`; `limits`, two cycles after these.
    """

    store: In(StoreBody)
    shape: In(ShapeBody)
    chunk: In(3)
    limits: Out(TapLimits)

    def elaborate(self, platform):
        m = Module()
        store, shape, limits, chunk = self.store, self.shape, self.limits, self.chunk
        pooled = Signal()
        m.d.comb += [pooled.eq(store.pool != Pool.NONE), limits.chunk.eq(chunk)]
        m.d.sync += [
            limits.kernel.eq(Mux(pooled, shape.kernel_x, 1)),
            limits.kernel_before.eq(limits.kernel - 2),
            limits.kernel_one.eq(limits.kernel == 1),
            limits.width.eq(Mux(pooled, shape.width, 1 << 16)),
            limits.width_before.eq(limits.width - 2),
            limits.stride.eq(Mux(pooled, shape.stride_x, 1)),
            limits.first.eq(Mux(pooled, shape.x_first, 0)),
            limits.columns_left.eq(store.columns - 1),
            limits.columns_one.eq(store.columns == 1),
            limits.block_left.eq(store.out_block - chunk),
            limits.block_one.eq(store.out_block == chunk),
            limits.ring_before.eq(store.ring - 2),
            limits.ring_one.eq(store.ring == 1),
        ]
        for operand, body in zip(limits.operands, (store, shape)):
            m.d.sync += [
                operand.place_before.eq(body.block - (chunk << 1)),
                operand.place_one.eq(body.block == chunk),
                operand.jump.eq(body.block_stride - body.block + chunk),
            ]
        return m
