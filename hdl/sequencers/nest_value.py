"""A value of a loop nest: its start, and a stride for each turn of a level."""

from collections.abc import Collection

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class NestValue(wiring.Component):
    """value = start + sum(index * stride) over the levels in `strided`, modulo 2**width.

    Members: `load`, begins with `start`; `step`; `moves`, which level it moves, one-hot; `turns`,
    a bit a level, all below it end with the step; `stride_<l>`; `value`, a register.

    After the registers lie a choice among the levels and one adder. A step a cycle.
    """

    def __init__(self, width: int, strided: Collection[int], depth: int):
        self.width, self.strided, self.depth = width, tuple(strided), depth
        super().__init__(
            {
                "load": In(1),
                "step": In(1),
                "turns": In(depth),
                "moves": In(depth),
                "start": In(width),
                **{f"stride_{level}": In(width) for level in self.strided},
                "value": Out(width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        value = Signal(self.width, name="at", reset_less=True)
        m.d.comb += self.value.eq(value)
        # bases[level]: the value with all levels below it at index 0
        bases = {
            level: Signal(self.width, name=f"base_{level}", reset_less=True)
            for level in self.strided
            if level != 0
        }

        # The moves that go on from a signal; what they add to it.
        origins, stride = {}, 0
        for level in range(self.depth):
            above = [k for k in self.strided if k > level]
            lower = [k for k in self.strided if k < level]
            if level in self.strided:
                origin = bases.get(level, value)
                stride = stride | Mux(self.moves[level], getattr(self, f"stride_{level}"), 0)
            else:  # back to the base of the next strided level above
                origin = value if not lower else bases[min(above)] if above else self.start
            origins.setdefault(id(origin), (origin, []))[1].append(self.moves[level])
        chosen, added, following = (
            Signal(self.width, name=name) for name in ("chosen", "added", "following")
        )
        whence = 0
        for origin, these in origins.values():
            whence = whence | Mux(Cat(these).any(), origin, 0)
        m.d.comb += [chosen.eq(whence), added.eq(stride), following.eq(chosen + added)]

        with m.If(self.load):
            m.d.sync += [one.eq(self.start) for one in (value, *bases.values())]
        with m.Elif(self.step):
            m.d.sync += value.eq(following)
            for level, base in bases.items():
                with m.If(self.turns[level]):
                    m.d.sync += base.eq(following)
        return m
