"""Loop nest: counters and addresses of a sequencer, one step a cycle."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


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
    count_<l>  In, trip count of level l (>= 1)
    index_<l>  Out
    <name>_start, <name>_stride_<l>  In;  <name>  Out

    Latency: the first step is presented in the cycle after `load`. Throughput: one step a
    cycle; `load` may coincide with the step that ends the nest.
    Counts and strides must hold while active.
    """

    def __init__(self, levels, values):
        self.levels = tuple(levels)
        self.values = dict(values)
        ports = {"load": In(1), "step": In(1), "active": Out(1), "first": Out(1), "last": Out(1)}
        for l, width in enumerate(self.levels):
            ports[f"count_{l}"] = In(width)
            ports[f"index_{l}"] = Out(width)
        for name, (width, strided) in self.values.items():
            ports[name] = Out(width)
            ports[f"{name}_start"] = In(width)
            for l in strided:
                ports[f"{name}_stride_{l}"] = In(width)
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        depth = len(self.levels)
        at_end = [Signal(name=f"at_end_{l}") for l in range(depth)]
        carry = [Signal(name=f"carry_{l}") for l in range(depth)]  # level l advances
        for l in range(depth):
            m.d.comb += at_end[l].eq(getattr(self, f"index_{l}") + 1 == getattr(self, f"count_{l}"))
            below = 1
            for k in range(l):
                below = below & at_end[k]
            m.d.comb += carry[l].eq(below)
        m.d.comb += self.last.eq(carry[depth - 1] & at_end[depth - 1])

        step = Signal()
        m.d.comb += step.eq(self.step & self.active)
        with m.If(step):
            m.d.sync += self.first.eq(0)
            with m.If(self.last):
                m.d.sync += self.active.eq(0)
            for l in range(depth):
                index = getattr(self, f"index_{l}")
                with m.If(carry[l]):
                    m.d.sync += index.eq(Mux(at_end[l], 0, index + 1))
        for name, (width, strided) in self.values.items():
            value = getattr(self, name)
            # base[l]: the value with all levels below l at index 0
            bases = {l: Signal(width, name=f"{name}_base_{l}") for l in strided if l != 0}
            advanced = Signal(width, name=f"{name}_next")
            m.d.comb += advanced.eq(value)
            # The level that moves is the lowest not at its end; unstrided ones restore
            # the value to the base of the next strided level above.
            with m.If(step):
                for l in range(depth):
                    moves = carry[l] & ~at_end[l]
                    with m.If(moves):
                        if l in strided:
                            origin = value if l == 0 else bases[l]
                            m.d.comb += advanced.eq(origin + getattr(self, f"{name}_stride_{l}"))
                        else:
                            above = [k for k in strided if k > l]
                            below = [k for k in strided if k < l]
                            if below:
                                m.d.comb += advanced.eq(bases[min(above)] if above
                                                        else getattr(self, f"{name}_start"))
                m.d.sync += value.eq(advanced)
                for l, base in bases.items():
                    if l:
                        moved = 0
                        for k in range(l, depth):
                            moved = moved | (carry[k] & ~at_end[k])
                        with m.If(moved):
                            m.d.sync += base.eq(advanced)
            with m.If(self.load):
                m.d.sync += value.eq(getattr(self, f"{name}_start"))
                for base in bases.values():
                    m.d.sync += base.eq(getattr(self, f"{name}_start"))
        with m.If(self.load):
            m.d.sync += [self.active.eq(1), self.first.eq(1)]
            for l in range(depth):
                m.d.sync += getattr(self, f"index_{l}").eq(0)
        return m
