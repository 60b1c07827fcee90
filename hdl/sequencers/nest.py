"""Loop nest: counters and addresses of a sequencer, one step a cycle."""

from collections.abc import Collection, Iterable, Mapping

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.sequencers.nest_value import NestValue


class Nest(wiring.Component):
    """A loop nest that yields one index vector and its affine values each step.

    levels : widths of the trip counts, innermost first
    values : {name: (width, levels with a stride)}; a value is start + sum(index * stride)
             modulo 2**width

    Members
    -------
    load       start over with the counts, strides and starts now applied
    step       advance (ignored unless `active`)
    active     a step is being presented
    first, last  the presented step is the first or last of the nest
    last_<l>   of level l
    count_<l>  In, trip count of level l (>= 1)
    <name>_start, <name>_stride_<l>  In;  <name>  Out

    Latency: the first step is presented in the cycle after `load`. Throughput: one step a
    cycle; `load` may coincide with the step that ends the nest.
    Counts, strides and starts must hold while active.

    Which level the next step moves is in registers, found as the step before it is taken: behind
    them lie a choice among the levels and one adder.
    """

    def __init__(self, levels: Iterable[int], values: Mapping[str, tuple[int, Collection[int]]]):
        self.levels = tuple(levels)
        self.values = dict(values)
        ports = {"load": In(1), "step": In(1), "active": Out(1), "first": Out(1), "last": Out(1)}
        for level, width in enumerate(self.levels):
            ports[f"count_{level}"] = In(width)
            ports[f"last_{level}"] = Out(1)
        for name, (width, strided) in self.values.items():
            ports[name] = Out(width)
            ports[f"{name}_start"] = In(width)
            for level in strided:
                ports[f"{name}_stride_{level}"] = In(width)
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        depth = len(self.levels)
        # Registers: all levels below this one are at their last index, and only they: this one is
        # what a step moves.
        turns = (
            [Const(1)] + [Signal(name=f"turns_{level}") for level in range(1, depth)] + [self.last]
        )
        moves = [Signal(name=f"moves_{level}") for level in range(depth)]
        step = Signal()
        m.d.comb += step.eq(self.step & self.active)
        with m.If(step):
            m.d.sync += self.first.eq(0)
            with m.If(self.last):
                m.d.sync += self.active.eq(0)
        with m.If(self.load):
            m.d.sync += [self.active.eq(1), self.first.eq(1)]

        # ---- counters -------------------------------------------------------------------
        # Of the first step and of the next one: which levels are at their last index.
        alone, ended = Signal(depth), Signal(depth)
        for level, width in enumerate(self.levels):
            count, last = getattr(self, f"count_{level}"), getattr(self, f"last_{level}")
            # indices to come, the present one too
            left = Signal(width, name=f"left_{level}", reset_less=True)
            # Registers: the count is one, is two; two indices are left. So nothing is compared
            # before the levels are joined.
            single, pair, near = (
                Signal(name=f"{n}_{level}", reset_less=True) for n in ("single", "pair", "near")
            )
            restart = Signal(name=f"restart_{level}")
            m.d.sync += [single.eq(count == 1), pair.eq(count == 2)]
            m.d.comb += [
                restart.eq(self.load | (turns[level] & last)),
                alone[level].eq(count == 1),
                ended[level].eq(Mux(turns[level], Mux(last, single, near), last)),
            ]

            def at_ends(below):
                """After this step: the lowest levels, so many, are at their last index."""
                return Mux(self.load, alone[:below].all(), ended[:below].all())

            with m.If(self.load | (step & turns[level])):
                m.d.sync += [
                    left.eq(Mux(restart, count, left - 1)),
                    near.eq(Mux(self.load, count == 2, Mux(last, pair, left == 3))),
                ]
            with m.If(self.load | step):
                m.d.sync += [
                    last.eq(Mux(self.load, alone[level], ended[level])),
                    turns[level + 1].eq(at_ends(level + 1)),
                    moves[level].eq(
                        Mux(
                            self.load,
                            alone[:level].all() & ~alone[level],
                            ended[:level].all() & ~ended[level],
                        )
                    ),
                ]

        # ---- values ---------------------------------------------------------------------
        for name, (width, strided) in self.values.items():
            m.submodules[f"{name}_value"] = value = NestValue(width, strided, depth)
            m.d.comb += [
                value.load.eq(self.load),
                value.step.eq(step),
                value.turns.eq(Cat(*turns[:depth])),
                value.moves.eq(Cat(*moves)),
                value.start.eq(getattr(self, f"{name}_start")),
                getattr(self, name).eq(value.value),
            ]
            for level in strided:
                stride = getattr(self, f"{name}_stride_{level}")
                m.d.comb += getattr(value, f"stride_{level}").eq(stride)
        return m
