"""The array: tags of every PE, results of passes through the networks, and pass boundaries."""

import random

import numpy as np
import pytest
from amaranth.hdl import Const

import hdl.array.row
from golden.fixed import wrap
from hdl.array.chain import ProcessingArray
from hdl.array.pe.pe import ProcessingElement
from hdl.array.words import PassHeader, of_slots
from hdl.config import Config
from hdl.core import ENGINES, Core
from sim.benches.tb_pe import lanes
from tests.hdl.commands import ofmap_payload
from tests.hdl.streams import holds, idle, receive, run, send, send_after, shared


def config(rows, columns, **changes):
    return Config(
        "array",
        rows=rows,
        columns=columns,
        filter_spad=128,
        ifmap_spad=8,
        psum_spad=8,
        glb_pairs=4,
        glb_depth=128,
        ifmap_fifo=2,
        psum_fifo=2,
    ).replace(**changes)


def collected(monkeypatch, config):
    """An array and its PEs in the order they are made, which is the chain's."""
    pes = []

    class Recorded(ProcessingElement):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            pes.append(self)

    monkeypatch.setattr(hdl.array.row, "ProcessingElement", Recorded)
    return ProcessingArray(config), pes


def tags(mapping):
    """Tags along the chain by docs/architecture.md: (head, tail, ifmap, filter, psum)."""
    height, groups, sets, rows, stride = mapping
    out = [None] * (height * groups * sets * rows)
    for i in range(rows):
        for g in range(sets):
            for k in range(groups):
                for j in range(height):
                    out[(i * sets + g) * (height * groups) + k * height + j] = (
                        j == k == 0,
                        j == height - 1 and k == groups - 1,
                        (stride * i + j) * groups + k,
                        (g * groups + k) * height + j,
                        i * sets + g,
                    )
    return out


def confined(mapping, made):
    """tags(), None for PEs left out so that no logical column leaves a segment; None if it does
    not fit."""
    height, segment, out = mapping[0] * mapping[1], made.segment or made.pes, []
    for n, tag in enumerate(tags(mapping)):
        if n % height == 0 and len(out) % segment + height > segment:
            out += [None] * (-len(out) % segment)
        out.append(tag)
    return (
        out + [None] * (made.pes - len(out)) if height <= segment and len(out) <= made.pes else None
    )


def body(mapping, mode=0):
    """mapping: (R', r, t, e, U), and of a depthwise one its channels."""
    fields = dict(zip(("height", "groups", "sets", "rows", "stride"), mapping))
    return fields | dict(mode=mode, depthwise=len(mapping) > 5)


# (R', r, t, e, U)
MAPPINGS = {
    (3, 4): [
        (12, 1, 1, 1, 1),
        (1, 1, 1, 1, 1),
        (3, 1, 2, 2, 1),
        (3, 2, 1, 2, 2),
        (1, 1, 12, 1, 1),
        (1, 1, 1, 12, 4),
        (1, 12, 1, 1, 1),
        (2, 3, 2, 1, 1),
        (1, 2, 2, 3, 3),
        (11, 1, 1, 1, 1),
        (5, 1, 1, 2, 4),
        (2, 1, 2, 3, 2),
    ],
    (1, 6): [(3, 1, 1, 2, 1), (1, 2, 3, 1, 1), (6, 1, 1, 1, 1), (2, 2, 1, 1, 3)],
    (6, 1): [(3, 1, 1, 2, 1), (1, 2, 3, 1, 1), (1, 1, 1, 6, 1), (2, 2, 1, 1, 3)],
}
TOO_LARGE = [
    (13, 1, 1, 1, 1),
    (1, 1, 13, 1, 1),
    (7, 1, 1, 2, 1),
    (1, 1, 1, 255, 1),
    (5, 5, 5, 5, 4),
]


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "shape, segment",
    [(shape, 0) for shape in MAPPINGS] + [((3, 4), 4), ((3, 4), 6), ((6, 1), 3)],
)
def test_tags(shape, segment, monkeypatch):
    made = config(*shape, counters=False, segment=segment)
    dut, pes = collected(monkeypatch, made)

    async def main(ctx):
        for mapping in [m for pair in zip(MAPPINGS[shape], TOO_LARGE * 3) for m in pair]:
            wanted = confined(mapping, made)
            assert segment or (wanted is None) == (mapping in TOO_LARGE)
            ctx.set(dut.config_.payload, body(mapping))
            ctx.set(dut.config_.valid, 1)
            cycles = 1
            while not ctx.get(dut.config_.ready):
                assert not ctx.get(dut.config_error)
                await ctx.tick()
                cycles += 1
            # One PE in two cycles, and one for every row to pass it on.
            assert cycles == 2 * made.pes + 2 + made.rows + 1
            assert ctx.get(dut.config_error) == (wanted is None), mapping
            await ctx.tick()
            ctx.set(dut.config_.valid, 0)
            await idle(ctx, 2)
            assert not ctx.get(dut.config_.ready) and not ctx.get(dut.config_error)
            if wanted is None:
                continue
            for n, pe in enumerate(pes):
                tag = ctx.get(pe.tags_out)
                assert tag.enable == (wanted[n] is not None), (mapping, n)
                if wanted[n]:
                    assert (tag.head, tag.tail, tag.ifmap, tag.filter, tag.psum) == wanted[n], (
                        mapping,
                        n,
                    )

    run(dut, main)


