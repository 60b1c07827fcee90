"""How many of something there are, and whether any are, or may still come."""

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class LevelCounter(wiring.Component):
    """Counts words in a FIFO, reads under way, credits: 0 to `most`.

    Members: `up` and `down`, one more and one less in the next cycle, both of them none; `level`;
    `some`, `level` is not 0; `room`, it is not `most`. All outputs are registers, so that what
    waits for one of them waits for no comparison. `up` without `room` and `down` without `some`
    must not be, but together they may. Cost: a flip-flop and a LUT a bit, and two of each. Raises
    ValueError for `most` below one.
    """

    def __init__(self, most: int):
        if most < 1:
            raise ValueError(f"a counter to {most}: must be 1 or more")
        self.most = most
        super().__init__(
            {
                "up": In(1),
                "down": In(1),
                "level": Out(range(most + 1)),
                "some": Out(1),
                "room": Out(1, init=1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        with m.If(self.up ^ self.down):
            m.d.sync += [
                self.level.eq(Mux(self.up, self.level + 1, self.level - 1)),
                self.some.eq(self.up | (self.level != 1)),
                self.room.eq(self.down | (self.level != self.most - 1)),
            ]
        return m
