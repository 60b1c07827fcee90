"""The array with its sequencers and buffer: passes driven by hand against a plain convolution."""

import itertools
from typing import NamedTuple

import numpy as np
import pytest

from hdl.config import PRESETS
from hdl.core import ENGINES, Core
from tests.hdl.commands import ofmap_payload
from tests.hdl.streams import run, send, send_after, shared


def convolve(ifmap, weights, bias, stride, pad):
    """int64 convolution of [C,H,W] by [M,C,R,S], straight from the definition."""
    uy, ux = stride
    _, r, s = weights.shape[1:]
    padded = np.pad(ifmap.astype(np.int64), ((0, 0), (pad, pad), (pad, pad)))
    e, f = (padded.shape[1] - r) // uy + 1, (padded.shape[2] - s) // ux + 1
    out = np.zeros((weights.shape[0], e, f), np.int64)
    for y in range(e):
        for x in range(f):
            window = padded[:, y * uy : y * uy + r, x * ux : x * ux + s]
            out[:, y, x] = np.tensordot(weights.astype(np.int64), window, 3)
    return out + bias[:, None, None]


class Case(NamedTuple):
    """A layer and its mapping."""

    C: int
    H: int
    W: int
    M: int
    R: int
    S: int
    U: int  # the vertical stride too, but where it is 3
    pad: int
    p: int
    q: int
    r: int
    t: int
    e: int

    @property
    def stride(self):
        return (self.U if self.U != 3 else 1), self.U

    @property
    def blocks(self):
        return -(-self.C // self.q)

    @property
    def passes(self):
        """Passes over the channels."""
        return -(-self.blocks // self.r)

    @property
    def filter_blocks(self):
        return -(-self.M // (self.p * self.t))

    @property
    def tags(self):
        return self.R * self.r * self.t

    @property
    def pitch(self):
        """Entries from strip to strip."""
        return -(-self.W * self.q // 4) * 4

    @property
    def filter_words(self):
        return -(-self.p * self.q * self.S // 4)

    @property
    def psum_words(self):
        return -(-self.p // 4)


CASES = {
    "1x1 everything": Case(1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1),
    "row stationary 3x3": Case(2, 6, 7, 4, 3, 3, 1, 1, 4, 2, 1, 1, 2),
    "two passes over channels": Case(4, 5, 6, 3, 2, 3, 1, 0, 3, 2, 1, 1, 3),
    "channel groups": Case(6, 4, 5, 4, 1, 2, 1, 0, 4, 1, 3, 1, 2),
    "filter groups": Case(2, 4, 5, 10, 1, 2, 1, 0, 5, 2, 1, 2, 3),
    "strides 2": Case(2, 7, 9, 2, 3, 3, 2, 1, 2, 1, 1, 1, 2),
    "stride above width": Case(2, 5, 9, 4, 1, 1, 3, 0, 4, 2, 2, 1, 3),
    "p below the hazard": Case(1, 5, 8, 1, 3, 3, 1, 1, 1, 1, 1, 1, 2),
    "long chain": Case(2, 6, 5, 8, 6, 2, 1, 1, 8, 2, 1, 1, 1),
}


class Layer:
    """Random tensors of a case, and the ofmap they give."""

    SHIFT = 16

    def __init__(self, case, rng):
        C, H, W, M, R, S, *_ = self.case = case
        self.ifmap = rng.integers(-32768, 32768, (C, H, W)).astype(np.int16)
        self.ifmap[rng.random(self.ifmap.shape) < 0.3] = 0
        self.weights = rng.integers(-32768, 32768, (M, C, R, S)).astype(np.int16)
        self.bias = rng.integers(-(2**31), 2**31, M)
        sums = convolve(self.ifmap, self.weights, self.bias, case.stride, case.pad)
        sums = (sums + 2**31) % 2**32 - 2**31
        wanted = np.clip((sums + 2 ** (self.SHIFT - 1)) >> self.SHIFT, -32768, 32767)
        self.wanted = np.maximum(wanted, 0)
        self.E, self.F = self.wanted.shape[1:]

    def strips(self):
        """The ifmap as [row, block, entry]."""
        c = self.case
        padded = np.zeros((c.blocks * c.q, c.H, c.W), np.int16)
        padded[: c.C] = self.ifmap
        strips = padded.reshape(c.blocks, c.q, c.H, c.W).transpose(2, 0, 3, 1)
        out = np.zeros((c.H, c.blocks, c.pitch), np.int16)
        out[..., : c.W * c.q] = strips.reshape(c.H, c.blocks, -1)
        return out

    def filters(self):
        """Of every pass and filter block, [word, tag, lane]: tags are (g, k, j), entries behind a
        tag (column, channel, filter)."""
        c = self.case
        m, channels = c.filter_blocks * c.t * c.p, c.passes * c.r * c.q
        padded = np.zeros((m, channels, c.R, c.S), np.int16)
        padded[: c.M, : c.C] = self.weights
        parts = padded.reshape(c.filter_blocks, c.t, c.p, c.passes, c.r, c.q, c.R, c.S)
        parts = parts.transpose(3, 0, 1, 4, 6, 7, 5, 2)
        parts = parts.reshape(c.passes, c.filter_blocks, c.tags, -1)
        whole = np.zeros((*parts.shape[:3], c.filter_words * 4), np.int16)
        whole[..., : parts.shape[3]] = parts
        whole = whole.reshape(*parts.shape[:3], c.filter_words, 4)
        return whole.transpose(0, 1, 3, 2, 4)

    def biases(self):
        """[filter block, set, filter], whole words of four."""
        c = self.case
        padded = np.zeros(c.filter_blocks * c.t * c.p, np.int64)
        padded[: c.M] = self.bias
        out = np.zeros((c.filter_blocks, c.t, c.psum_words * 4), np.int32)
        out[..., : c.p] = padded.reshape(c.filter_blocks, c.t, c.p).astype(np.int32)
        return out


class Contents:
    """The buffer: strips, then per (pass, filter block) filters, biases, ring, ofmap. Places are in
    words but for `ofmap`, which is in entries."""

    def __init__(self, layer, words):
        c, self.at = layer.case, 0
        self.entries = np.zeros(words * 4, np.int16)
        self._put(layer.strips())
        self.filters = {}
        for a, parts in enumerate(layer.filters()):
            for block, part in enumerate(parts):
                self.filters[a, block] = self._put(part)
        self.at += self.at % 2
        self.biases = [self._put(part) for part in layer.biases()]
        self.ring = self.at
        self.ring_size = c.filter_blocks * layer.F * c.e * c.t * c.psum_words * 2
        self.used = self.ring + self.ring_size
        self.filters_all = c.filter_blocks * c.p * c.t
        self.ofmap, self.ofmap_size = self.used * 4, layer.E * layer.F * self.filters_all
        assert self.ofmap + self.ofmap_size <= self.entries.size

    def _put(self, values):
        at, flat = self.at, values.reshape(-1).view(np.int16)
        self.entries[at * 4 : at * 4 + flat.size] = flat
        self.at += flat.size // 4
        return at

    def writes(self):
        """All but the ofmap, as the port of LOAD takes it."""
        words = self.entries.view(np.uint64).tolist()[: self.used]
        return [{"word": n, "data": w, "mask": 15} for n, w in enumerate(words)]


def ifmap_body(layer, y, a):
    """The strips of pass `a` for ofmap rows from `y` on."""
    c = layer.case
    (uy, ux), first = c.stride, y * c.stride[0] - c.pad
    one_chunk = c.S >= ux
    return dict(
        base=(first * c.blocks + a * c.r) * c.pitch % 2**20,
        start=-c.pad * c.q,
        strip=c.W * c.q,
        images=1,
        rows=(c.e - 1) * uy + c.R,
        row_first=first,
        rows_valid=c.H,
        row_stride=c.blocks * c.pitch,
        groups=c.r,
        group_stride=c.pitch,
        outer=1 if one_chunk else layer.F,
        outer_stride=ux * c.q,
        inner=1,
        length=((layer.F - 1) * ux + c.S if one_chunk else c.S) * c.q,
        p=c.p,
        window=c.q * c.S,
        step=c.q * min(ux, c.S),
        positions=layer.F,
        bands=1,
        header=1,
        laps=1,
    )


def ofmap_body(layer, contents, y, block, to_ring):
    c, row_stride = layer.case, layer.F * contents.filters_all
    return dict(
        to_ring=to_ring,
        images=1,
        positions=layer.F,
        rows=c.e,
        sets=c.t,
        p=c.p,
        base=contents.ofmap + block * c.p * c.t,
        position_stride=contents.filters_all,
        row_stride=row_stride,
        row_first=y,
        row_start=y * row_stride,
        ring=layer.E + c.e,
        rows_valid=min(c.e, layer.E - y),
        shift=layer.SHIFT,
        relu=1,
    )


def commands(layer, contents):
    """What every engine is given: row tiles, of them passes over the channels, of them filter
    blocks."""
    c, queues = layer.case, {name: [] for name in ENGINES}
    tail = (c.p * c.q * c.S - 1) % 4 + 1
    loops = map(range, (0, 0, 0), (layer.E, c.passes, c.filter_blocks), (c.e, 1, 1))
    for y, a, block in itertools.product(*loops):
        queues["ifmap"].append(ifmap_body(layer, y, a))
        queues["filter"].append(
            dict(word=contents.filters[a, block], tags=c.tags, words=c.filter_words, tail=tail)
        )
        bias = contents.biases[block]
        queues["psum"].append(
            dict(from_ring=a > 0, bias=bias, positions=layer.F, rows=c.e, sets=c.t, p=c.p)
        )
        ofmap = ofmap_body(layer, contents, y, block, a < c.passes - 1)
        queues["ofmap"].append(ofmap_payload(ofmap))
    return queues


async def until_done(ctx, core, count):
    """Waits for `count` commands of OFMAP."""
    cycles = 0
    while count:
        _, _, done = await ctx.tick().sample(core.ofmap_done)
        count, cycles = count - done, cycles + 1
        assert cycles < 30_000, "does not finish"
    await ctx.tick().repeat(4)


async def read(ctx, port, words):
    """The lower half of what the buffer answers, one word after another."""
    got = []
    ctx.set(port.response.ready, 1)
    for n in words:
        ctx.set(port.request.valid, 1)
        ctx.set(port.request.payload, n)
        await ctx.tick().until(port.request.ready)
        ctx.set(port.request.valid, 0)
        valid = 0
        while not valid:
            _, _, valid, word = await ctx.tick().sample(port.response.valid, port.response.payload)
        got.append(word & (2**64 - 1))
    return got


@pytest.mark.sampled(3, across="mode")
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("mode", ["dense", "gate"])
def test_layer(name, mode):
    case, config = CASES[name], PRESETS["tiny"]
    layer = Layer(case, np.random.default_rng(len(name)))
    contents = Contents(layer, config.glb_words)
    queues, core = commands(layer, contents), shared(Core, config)
    finished, macs = [], []

    async def host(ctx):
        await send(ctx, core.glb_load, contents.writes())
        body = dict(
            height=case.R,
            groups=case.r,
            sets=case.t,
            rows=case.e,
            stride=case.stride[0],
            mode=int(mode == "gate"),
            ring=contents.ring,
            ring_size=contents.ring_size,
        )
        await send(ctx, core.config_, [body])
        finished.append("config")

    async def count(ctx):
        async for _, _, busy in ctx.tick().sample(core.array_events_busy):
            macs.append(busy)

    async def check(ctx):
        await until_done(ctx, core, len(queues["ofmap"]))
        start, end = contents.ofmap, contents.ofmap + contents.ofmap_size
        got = await read(ctx, core.glb_store, range(start // 4, -(-end // 4)))
        flat = np.array(got, np.uint64).view(np.int16)[start % 4 :][: end - start]
        tile = flat.reshape(layer.E, layer.F, -1)[:, :, : case.M].transpose(2, 0, 1)
        np.testing.assert_array_equal(tile, layer.wanted)
        finished.append("check")

    engines = [send_after(finished, getattr(core, name), queues[name]) for name in ENGINES]
    run(core, check, background=[host, *engines, count], cycles=50_000)
    assert finished == ["config", "check"], "did not finish"
    slots = len(queues["ofmap"]) * layer.F * case.p * case.q * case.S
    assert sum(macs) == slots * case.tags * case.e
