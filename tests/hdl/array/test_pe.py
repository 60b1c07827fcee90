"""One processing element driven directly: results against numpy, cycles against the MACs."""

import random

import pytest

from hdl.array.pe.accumulator import DEPTH
from hdl.array.words import EVENTS
from hdl.isa import Mode
from hdl.timing import HAZARD
from sim.benches.tb_pe import CONFIG, TAGS, PeBench, random_depthwise, random_shape, work
from tests.hdl.streams import holds, idle, run, send, shared

# (p, window, step, positions, images)
CORNERS = [
    (1, 1, 1, 1, 1),
    (8, 8, 8, 2, 1),
    (1, 8, 1, 3, 1),
    (2, 8, 8, 2, 2),
    (3, 1, 1, 5, 1),
    (8, 1, 1, 3, 2),
    (4, 8, 1, 2, 2),
    (8, 7, 3, 2, 1),
    (2, 3, 2, 4, 1),
    (1, 2, 2, 1, 2),
    (3, 8, 5, 3, 1),
    (1, 1, 1, 5, 2),
]
STREAMS = ("ifmap", "filter", "psum", "chain_in")


def lane(word, n, bits):
    value = word >> n * bits & (1 << bits) - 1
    return value - (value >> bits - 1 << bits)


def play(config, todo, head, tail, mode=Mode.DENSE, *, stall=0.0, delay=None, enable=1, quiet=12):
    """Runs one PE through `todo`; returns the events of each cycle by name, from the first on.

    `delay` maps names of streams to cycles before their first word.
    """
    dut, events, bits = shared(PeBench, config), [], config.psum_bits
    outputs = {1: dut.ofmap, 0: dut.chain_out}

    def source(n, name):
        async def bench(ctx):
            await idle(ctx, 2 + (delay or {}).get(name, 0))
            await send(ctx, getattr(dut, name), todo[name], stall=stall, rng=random.Random(n))

        return bench

    async def sink(ctx):
        ctx.set(dut.gate, mode == Mode.GATE)
        ctx.set(dut.skip, mode == Mode.SKIP)
        ctx.set(dut.tags_in, dict(enable=enable, head=head, tail=tail, **TAGS))
        ctx.set(dut.shift, 1)
        await ctx.tick()
        ctx.set(dut.shift, 0)
        rng, at, left = random.Random(9), 0, quiet
        port = outputs[tail]
        while left:
            ready = rng.random() >= stall
            ctx.set(port.ready, ready)
            _, _, valid, payload, other, now = await ctx.tick().sample(
                port.valid, port.payload, outputs[1 - tail].valid, dut.events
            )
            events.append(now)
            assert not other, "an output of another role"
            if valid and ready:
                assert at < len(todo["out"]), "a word too many"
                wanted = todo["out"][at]
                if tail:
                    assert payload.last == wanted[1]
                    payload = [lane(payload.data, n, bits) for n in range(len(wanted[0]))]
                    wanted = wanted[0]
                assert payload == wanted, f"word {at}"
                at += 1
            left -= at == len(todo["out"])

    run(
        dut,
        sink,
        *(source(n, name) for n, name in enumerate(STREAMS)),
        background=[holds(outputs[tail])],
    )
    cycles = [{e for n, e in enumerate(EVENTS) if now >> n & 1} for now in events]
    before = set()
    for now in cycles:
        assert len(now - {"gated"}) == 1, now  # exactly one state a cycle
        assert "gated" not in now or "busy" in before  # one cycle behind its MAC
        before = now
    skipped = todo["zeros"] - todo["empty"] if mode == Mode.SKIP else 0
    assert sum("busy" in now for now in cycles) == todo["macs"] - skipped
    held = {Mode.DENSE: 0, Mode.GATE: todo["zeros"], Mode.SKIP: todo["empty"]}[mode]
    assert sum("gated" in now for now in cycles) == held
    return cycles


@pytest.mark.sampled(2, across="stall")
@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("head, tail", [(1, 1), (1, 0), (0, 1), (0, 0)])
@pytest.mark.parametrize("bits", [24, 32])
def test_results(bits, head, tail, stall):
    """Corners then random shapes back to back; dense and gated alike, also in their cycles."""
    config = CONFIG.replace(psum_bits=bits)
    rng = random.Random(f"{bits} {head} {tail}")
    shapes = rng.sample(CORNERS, 5) + [random_shape(rng) for _ in range(2)]
    if bits == 32 and not stall:
        shapes = CORNERS
    todo = work(rng, shapes, head, tail, config=config, strangers=stall / 2, ragged=stall)
    traces = [
        [now - {"gated"} for now in play(config, todo, head, tail, mode, stall=stall)]
        for mode in ((Mode.DENSE, Mode.GATE) if stall or bits == 32 else (Mode.GATE,))
    ]
    assert all(t == traces[0] for t in traces)