def work(rng, config, mapping, shapes):
    """Words of passes (p, window, step, positions, images) in the order of the sequencers, the
    psums that must come out as (values, ends a position), and the MACs of all PEs."""
    height, groups, sets, rows, stride, *channels = mapping
    depthwise, bits = bool(channels), config.psum_bits
    channels, spread = channels[0] if depthwise else 1, sets if depthwise else groups
    ifmap, filters, psums, out, macs, zeros = [], [], [], [], 0, 0
    for p, window, step, positions, images in shapes:
        tags_in = ((rows - 1) * stride + height) * spread
        length = (positions - 1) * step + window
        a = rng.integers(-32768, 32768, (images, tags_in, length)) * (
            rng.random((images, tags_in, length)) < 0.8
        )
        w = rng.integers(-32768, 32768, (sets * groups * height, window, p))
        psums_of = rows * sets, p * channels
        before = rng.integers(-1 << bits - 1, 1 << bits - 1, (images, positions, *psums_of))
        header = PassHeader.const(
            dict(
                p=of_slots(p, config.simd),
                window=window,
                step=step,
                positions=positions,
                laps=images,
                channels=channels - 1,
                inner=window - channels,
            )
        )
        ifmap.append(dict(data=Const.cast(header).value, header=1))
        ifmap += [
            dict(data=lanes(x := a[image, tag, n : n + 4], 16), count=len(x), tag=tag)
            for image in range(images)
            for n in range(0, length, 4)
            for tag in range(tags_in)
        ]
        flat = w.reshape(len(w), -1)
        filters += [
            dict(
                data=lanes(x := flat[tag, n : n + 4], 16),
                count=len(x),
                tag=tag,
                last=int(n + 4 >= p * window),
            )
            for n in range(0, p * window, 4)
            for tag in range(len(w))
        ]
        for image in range(images):
            for f in range(positions):
                for c in range(rows * sets):
                    i, g = divmod(c, sets)
                    total = before[image, f, c].copy()
                    for k in range(groups):
                        for j in range(height):
                            tag = (stride * i + j) * spread + (g if depthwise else k)
                            x = a[image, tag, f * step : f * step + window]
                            products = x[:, None] * w[(g * groups + k) * height + j]
                            total += products.reshape(-1, channels, p).sum(0).reshape(-1)
                            macs, zeros = (
                                macs + p * window,
                                zeros + p * int(np.count_nonzero(x == 0)),
                            )
                    total = wrap(total, bits).tolist()
                    for n in range(0, p * channels, 4):
                        part, ends = before[image, f, c, n : n + 4], n + 4 >= p * channels
                        psums.append(dict(data=lanes(part, bits), count=len(part), tag=c))
                        out.append((total[n : n + 4], int(c == rows * sets - 1 and ends)))
    return dict(ifmap=ifmap, filter=filters, psum=psums, out=out, macs=macs, zeros=zeros)


