"""The array with its sequencers and buffer: passes driven by hand against a plain convolution."""

import numpy as np
import pytest

from hdl.config import PRESETS
from hdl.core import ENGINES, Core
from tests.hdl.streams import run, send, shared


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


CASES = {
    # name: C, H, W, M, R, S, U, pad, p, q, r, t, e
    "1x1 everything": (1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1),
    "row stationary 3x3": (2, 6, 7, 4, 3, 3, 1, 1, 4, 2, 1, 1, 2),
    "two passes over channels": (4, 5, 6, 3, 2, 3, 1, 0, 3, 2, 1, 1, 3),
    "channel groups": (6, 4, 5, 4, 1, 2, 1, 0, 4, 1, 3, 1, 2),
    "filter groups": (2, 4, 5, 10, 1, 2, 1, 0, 5, 2, 1, 2, 3),
    "strides 2": (2, 7, 9, 2, 3, 3, 2, 1, 2, 1, 1, 1, 2),
    "stride above width": (2, 5, 9, 4, 1, 1, 3, 0, 4, 2, 2, 1, 3),
    "p below the hazard": (1, 5, 8, 1, 3, 3, 1, 1, 1, 1, 1, 1, 2),
    "long chain": (2, 6, 5, 8, 6, 2, 1, 1, 8, 2, 1, 1, 1),
}