@pytest.mark.sampled(2, across="stall")
@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("head, tail", [(1, 1), (0, 0)])
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 1.0])
def test_skipped_zeros(sparsity, head, tail, stall):
    """The same results, MACs for the non-zero entries only; windows without any hand over zeros."""
    todo = work(
        random.Random(f"{sparsity}"),
        CORNERS,
        head,
        tail,
        strangers=stall / 2,
        ragged=stall,
        sparsity=sparsity,
    )
    play(CONFIG, todo, head, tail, Mode.SKIP, stall=stall)


def test_skip_rate():
    """Once it runs, a PE whose entries are there issues a MAC a cycle for each non-zero one."""
    for sparsity in (0.3, 0.6):
        todo = work(
            random.Random(3),
            [(4, 8, 2, 60, 1), (8, 8, 4, 40, 1), (6, 8, 2, 50, 1)],
            1,
            1,
            sparsity=sparsity,
        )
        cycles = span(play(CONFIG, todo, 1, 1, Mode.SKIP, delay={"ifmap": 80}))
        busy = sum("busy" in now for now in cycles)
        assert busy >= 0.97 * len(cycles), (sparsity, busy, len(cycles))


def span(cycles):
    """The cycles from the first MAC to the last."""
    busy = [n for n, now in enumerate(cycles) if "busy" in now]
    return cycles[busy[0] : busy[-1] + 1]


# The filters of a pass load in p*window cycles, once the pass before the one before has ended.
FULL_RATE = {
    "one shape": [(4, 4, 1, 6, 1)] * 4,
    "p at the hazard": [(3, 8, 1, 4, 1), (3, 1, 1, 30, 1), (3, 3, 3, 8, 2)],
    "full spads": [(8, 8, 1, 3, 1), (8, 8, 8, 3, 1), (8, 8, 3, 2, 2)],
    "windows of one entry": [(8, 1, 1, 9, 1), (4, 1, 1, 12, 1), (5, 1, 1, 8, 2)],
    "changing p, window, positions and images": [
        (4, 5, 2, 9, 1),
        (8, 6, 1, 3, 2),
        (3, 4, 4, 9, 2),
        (5, 3, 1, 9, 1),
    ],
}


@pytest.mark.parametrize("head, tail", [(1, 1), (0, 0)])
@pytest.mark.parametrize("name", FULL_RATE)
def test_mac_every_cycle(name, head, tail):
    """No bubble between windows, images and passes, whatever the shapes, for p >= HAZARD."""
    shapes = FULL_RATE[name]
    assert all(s[0] >= HAZARD for s in shapes)
    todo = work(random.Random(name), shapes, head, tail)
    cycles = span(play(CONFIG, todo, head, tail, delay={"ifmap": 80}))
    assert all("busy" in now for now in cycles)
    assert len(cycles) == sum(p * window * f * images for p, window, _, f, images in shapes)


# (p, window, step, positions, images, channels)
DEPTHWISE = [
    (1, 8, 4, 3, 1, 4),
    (1, 8, 8, 2, 2, 8),
    (1, 6, 3, 4, 1, 3),
    (2, 4, 2, 3, 2, 2),
    (4, 8, 8, 2, 1, 2),
    (1, 2, 2, 5, 1, 2),
]


@pytest.mark.sampled(3, across="stall")
@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("head, tail", [(1, 1), (1, 0), (0, 1), (0, 0)])
@pytest.mark.parametrize("name", ["skips", "one lane", "one input lane", "pairs"])
def test_depthwise(name, head, tail, stall):
    """Channels with sums of their own, between passes that add all entries up; a machine that can
    skip does not."""
    config = {"skips": CONFIG, "one lane": NARROW, "one input lane": NARROWEST, "pairs": SIMD}[name]
    rng = random.Random(f"{name} {head} {tail}")
    shapes = DEPTHWISE + [random_depthwise(rng) for _ in range(2)]
    if config.simd == 2:  # pairs of filters, the last with padding now and then
        shapes = [(2 * p - rng.randrange(2), *rest) for p, *rest in shapes]
    plain = [(p * config.simd, *rest) for p, *rest in rng.sample(CORNERS, 2)]
    shapes[3:3] = plain
    todo = work(rng, shapes, head, tail, config=config, strangers=stall / 2, ragged=stall)
    play(config, todo, head, tail, Mode.GATE, stall=stall)


@pytest.mark.parametrize("name", ["skips", "one input lane", "pairs"])
def test_depthwise_rate(name):
    """Once its entries are there, HAZARD cycles each."""
    config = {"skips": CONFIG, "one input lane": NARROWEST, "pairs": SIMD}[name]
    shapes = [(1, 8, 4, 6, 1, 4), (1, 6, 3, 5, 1, 3)] * 2
    todo = work(random.Random(1), shapes, 1, 1, config=config)
    cycles = span(play(config, todo, 1, 1, delay={"ifmap": 80}))
    entries = sum(window * positions for _, window, _, positions, _, _ in shapes)
    assert sum("busy" in now for now in cycles) == entries
    assert len(cycles) <= HAZARD * entries