def play(config, jobs, *, stall=0.0, delay=0):
    """Jobs are (mapping, mode, shapes). Returns the number of busy PEs in each cycle."""
    dut, bits = shared(ProcessingArray, config), config.psum_bits
    rng = np.random.default_rng(len(jobs))
    jobs = [(mapping, mode, work(rng, config, mapping, shapes)) for mapping, mode, shapes in jobs]
    current, busy = [], []

    def source(k, net):
        async def bench(ctx):
            seen = 0
            while True:
                await ctx.tick()
                if len(current) > seen:
                    await idle(ctx, delay if net == "ifmap" else 0)
                    await send(
                        ctx,
                        getattr(dut, net),
                        current[seen][net],
                        stall=stall,
                        rng=random.Random(k),
                    )
                    seen += 1

        return bench

    counts = {}

    async def count(ctx):
        async for _, _, *now in ctx.tick().sample(
            dut.events_busy,
            dut.events_gated,
            dut.events_wait_filter,
            dut.events_wait_ifmap,
            dut.events_wait_psum,
            dut.events_wait_hazard,
            dut.events_idle,
        ):
            busy.append(now[0])
            counts["gated"] = counts.get("gated", 0) + now[1]
            # two cycles after reset every PE is in one state
            assert len(busy) <= 3 or now[0] + sum(now[2:]) == config.pes

    async def main(ctx):
        for mapping, mode, todo in jobs:
            await send(ctx, dut.config_, [body(mapping, mode)])
            start, got = sum(busy), []
            counts["gated"] = 0
            current.append(todo)
            wanted = todo["out"]
            if config.psum_lanes == 1:
                wanted = [
                    ([v], last and n + 1 == len(values))
                    for values, last in wanted
                    for n, v in enumerate(values)
                ]
            await receive(ctx, dut.ofmap, len(wanted), got, stall=stall)
            assert len(got) == len(wanted)
            for word, (values, last) in zip(got, wanted):
                assert (low(word.data, len(values) * bits), word.last) == (
                    lanes(values, bits),
                    last,
                )
            ctx.set(dut.ofmap.ready, 1)
            for _ in range(10):
                await ctx.tick()
                assert not ctx.get(dut.ofmap.valid), "a word too many"
            ctx.set(dut.ofmap.ready, 0)
            assert sum(busy) - start == todo["macs"] // config.simd
            assert counts["gated"] == (todo["zeros"] // config.simd if mode else 0)

    run(
        dut,
        main,
        background=[
            count,
            holds(dut.ofmap),
            *(source(k, n) for k, n in enumerate(("ifmap", "filter", "psum"))),
        ],
    )
    return busy


def low(value, bits):
    return value & (1 << bits) - 1


ONE_LANE = dict(psum_lanes=1, psum_fifo=0)
SIMD = dict(simd=2, psum_spad=16, filter_spad=256)
ONE_INPUT = ONE_LANE | dict(input_lanes=1, ifmap_fifo=0)


@pytest.mark.sampled(3, across="stall")
@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize(
    "shape, changes",
    [
        ((2, 3), {}),
        ((1, 6), {}),
        ((6, 1), {}),
        ((2, 3), ONE_LANE),
        ((6, 1), ONE_LANE | dict(psum_drain=2, ifmap_fifo=1)),
        ((2, 3), ONE_INPUT),
        ((1, 6), ONE_INPUT),
        ((2, 3), ONE_INPUT | SIMD),
        ((6, 1), ONE_INPUT | SIMD | dict(psum_bits=24)),
    ],
)
def test_passes(shape, changes, stall):
    """Mappings one after another, dense and gated, with passes of changing shapes in each."""
    made = config(*shape, **changes)
    play(
        made,
        [
            (mapping, mode, [(p * made.simd, *rest) for p, *rest in shapes])
            for mapping, mode, shapes in [
                ((3, 1, 1, 2, 1), 0, [(4, 3, 1, 3, 1), (5, 2, 2, 2, 2), (1, 4, 1, 2, 1)]),
                ((2, 3, 1, 1, 1), 1, [(2, 8, 8, 2, 1), (8, 1, 1, 4, 1)]),
                ((1, 1, 3, 2, 2), 1, [(3, 2, 1, 3, 1), (8, 4, 3, 2, 1)]),
                ((1, 2, 1, 2, 3), 0, [(4, 3, 2, 3, 2)]),  # a third of the PEs unused
                ((2, 1, 3, 1, 2, 2), 0, [(1, 4, 2, 3, 2), (2, 6, 4, 2, 1)]),  # depthwise
                ((1, 1, 1, 1, 1), 0, [(3, 1, 1, 1, 1)]),
                ((1, 1, 2, 3, 1, 4), 1, [(1, 8, 4, 3, 1)]),
            ]
        ],
        stall=stall,
    )


def span(busy):
    """(cycles from the first with a MAC to the last, cycles of those without any)."""
    on = [n for n, b in enumerate(busy) if b]
    part = busy[on[0] : on[-1] + 1]
    return len(part), sum(b == 0 for b in part)


# p, q*S, F and the number of images change at every boundary
REMAINDER = [(8, 6, 2, 6, 1), (3, 8, 1, 8, 1), (5, 4, 4, 10, 1), (4, 8, 2, 3, 2)]
# The last PE of a mapping gets its first word up to a word of each network later than the
# first; that is paid once in a row of passes, whatever their number.
SKEW = 6


@pytest.mark.sampled(3)
@pytest.mark.parametrize("mapping", [(3, 1, 1, 2, 1), (1, 2, 3, 1, 1), (6, 1, 1, 1, 1)])
def test_boundaries_between_passes_of_different_shapes(mapping):
    """Back to back with all words there, passes take their MACs and no cycle more at a boundary."""
    shapes = REMAINDER * 2
    busy = play(config(2, 3), [(mapping, 0, shapes)], delay=150)
    macs = sum(p * window * f * images for p, window, _, f, images in shapes)
    cycles, _ = span(busy)
    loss = (cycles - macs) / (len(shapes) - 1)
    print(
        f"{mapping}: {cycles} cycles for {macs} of MACs, {cycles - macs} over in all, {loss:.2f} "
        "a boundary"
    )
    assert cycles - macs <= SKEW


def test_one_psum_lane_keeps_up():
    """Six PEs in two columns, ten psums of 48 MACs each: the lanes carry them while the PEs
    work."""
    busy = play(config(2, 3, **ONE_LANE), [((3, 1, 1, 2, 1), 0, [(8, 8, 1, 10, 1)] * 3)], delay=150)
    cycles, _ = span(busy)
    assert cycles <= 3 * 10 * 64 + 8 + SKEW  # the second column is a turn of p psums behind


def commands(mapping, shapes, pair):
    """What every engine is given for a pass of each shape: its operands are what the buffer happens
    to hold, ifmaps, filters, biases and ofmaps in pairs (of `pair` words) of their own."""
    height, groups, sets, rows, stride = mapping
    queues = {name: [] for name in ENGINES}
    for p, window, step, positions, images in shapes:
        length = (positions - 1) * step + window
        pitch = -(-length // 4) * 4
        taps = (rows - 1) * stride + height
        queues["ifmap"].append(
            dict(
                base=0,
                start=0,
                strip=length,
                images=images,
                image_stride=taps * groups * pitch,
                rows=taps,
                row_first=0,
                rows_valid=taps,
                row_stride=groups * pitch,
                groups=groups,
                group_stride=pitch,
                outer=1,
                inner=1,
                length=length,
                p=p,
                window=window,
                step=step,
                positions=positions,
                bands=1,
                header=1,
                laps=images,
            )
        )
        words, tail = -(-p * window // 4), (p * window - 1) % 4 + 1
        queues["filter"].append(
            dict(word=pair, tags=height * groups * sets, words=words, tail=tail)
        )
        queues["psum"].append(
            dict(bias=2 * pair, positions=images * positions, rows=rows, sets=sets, p=p)
        )
        queues["ofmap"].append(
            ofmap_payload(
                dict(
                    images=images,
                    positions=positions,
                    rows=rows,
                    sets=sets,
                    p=p,
                    base=12 * pair,
                    position_stride=rows * sets * p,
                    row_stride=sets * p,
                    ring=rows,
                    rows_valid=rows,
                )
            )
        )
    return queues


def busy_of_core(core, mapping, queues):
    """Busy PEs in each cycle until the last command of OFMAP is done."""
    busy, ready = [], []

    async def configure(ctx):
        await send(ctx, core.config_, [body(mapping)])
        ready.append(1)

    async def count(ctx):
        async for _, _, now in ctx.tick().sample(core.array_events_busy):
            busy.append(now)

    async def end(ctx):
        left = len(queues["ofmap"])
        while left:
            _, _, done = await ctx.tick().sample(core.ofmap_done)
            left -= done

    engines = [send_after(ready, getattr(core, name), queues[name]) for name in ENGINES]
    run(core, configure, end, background=[count, *engines])
    return busy


@pytest.mark.sampled(3)
@pytest.mark.parametrize("mapping", [(3, 1, 1, 2, 1), (1, 2, 3, 1, 1), (2, 1, 1, 3, 1)])
def test_boundaries_with_the_sequencers(mapping):
    """The same from the commands on: sequencers, global buffer and array together."""
    made, shapes = config(2, 3), REMAINDER * 3
    queues = commands(mapping, shapes, 2 * made.glb_depth)
    busy = busy_of_core(shared(Core, made), mapping, queues)
    height, groups, sets, rows, _ = mapping
    used = height * groups * sets * rows
    macs = [p * window * f * images for p, window, _, f, images in shapes]
    assert sum(busy) == sum(macs) * used
    # The first pass waits for its filters and its psums; leave it out by counting from its end.
    done, at = 0, 0
    while done < macs[0] * used:
        done += busy[at]
        at += 1
    rest, _ = span([0] * at + busy[at:])
    loss = (rest - sum(macs[1:])) / (len(shapes) - 2)
    print(f"{mapping}: {rest} cycles for {sum(macs[1:])} of MACs, {loss:.2f} a boundary")
    assert rest - sum(macs[1:]) <= SKEW