@pytest.mark.sampled(3, across="mode")
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("mode", ["dense", "gate"])
def test_layer(name, mode):
    C, H, W, M, R, S, U, pad, p, q, r, t, e = CASES[name]
    config = PRESETS["tiny"]
    rng = np.random.default_rng(len(name))
    ifmap = rng.integers(-32768, 32768, (C, H, W)).astype(np.int16)
    ifmap[rng.random(ifmap.shape) < 0.3] = 0
    weights = rng.integers(-32768, 32768, (M, C, R, S)).astype(np.int16)
    bias = rng.integers(-(2**31), 2**31, M)
    uy = U if U != 3 else 1
    expected = convolve(ifmap, weights, bias, (uy, U), pad)
    E, F = expected.shape[1:]
    expected = (expected + 2**31) % 2**32 - 2**31
    shift = 16
    wanted = np.clip((expected + 2**15) >> shift, -32768, 32767)
    wanted = np.maximum(wanted, 0)

    # Layout in the buffer: strips, then per (pass, filter block) filters, biases, ring, ofmap.
    entries = np.zeros(config.glb_words * 4, np.int16)
    blocks = -(-C // q)
    strip = W * q
    pitch = -(-strip // 4) * 4
    for y in range(H):
        for b in range(blocks):
            part = np.zeros((q, W), np.int16)
            part[: min(q, C - b * q)] = ifmap[b * q : (b + 1) * q, y]
            at = (y * blocks + b) * pitch
            entries[at : at + strip] = part.T.reshape(-1)
    at = H * blocks * pitch // 4
    words = -(-p * q * S // 4)
    passes, fblocks = -(-blocks // r), -(-M // (p * t))
    filters = {}
    for a in range(passes):
        for fb in range(fblocks):
            region = np.zeros((words * 4, R * r * t), np.int16)
            for g in range(t):
                for k in range(r):
                    for j in range(R):
                        for s in range(S):
                            for qq in range(q):
                                for pp in range(p):
                                    c, mm = (a * r + k) * q + qq, (fb * t + g) * p + pp
                                    if c < C and mm < M:
                                        region[(s * q + qq) * p + pp, (g * r + k) * R + j] = (
                                            weights[mm, c, j, s]
                                        )
            filters[a, fb] = at
            flat = region.reshape(words, 4, -1).transpose(0, 2, 1).reshape(-1)
            entries[at * 4 : at * 4 + flat.size] = flat
            at += flat.size // 4
    at += at % 2
    pw = -(-p // 4)
    biases = {}
    for fb in range(fblocks):
        biases[fb] = at
        table = np.zeros((t, pw * 4), np.int64)
        for g in range(t):
            for pp in range(p):
                mm = (fb * t + g) * p + pp
                if mm < M:
                    table[g, pp] = bias[mm]
        flat = table.reshape(-1).astype(np.int32).view(np.int16)
        entries[at * 4 : at * 4 + flat.size] = flat
        at += flat.size // 4
    ring, ring_size = at, fblocks * F * e * t * pw * 2
    at += ring_size
    ofmap, m_all = at * 4, fblocks * p * t
    assert ofmap + E * F * m_all <= entries.size

    queues = {name: [] for name in ENGINES}
    for y in range(0, E, e):
        for a in range(passes):
            for fb in range(fblocks):
                one_chunk = q * S >= U * q
                queues["ifmap"].append(
                    dict(
                        base=((y * uy - pad) * blocks + a * r) * pitch % 2**20,
                        start=-pad * q,
                        strip=strip,
                        images=1,
                        rows=(e - 1) * uy + R,
                        row_first=y * uy - pad,
                        rows_valid=H,
                        row_stride=blocks * pitch,
                        groups=r,
                        group_stride=pitch,
                        outer=1 if one_chunk else F,
                        outer_stride=U * q,
                        inner=1,
                        length=((F - 1) * U + S) * q if one_chunk else S * q,
                        p=p,
                        window=q * S,
                        step=q * min(U, S),
                        positions=F,
                        bands=1,
                        header=1,
                        laps=1,
                    )
                )
                queues["filter"].append(
                    dict(
                        word=filters[a, fb],
                        tags=R * r * t,
                        words=words,
                        tail=(p * q * S - 1) % 4 + 1,
                    )
                )
                queues["psum"].append(
                    dict(from_ring=a > 0, bias=biases[fb], positions=F, rows=e, sets=t, p=p)
                )
                queues["ofmap"].append(
                    dict(
                        to_ring=a < passes - 1,
                        images=1,
                        positions=F,
                        rows=e,
                        sets=t,
                        p=p,
                        base=(ofmap + fb * p * t),
                        position_stride=m_all,
                        row_stride=F * m_all,
                        row_first=y,
                        row_start=y * F * m_all,
                        ring=E + e,
                        rows_valid=min(e, E - y),
                        shift=shift,
                        relu=1,
                    )
                )

    core = shared(Core, config)

    finished = []

    async def host(ctx):
        words64 = entries.view(np.uint64).tolist()
        await send(
            ctx,
            core.glb_load,
            [{"word": n, "data": w, "mask": 15} for n, w in enumerate(words64[:at])],
        )
        body = dict(
            height=R,
            groups=r,
            sets=t,
            rows=e,
            stride=uy,
            mode=int(mode == "gate"),
            ring=ring,
            ring_size=ring_size,
        )
        await send(ctx, core.config_, [body])
        finished.append("config")

    def engine(name):
        async def bench(ctx):
            while not finished:
                await ctx.tick()
            await send(ctx, getattr(core, name), queues[name])

        return bench

    macs = [0, 0, 0]

    async def count(ctx):
        async for _, _, busy, gated in ctx.tick().sample(
            core.array_events_busy, core.array_events_gated
        ):
            macs[0] += busy
            macs[1] += gated

    async def check(ctx):
        left = len(queues["ofmap"])
        async for _, _, done in ctx.tick().sample(core.ofmap_done):
            left -= done
            macs[2] += 1
            assert macs[2] < 30_000, "does not finish"
            if not left:
                break
        await ctx.tick().repeat(4)
        got = []
        ctx.set(core.glb_store.response.ready, 1)
        for n in range(ofmap // 4, -(-(ofmap + E * F * m_all) // 4)):
            ctx.set(core.glb_store.request.valid, 1)
            ctx.set(core.glb_store.request.payload, n)
            await ctx.tick().until(core.glb_store.request.ready)
            ctx.set(core.glb_store.request.valid, 0)
            while True:
                _, _, valid, word = await ctx.tick().sample(
                    core.glb_store.response.valid, core.glb_store.response.payload
                )
                if valid:
                    got.append(word & (2**64 - 1))
                    break
        flat = np.array(got, np.uint64).view(np.int16)[ofmap % 4 :][: E * F * m_all]
        tile = flat.reshape(E, F, m_all)[:, :, :M].transpose(2, 0, 1)
        np.testing.assert_array_equal(tile, wanted)
        finished.append("check")

    run(core, check, background=[host, *(engine(n) for n in ENGINES), count], cycles=50_000)
    assert finished == ["config", "check"], "did not finish"
    row_tiles = -(-E // e)
    assert macs[0] == row_tiles * passes * fblocks * F * p * q * S * (R * r * t * e)
