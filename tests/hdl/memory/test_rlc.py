"""The run-length decoder and encoder against golden/rlc.py."""

import numpy as np
import pytest

from golden.rlc import encode
from hdl.isa import Error
from hdl.memory.load.decoder import RlcDecoder
from hdl.memory.store.encoder import RlcEncoder
from tests.golden.test_rlc import strips_of, word
from tests.hdl.streams import holds, idle, receive, run, send, shared


def sample(seed, count=30, zeros=None):
    """Strips of differing lengths and shares of zeros."""
    rng = np.random.default_rng(seed)
    return [
        strips_of(
            rng,
            1,
            int(rng.integers(1, 140)),
            rng.choice([0, 0.2, 0.6, 0.9, 0.99, 1]) if zeros is None else zeros,
        )[0]
        for _ in range(count)
    ]


def coded(strip):
    words, lengths = encode(strip[None])
    return words[0, : lengths[0]].tolist()


def dense(strip):
    """Words of four entries, zeros behind the last."""
    padded = np.zeros(-(-len(strip) // 4) * 4, np.int16)
    padded[: len(strip)] = strip
    return padded.view(np.uint64).tolist()


def decode(strips, *, stall=0.0, words=None, cycles=20_000):
    """Runs the decoder; returns (out, cycles in which words came out)."""
    dut = shared(RlcDecoder)
    coded_strips = [coded(s) for s in strips]
    heads = [
        dict(coded=len(c), words=len(dense(s)), last=i % 3 == 2)
        for i, (c, s) in enumerate(zip(coded_strips, strips))
    ]
    want = [
        (w, int(n == len(dense(s)) - 1 and i % 3 == 2))
        for i, s in enumerate(strips)
        for n, w in enumerate(dense(s))
    ]
    got, times = [], []

    async def head(ctx):
        await send(ctx, dut.strips, heads, stall=stall)

    async def body(ctx):
        await send(
            ctx, dut.coded, [dict(data=w, bad=0) for c in coded_strips for w in c], stall=stall
        )

    async def out(ctx):
        await receive(ctx, dut.out, len(want), got, stall=stall, times=times)
        await idle(ctx, 20)
        assert ctx.get(dut.idle) and not ctx.get(dut.out.valid) and ctx.get(dut.error) == Error.NONE

    run(dut, head, body, out, background=[holds(dut.out, "out")], cycles=cycles)
    assert [(g.data, g.last) for g in got] == want
    return times


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_decoder(seed, stall):
    decode(sample(seed), stall=stall)


@pytest.mark.parametrize(
    "zeros,loss", [(0.35, 0.1), (0.5, 0.05), (0.7, 0.02), (0.9, 0.01), (1.0, 0.01)]
)
def test_decoder_is_bound_by_its_output(zeros, loss):
    """A word of four entries a cycle, gaps between strips included, but for words of three entries
    that meet no entry left over."""
    strips = list(strips_of(np.random.default_rng(2), 40, 64, zeros))
    times = decode(strips)
    assert times[-1] - times[0] + 1 <= len(times) * (1 + loss)


def test_decoder_is_bound_by_its_input():
    """Without zeros a coded word a cycle: three entries."""
    strips = list(strips_of(np.random.default_rng(2), 20, 96, 0.0) | 1)
    times = decode(strips)
    assert times[-1] - times[0] + 1 <= 20 * 32 + 4


@pytest.mark.parametrize(
    "words,count,bad,error",
    [
        ([word((0, 1), (0, 2), (0, 3), last=0)], 2, (), Error.RLC_STREAM),
        ([word((0, 1)), word((0, 2))], 2, (), Error.RLC_STREAM),
        ([word((7, 1), (0, 2))], 2, (), Error.RLC_STREAM),
        ([word((31, 1))], 2, (), Error.RLC_STREAM),
        ([word((31, 0), (31, 0), (31, 0), last=0), word((0, 0))], 24, (), Error.RLC_STREAM),
        ([word((31, 0), (31, 0), (31, 0), last=0), word((7, 0), (0, 1))], 26, (), Error.RLC_STREAM),
        ([word((0, 1), last=0), word((0, 1))], 3, (1,), Error.READ_RESPONSE),
    ],
)
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_decoder_refuses(words, count, bad, error, stall):
    """The strips before it come out whole; nothing of it that could end it."""
    dut = shared(RlcDecoder)
    good = np.arange(1, 18, dtype=np.int16)
    heads = [
        dict(coded=6, words=5, last=1),
        dict(coded=len(words), words=count, last=1),
        dict(coded=6, words=5, last=1),
    ]
    got = []

    async def head(ctx):
        await send(ctx, dut.strips, heads)

    async def body(ctx):
        await send(
            ctx,
            dut.coded,
            [dict(data=w, bad=0) for w in coded(good)]
            + [dict(data=w, bad=i in bad) for i, w in enumerate(words)]
            + [dict(data=w, bad=0) for w in coded(good)],
            stall=stall,
        )

    async def out(ctx):
        await ctx.tick().until(dut.error != Error.NONE)
        assert ctx.get(dut.error) == error
        await idle(ctx, 30)

    async def take(ctx):
        await receive(ctx, dut.out, None, got, stall=stall)

    run(dut, out, background=[head, body, take, holds(dut.out, "out")])
    assert [g.data for g in got[:5]] == dense(good)
    assert sum(g.last for g in got) == 1


def encode_on(strips, *, chunk=4, stall=0.0, cycles=20_000):
    """Runs the encoder on strips of a multiple of `chunk` entries; returns cycles in which words
    came out."""
    dut = shared(RlcEncoder)
    items, want = [], []
    rng = np.random.default_rng(1)
    for s in strips:
        for i in range(0, len(s), chunk):
            entries = rng.integers(-9, 9, 4)  # what is not counted may be anything
            entries[:chunk] = s[i : i + chunk]
            items.append(
                dict(entries=entries.tolist(), first=i == 0, last=i + chunk == len(s), lane=i & 7)
            )
        words = coded(s)
        want += [(w, int(n == len(words) - 1), 0) for n, w in enumerate(words)] or [(1 << 63, 1, 1)]
    got, times = [], []

    async def feed(ctx):
        ctx.set(dut.count, chunk)
        await send(ctx, dut.entries, items, stall=stall)

    async def out(ctx):
        await receive(ctx, dut.words, len(want), got, stall=stall, times=times)
        await idle(ctx, 20)
        assert ctx.get(dut.idle) and not ctx.get(dut.words.valid)

    run(dut, feed, out, background=[holds(dut.words, "words")], cycles=cycles)
    assert [(g.data, g.last, g.empty) for g in got] == want
    return times


@pytest.mark.sampled(2, across="stall")
@pytest.mark.parametrize("chunk", [1, 2, 3, 4])
@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("seed", range(3))
def test_encoder(chunk, stall, seed):
    strips = [np.resize(s, -(-len(s) // chunk) * chunk) for s in sample(seed)]
    encode_on(strips, chunk=chunk, stall=stall)


def test_encoder_long_runs():
    strips = np.zeros((6, 4000), np.int16)
    strips[0, -1] = strips[1, 1000] = strips[2, 0] = 5
    strips[3, [31, 32, 64, 97, 130]] = 7
    encode_on(list(strips))


@pytest.mark.parametrize("zeros,least", [(0.0, 0.99), (0.1, 0.95)])
def test_encoder_is_bound_by_its_output(zeros, least):
    """A word a cycle where entries are levels mostly."""
    strips = list(strips_of(np.random.default_rng(2), 30, 96, zeros))
    times = encode_on(strips)
    assert len(times) / (times[-1] - times[0] + 1) > least


@pytest.mark.parametrize("zeros,loss", [(0.35, 0.1), (0.5, 0.05), (0.9, 0.04), (1.0, 0.01)])
def test_encoder_is_bound_by_its_input(zeros, loss):
    """Four entries a cycle where words are fewer."""
    strips = list(strips_of(np.random.default_rng(2), 30, 96, zeros))
    times = encode_on(strips)
    assert times[-1] <= 30 * 24 * (1 + loss) + 10