# What an FPGA's presets are made of: one psum lane, no skipping.
NARROW = CONFIG.replace(psum_lanes=1, psum_fifo=0, ifmap_fifo=1, skip=False)
# And one input lane.
NARROWEST = NARROW.replace(input_lanes=1, ifmap_fifo=0)


@pytest.mark.sampled(2, across="stall")
@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("head, tail", [(1, 1), (1, 0), (0, 1), (0, 0)])
def test_results_with_one_psum_lane(head, tail, stall):
    """Also with a drain buffer that is no power of two, and without gating."""
    rng = random.Random(f"{head} {tail}")
    shapes = CORNERS + [random_shape(rng) for _ in range(4)]
    for config in (
        NARROW,
        NARROW.replace(psum_drain=5, gating=False, psum_bits=24),
        NARROWEST,
    ):
        todo = work(rng, shapes, head, tail, config=config, strangers=stall / 2, ragged=stall)
        play(config, todo, head, tail, Mode.GATE if config.gating else Mode.DENSE, stall=stall)


@pytest.mark.parametrize("config", [NARROW, NARROWEST], ids=["one psum lane", "one input lane too"])
@pytest.mark.parametrize("head, tail", [(1, 1), (0, 0)])
@pytest.mark.parametrize("name", FULL_RATE)
def test_mac_every_cycle_with_one_lane(name, head, tail, config):
    """Windows of one entry too: a psum a cycle each way, an entry a cycle."""
    todo = work(random.Random(name), FULL_RATE[name], head, tail, config=config)
    cycles = span(play(config, todo, head, tail, delay={"ifmap": 80}))
    assert all("busy" in now for now in cycles)


# And two MACs a cycle, with as many slots an entry as the shapes have filters.
SIMD = NARROWEST.replace(simd=2, psum_spad=16, filter_spad=256)


def doubled(shapes):
    return [(2 * p, window, *rest) for p, window, *rest in shapes]


@pytest.mark.sampled(2, across="stall")
@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("head, tail", [(1, 1), (1, 0), (0, 1), (0, 0)])
def test_results_of_two_macs_a_cycle(head, tail, stall):
    """Also with the least drain buffer, and with narrow psums."""
    rng = random.Random(f"{head} {tail}")
    shapes = doubled(CORNERS + [random_shape(rng) for _ in range(4)])
    for config in (
        SIMD,
        SIMD.replace(psum_drain=2, gating=False, psum_bits=24),
        SIMD.replace(psum_drain=6),
    ):
        todo = work(rng, shapes, head, tail, config=config, strangers=stall / 2, ragged=stall)
        play(config, todo, head, tail, Mode.GATE if config.gating else Mode.DENSE, stall=stall)


@pytest.mark.parametrize("head, tail", [(1, 1), (0, 0)])
@pytest.mark.parametrize("name", sorted(set(FULL_RATE) - {"windows of one entry"}))
def test_two_macs_every_cycle(name, head, tail):
    """But for windows of one entry, whose two psums a cycle leave one by one."""
    shapes = doubled(s for s in FULL_RATE[name] if s[1] > 1)
    todo = work(random.Random(name), shapes, head, tail, config=SIMD)
    cycles = span(play(SIMD, todo, head, tail, delay={"ifmap": 200}))
    assert all("busy" in now for now in cycles)
    assert 2 * len(cycles) == sum(p * window * f * images for p, window, _, f, images in shapes)


SHALLOW = CONFIG.replace(ifmap_fifo=1, psum_fifo=1)


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("head, tail", [(1, 1), (0, 0)])
def test_results_with_one_word_of_fifo(head, tail, stall):
    play(
        SHALLOW,
        work(random.Random(5), CORNERS, head, tail, strangers=stall, ragged=stall),
        head,
        tail,
        stall=stall,
    )


@pytest.mark.parametrize("name", sorted(set(FULL_RATE) - {"windows of one entry"}))
def test_mac_every_cycle_with_one_word_of_fifo(name):
    """Also with the shallowest FIFOs, but for windows of one entry, which take a psum a cycle."""
    shapes = [s for s in FULL_RATE[name] if s[1] > 1]
    cycles = span(play(SHALLOW, work(random.Random(name), shapes, 1, 1), 1, 1, delay={"ifmap": 80}))
    assert all("busy" in now for now in cycles)


