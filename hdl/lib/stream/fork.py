"""One stream to several consumers."""

from amaranth.hdl import Cat, Module, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class Fork(wiring.Component):
    """Every word of `input` goes once to each of `outputs` consumers, which may take it in
    different cycles; it leaves `input` when the last takes it.

    Members: `input` and `output_<n>`, streams of `shape`. Latency none, throughput one word a cycle
    while all are ready; who was faster waits for the others before the next. In the same cycle:
    `input.valid` and payload to the outputs, their `ready` to `input.ready`, and no `ready` to a
    `valid`: consumers that wait for each other do not stop. Cost: a flip-flop and two LUTs a
    consumer. Raises ValueError for less than one consumer.
    """

    def __init__(self, shape: ShapeLike, outputs: int):
        if outputs < 1:
            raise ValueError(f"a fork to {outputs} consumers: must be 1 or more")
        self.shape, self.outputs = shape, outputs
        super().__init__(
            {"input": In(stream.Signature(shape))}
            | {f"output_{n}": Out(stream.Signature(shape)) for n in range(outputs)}
        )

    def elaborate(self, platform):
        m = Module()
        has = Signal(self.outputs)  # consumers that took the word in an earlier cycle
        taken = Signal(self.outputs)  # and with those that take it in this one
        ends = [getattr(self, f"output_{n}") for n in range(self.outputs)]

        for n, end in enumerate(ends):
            m.d.comb += [
                end.valid.eq(self.input.valid & ~has[n]),
                end.payload.eq(self.input.payload),
            ]
        m.d.comb += [
            taken.eq(has | Cat(end.ready for end in ends)),
            self.input.ready.eq(taken.all()),
        ]

        with m.If(self.input.valid):
            m.d.sync += has.eq(taken)
            with m.If(self.input.ready):
                m.d.sync += has.eq(0)
        return m
