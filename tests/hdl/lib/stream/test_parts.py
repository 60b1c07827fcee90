"""Every stream part with random stalls at both ends, and without: order, latency, throughput, room,
and what it refuses. Unbounded proofs of the same, at a few bits: tests/formal."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.level_counter import LevelCounter
from hdl.lib.stream.block_fifo import BlockFifo
from hdl.lib.stream.buffered_fifo import BufferedFifo
from hdl.lib.stream.chain_fifo import ChainFifo
from hdl.lib.stream.credit_fifo import CreditFifo
from hdl.lib.stream.forward_slice import ForwardSlice
from hdl.lib.stream.register_slice import RegisterSlice
from hdl.lib.stream.shift_fifo import ShiftFifo
from hdl.lib.stream.skid_buffer import SkidBuffer
from hdl.lib.stream.stream_fifo import StreamFifo
from hdl.lib.stream.through import into, through
from tests.hdl.streams import holds, idle, receive, run, send, shared

BITS, WORDS = 12, 151


class CountedFifo(wiring.Component):
    """A CreditFifo with what its writer does: it counts from the write to the read."""

    def __init__(self, shape, depth):
        self.shape, self.depth = shape, depth
        super().__init__(
            {
                "input": In(stream.Signature(shape)),
                "output": Out(stream.Signature(shape)),
                "level": Out(range(depth)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = CreditFifo(self.shape, self.depth)
        m.submodules.credits = credits = LevelCounter(self.depth)
        wiring.connect(m, fifo.output, wiring.flipped(self.output))
        m.d.comb += [
            self.input.ready.eq(credits.room),
            fifo.input.payload.eq(self.input.payload),
            fifo.input.valid.eq(self.input.valid & credits.room),
            credits.up.eq(fifo.input.valid),
            credits.down.eq(self.output.valid & self.output.ready),
            self.level.eq(fifo.level),
        ]
        return m


@dataclass(frozen=True)
class Promise:
    """Of a part's docstring: cycles to the output, cycles a word when nothing stalls, words that
    it takes while nothing leaves, and `level` of (words inside, `output.valid`)."""

    component: type
    depth: int | None = None
    latency: int = 1
    a_word: float = 1
    holds: int | None = None
    level: Callable[[int, int], int] | None = None

    @property
    def id(self):
        return self.component.__name__ + (f"-{self.depth}" if self.depth else "")

    def make(self, shape=BITS):
        """The same one for every case with plain bits, so that it is elaborated once."""
        arguments = (shape,) if self.depth is None else (shape, self.depth)
        return shared(self.component, *arguments)


def _inside(inside, _):
    return inside


PARTS = (
    Promise(RegisterSlice, holds=2),
    Promise(ForwardSlice, holds=1),
    Promise(SkidBuffer, latency=0, holds=1),
    Promise(StreamFifo, 1, a_word=2, holds=1, level=_inside),
    *(Promise(StreamFifo, depth, holds=depth, level=_inside) for depth in (2, 5, 16)),
    Promise(BufferedFifo, 1, a_word=2, holds=1, level=_inside),
    Promise(BufferedFifo, 2, latency=2, a_word=2, holds=2, level=_inside),
    *(Promise(BufferedFifo, depth, 2, holds=depth, level=_inside) for depth in (3, 16)),
    *(Promise(BlockFifo, depth, 2, holds=depth + 1, level=_inside) for depth in (2, 8, 64)),
    Promise(ChainFifo, 1, latency=1, a_word=2, holds=1, level=_inside),
    *(Promise(ChainFifo, depth, depth, 2, holds=depth, level=_inside) for depth in (2, 4, 7)),
    Promise(ShiftFifo, 1, a_word=2, holds=1),
    *(Promise(ShiftFifo, depth, holds=depth) for depth in (2, 4, 7)),
    Promise(CountedFifo, 2, 2, 1.5, holds=2, level=lambda inside, shows: inside - shows),
    *(
        Promise(CountedFifo, depth, 2, holds=depth, level=lambda inside, shows: inside - shows)
        for depth in (4, 16)
    ),
)
each = pytest.mark.parametrize("part", PARTS, ids=lambda part: part.id)


def words(seed, count=WORDS):
    rng = random.Random(seed)
    return [rng.randrange(1 << BITS) for _ in range(count)]


def watches(dut, part, seen):
    """A background bench: `level`, and how many words are inside at most."""

    async def check(ctx):
        inside, source, sink = 0, dut.input, dut.output
        wires = [source.valid, source.ready, sink.valid, sink.ready]
        wires += [dut.level] if part.level else []
        async for _, _, comes, taken, shows, leaves, *level in ctx.tick().sample(*wires):
            if part.level:
                assert level[0] == part.level(inside, shows)
            inside += (comes and taken) - (shows and leaves)
            assert inside >= 0, "more words left than entered"
            seen.append(inside)

    return check


@each
@pytest.mark.parametrize("stalls", [(0.6, 0), (0.4, 0.4), (0.1, 0.9)], ids=str)
def test_stalls(part, stalls):
    dut, out, seen, items = part.make(), [], [], words(part.id)

    async def drain(ctx):
        await receive(ctx, dut.output, WORDS, out, stall=stalls[1], rng=random.Random(3))
        ctx.set(dut.output.ready, 1)
        for _ in range(20):  # nothing more comes
            assert not (await ctx.tick().sample(dut.output.valid))[2]

    run(
        dut,
        lambda ctx: send(ctx, dut.input, items, stall=stalls[0], rng=random.Random(2)),
        drain,
        background=[holds(dut.output), watches(dut, part, seen)],
    )
    assert out == items
    assert max(seen) <= part.holds
    if stalls == (0.1, 0.9):
        assert max(seen) == part.holds


@each
def test_latency_and_throughput(part):
    dut, out, times, items = part.make(), [], [], words(1)
    run(
        dut,
        lambda ctx: send(ctx, dut.input, items),
        lambda ctx: receive(ctx, dut.output, WORDS, out, times=times),
    )
    assert out == items
    assert times[0] == 1 + part.latency
    assert times[-1] - times[0] == (WORDS - 1) * part.a_word


@each
def test_room(part):
    """What it takes while nothing leaves, and that all of it is there when it does."""
    dut, out, taken = part.make(), [], []

    async def fill(ctx):
        ctx.set(dut.input.valid, 1)
        for cycle in range(4 * part.holds + 10):
            ctx.set(dut.input.payload, len(taken))
            if (await ctx.tick().sample(dut.input.ready))[2]:
                taken.append(cycle)
        ctx.set(dut.input.valid, 0)
        await receive(ctx, dut.output, part.holds, out)
        await idle(ctx, 1)
        assert not ctx.get(dut.output.valid)

    run(dut, fill)
    assert out == list(range(part.holds)) and len(taken) == part.holds


Pair = data.StructLayout({"low": 5, "high": 7})


class Chain(wiring.Component):
    """Every part of the list after the other, by `through` and `into`."""

    input: In(stream.Signature(Pair))
    output: Out(stream.Signature(Pair))

    def elaborate(self, platform):
        m = Module()
        head, sink = wiring.flipped(self.input), wiring.flipped(self.output)
        for n, part in enumerate(PARTS):
            make = part.component(Pair, *([part.depth] if part.depth else []))
            if n % 2:
                head = through(m, f"part_{n}", make, head)
            else:
                sink = into(m, f"part_{n}", make, sink)
        wiring.connect(m, head, sink)
        return m


def test_shapes_pass_through_all():
    dut, out, rng = Chain(), [], random.Random(5)
    items = [{"low": rng.randrange(32), "high": rng.randrange(128)} for _ in range(100)]
    run(
        dut,
        lambda ctx: send(ctx, dut.input, items, stall=0.2),
        lambda ctx: receive(ctx, dut.output, len(items), out, stall=0.3),
    )
    assert [{"low": word.low, "high": word.high} for word in out] == items


@pytest.mark.parametrize(
    "component, depth",
    [(StreamFifo, 0), (BufferedFifo, 0), (ChainFifo, 0), (ShiftFifo, 0)]
    + [(component, depth) for component in (BlockFifo, CreditFifo) for depth in (0, 1, 6)],
)
def test_refused(component, depth):
    with pytest.raises(ValueError, match=str(depth)):
        component(8, depth)