@pytest.mark.parametrize("p", [1, 2])
def test_small_p_costs_the_hazard_only(p):
    shapes = [(p, 8, 1, 4, 1), (p, 4, 4, 5, 2), (p, 1, 1, 20, 1)]
    cycles = span(play(CONFIG, work(random.Random(p), shapes, 1, 1), 1, 1, delay={"ifmap": 40}))
    assert all(now & {"busy", "wait_hazard"} for now in cycles)
    macs = sum(p * window * f * images for p, window, _, f, images in shapes)
    # the bubbles behind the last MAC are not in the span
    assert len(cycles) == macs // p * HAZARD - (HAZARD - p)


@pytest.mark.parametrize("shape", [(8, 8, 8, 1, 1), (4, 4, 1, 1, 1)])
def test_passes_of_one_window_wait_for_filters(shape):
    """A half loads in p*window cycles from its release, as long as the pass in between lasts:
    a few cycles once, none a pass."""
    p, window, count = *shape[:2], 8
    cycles = span(
        play(CONFIG, work(random.Random(1), [shape] * count, 1, 1), 1, 1, delay={"ifmap": 150})
    )
    assert all(now & {"busy", "wait_filter"} for now in cycles)
    assert len(cycles) <= count * p * window + 4


@pytest.mark.parametrize(
    "net, event", [("filter", "wait_filter"), ("ifmap", "wait_ifmap"), ("psum", "wait_psum")]
)
def test_events_name_what_is_missing(net, event):
    shapes = [(4, 3, 1, 6, 1)] * 2
    todo = work(random.Random(net), shapes, 1, 1)
    if net == "ifmap":  # the header comes, the entries do not
        todo["ifmap"][1:1] = [dict(data=0, count=4, header=0, tag=0)] * 100
    cycles = play(CONFIG, todo, 1, 1, delay={net: 150})
    waits = [now & {"wait_filter", "wait_ifmap", "wait_psum"} for now in cycles]
    assert sum(event in w for w in waits) > 60
    if net == "psum":  # two windows' sums fill the buffer; the third stops at its last entry
        first = next(n for n, w in enumerate(waits) if event in w)
        assert sum("busy" in now for now in cycles[:first]) == 3 * 12 - 4


def test_latency():
    """From the issue of a MAC to its sum, through the drain buffer, and past the adder to the
    chain."""
    dut, todo, times = shared(PeBench, CONFIG), work(random.Random(1), [(1, 1, 1, 1, 1)], 0, 0), {}

    async def watch(ctx):
        ctx.set(dut.tags_in, dict(enable=1, **TAGS))
        ctx.set(dut.shift, 1)
        await ctx.tick()
        ctx.set(dut.shift, 0)
        for now in range(40):
            _, _, events, valid = await ctx.tick().sample(dut.events, dut.chain_out.valid)
            if events & 1:
                times["issue"] = now
            if valid:
                times.setdefault("out", now)

    def source(name):
        async def bench(ctx):
            await idle(ctx, 2)  # words come when the tags are there
            await send(ctx, getattr(dut, name), todo[name])

        return bench

    run(dut, watch, *(source(name) for name in STREAMS))
    assert times["out"] - times["issue"] == DEPTH + 2


def test_a_pe_that_is_not_enabled_takes_and_does_nothing():
    todo = work(random.Random(2), [(2, 2, 1, 12, 1)], 1, 1)  # more words than fit anywhere
    cycles = play(
        CONFIG,
        todo | {"chain_in": [], "out": [], "macs": 0, "zeros": 0, "empty": 0},
        1,
        1,
        enable=0,
        quiet=80,
    )
    assert all(now == {"idle"} for now in cycles)


def test_capacity():
    """Without anything to compute a PE takes its buffers full and no more."""
    dut, taken = shared(PeBench, CONFIG), dict.fromkeys(STREAMS, 0)

    async def main(ctx):
        ctx.set(dut.tags_in, dict(enable=1, head=1, tail=1, **TAGS))
        ctx.set(dut.shift, 1)
        await ctx.tick()
        ctx.set(dut.shift, 0)
        for name in ("ifmap", "psum", "filter"):
            port = getattr(dut, name)
            ctx.set(port.payload, dict(tag=TAGS[name], count=4))
            ctx.set(port.valid, 1)
        ctx.set(dut.chain_in.valid, 1)
        for _ in range(250):  # a filter half is closed by its last word
            half = (taken["filter"] + 1) % (CONFIG.filter_half // 4) == 0
            ctx.set(dut.filter.payload.last, half)
            _, _, *ready = await ctx.tick().sample(*(getattr(dut, n).ready for n in STREAMS))
            for name, moved in zip(STREAMS, ready):
                taken[name] += moved

    run(dut, main)
    bus = 2
    assert taken == dict(
        ifmap=CONFIG.ifmap_spad // 4 + CONFIG.ifmap_fifo + bus,
        filter=CONFIG.filter_spad // 4 + bus,
        psum=CONFIG.psum_fifo + bus,
        chain_in=0,
    )
