"""The two ends of a FIFO, by both names that they have."""

from amaranth.hdl import Const, ShapeLike
from amaranth.lib import stream, wiring


class FifoPorts(wiring.Component):
    """What FIFOs with the members of amaranth.lib.fifo.SyncFIFO (`w_data`, `w_en`, `w_rdy`,
    `r_data`, `r_en`, `r_rdy`) have in common: `input` and `output`, the same signals as streams,
    for `through`, `into` and `wiring.connect`. A FIFO without `w_rdy` has an `input` that is always
    ready.

    width: bits of a word, or its shape, which both ends then have.
    """

    width: ShapeLike

    @property
    def input(self) -> stream.Interface:
        counted = not hasattr(self, "w_rdy")
        end = stream.Signature(self.width, always_ready=counted).flip().create()
        end.payload, end.valid = self.w_data, self.w_en
        end.ready = Const(1) if counted else self.w_rdy
        return end

    @property
    def output(self) -> stream.Interface:
        end = stream.Signature(self.width).create()
        end.payload, end.valid, end.ready = self.r_data, self.r_rdy, self.r_en
        return end
