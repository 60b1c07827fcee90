"""What the walk of strips needs of a command."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import Pool, ShapeBody, StoreBody
from hdl.memory.words import StripLimits


class StripLimiter(wiring.Component):
    """Finds the window and the ring of a STORE, in registers.

    Members: `store` and `shape`; `limits`, two cycles after these.
    """

    store: In(StoreBody)
    shape: In(ShapeBody)
    limits: Out(StripLimits)

    def elaborate(self, platform):
        m = Module()
        store, shape, limits = self.store, self.shape, self.limits
        pooled = Signal()
        m.d.comb += pooled.eq(store.pool != Pool.NONE)

        # Without pooling a window is one entry, and every row exists.
        m.d.sync += [
            limits.height.eq(Mux(pooled, shape.height, 1 << 16)),
            limits.kernel.eq(Mux(pooled, shape.kernel_y, 1)),
            limits.stride_y.eq(Mux(pooled, shape.stride_y, 1)),
            limits.stride_x.eq(Mux(pooled, shape.stride_x, 1)),
            limits.y_first.eq(Mux(pooled, shape.y_first, 0)),
            limits.x_first.eq(Mux(pooled, shape.x_first, 0)),
        ]

        m.d.sync += [
            limits.ring_last.eq(store.ring - 1),
            limits.ring_before.eq(store.ring - 2),
            limits.ring_one.eq(store.ring == 1),
        ]
        return m
