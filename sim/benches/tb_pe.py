"""Bench of one processing element behind X-buses of its own: random shapes against numpy."""

import random

import cocotb
import numpy as np
from amaranth.hdl import Const, Module, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

from golden.fixed import wrap
from hdl.array.gin import XBus
from hdl.array.lanes import Splitter
from hdl.array.pe.pe import ProcessingElement
from hdl.array.words import (
    EVENTS,
    PassHeader,
    filter_bus_word,
    filter_word,
    ifmap_bus_word,
    ifmap_word,
    of_slots,
    ofmap_bus_word,
    psum_bus_word,
    tag_layout,
)
from hdl.config import Config
from hdl.isa import Mode

CONFIG = Config(
    "pe",
    rows=1,
    columns=2,
    filter_spad=128,
    ifmap_spad=8,
    psum_spad=8,
    glb_pairs=2,
    glb_depth=64,
    psum_bits=32,
    ifmap_fifo=2,
    psum_fifo=2,
    skip=True,
)
TAGS = dict(ifmap=2, filter=1, psum=1)
NETWORKS = dict(ifmap=ifmap_word, filter=filter_word, psum=psum_bus_word)
BUSES = dict(ifmap=ifmap_bus_word, filter=filter_bus_word, psum=psum_bus_word)


class PeBench(wiring.Component):
    """A PE whose input networks are streams of words. Members as ProcessingElement's."""

    def __init__(self, config=CONFIG):
        self.config = config
        psum, tags = stream.Signature(signed(config.psum_bits)), tag_layout(config)
        super().__init__(
            {net: In(stream.Signature(layout(config))) for net, layout in NETWORKS.items()}
            | {
                "shift": In(1),
                "tags_in": In(tags),
                "gate": In(1),
                "skip": In(1),
                "chain_in": In(psum),
                "chain_out": Out(psum),
                "ofmap": Out(stream.Signature(ofmap_bus_word(config))),
                "events": Out(len(EVENTS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.pe = pe = ProcessingElement(self.config)
        for net, layout in NETWORKS.items():
            words, carried = layout(self.config), BUSES[net](self.config)
            m.submodules[f"{net}_bus"] = bus = XBus(carried, 1)
            source = wiring.flipped(getattr(self, net))
            if words != carried:
                m.submodules[f"{net}_splitter"] = splitter = Splitter(words, carried)
                wiring.connect(m, source, splitter.input)
                source = splitter.output
            wiring.connect(m, source, bus.input)
            m.d.comb += [
                getattr(pe, f"{net}_next").eq(bus.next),
                getattr(pe, f"{net}_load").eq(bus.load),
                getattr(pe, f"{net}_word").eq(bus.word),
                getattr(pe, f"{net}_fire").eq(bus.fire),
                bus.accept.eq(getattr(pe, f"{net}_accept")),
            ]
        for name in ("chain_in", "chain_out", "ofmap"):
            ours, theirs = wiring.flipped(getattr(self, name)), getattr(pe, name)
            wiring.connect(m, *((ours, theirs) if name == "chain_in" else (theirs, ours)))
        m.d.comb += [
            pe.shift.eq(self.shift),
            pe.tags_in.eq(self.tags_in),
            pe.gate.eq(self.gate),
            pe.skip.eq(self.skip),
            self.events.eq(pe.events),
        ]
        return m


def component():
    return PeBench()


def lanes(values, bits):
    """Values side by side in one word."""
    return sum((int(v) & (1 << bits) - 1) << n * bits for n, v in enumerate(values))


def of_shape(shape):
    """(p, window, step, positions, images, channels); without channels one."""
    return shape if len(shape) == 6 else (*shape, 1)


def random_depthwise(rng):
    """A shape of several channels: (p, window, step, positions, images, channels)."""
    channels = rng.choice([2, 3, 4, 8])
    taps = rng.randint(1, 8 // channels)
    step, p = channels * rng.randint(1, taps), rng.randint(1, 8 // channels)
    return p, channels * taps, step, rng.randint(1, 4), rng.choice([1, 2]), channels


def random_shape(rng):
    """(p, window, step, positions, images) with the corners of a small PE."""
    p, window = rng.choice([1, 2, 3, 4, 5, 8]), rng.choice([1, 2, 3, 5, 8])
    return (
        p,
        window,
        rng.choice([1, window, rng.randint(1, window)]),
        rng.randint(1, 4),
        rng.choice([1, 1, 2]),
    )


class Words:
    """What a PE gets and gives, by stream, while it grows; `work` says the rest."""

    def __init__(self, rng, config, strangers, ragged):
        self.rng, self.config, self.strangers, self.ragged = rng, config, strangers, ragged
        self.streams = {name: [] for name in ("ifmap", "filter", "psum", "chain_in", "out")}
        self.macs = self.zeros = self.empty = 0

    def known(self, net, word):
        """Without what this network does not carry."""
        members = NETWORKS[net](self.config).members
        return {name: value for name, value in word.items() if name in members}

    def put(self, net, **word):
        rng, out = self.rng, self.streams[net]
        while rng.random() < self.strangers:
            other = dict(data=rng.getrandbits(64), count=rng.randint(1, 4), tag=TAGS[net] ^ 1)
            out.append(self.known(net, other | ({"last": 1} if net == "filter" else {})))
        out.append(self.known(net, word | {"tag": TAGS[net]}))

    def chunks(self, values, size=4):
        while values:
            n = self.rng.randint(1, size) if self.rng.random() < self.ragged else size
            yield values[:n]
            values = values[n:]

    def put_ifmap(self, header, images):
        self.streams["ifmap"].append(
            dict(data=Const.cast(PassHeader.const(header)).value, count=0, header=1, tag=5)
        )
        for image in images:
            for part in self.chunks(image):
                self.put("ifmap", data=lanes(part, 16), count=len(part), header=0)

    def put_filter(self, weights):
        """Those of an entry are filled up to whole rows of config.simd."""
        padding = [0] * (-len(weights[0]) % self.config.simd)
        parts = list(self.chunks([v for k in weights for v in (*k, *padding)]))
        for n, part in enumerate(parts):
            self.put("filter", data=lanes(part, 16), count=len(part), last=int(n == len(parts) - 1))

    def put_position(self, x, weights, before, head, tail):
        """The psums of one position, in and out, and its MACs."""
        config, each = self.config, len(weights[0])
        channels = len(before) // each
        slots = -(-each // config.simd)
        self.macs += slots * len(x)
        self.zeros += slots * int(np.count_nonzero(x == 0))
        self.empty += slots * (not x.any())
        if head:
            for part in self.chunks(before, config.psum_lanes):
                self.put("psum", data=lanes(part, config.psum_bits), count=len(part))
        else:
            self.streams["chain_in"] += before
        products = x[:, None] * np.array(weights, np.int64)  # [window, each]
        own = products.reshape(-1, channels, each).sum(0).reshape(-1)
        sums = wrap(own + np.array(before, np.int64), config.psum_bits).tolist()
        if tail:
            size = config.psum_lanes
            count = len(sums)
            sums = [(sums[n : n + size], int(n + size >= count)) for n in range(0, count, size)]
        self.streams["out"] += sums


def operands(rng, shape, bits, sparsity):
    """(ifmaps by image, weights by place of the window, psums by image and position); in three of
    ten cases so large that sums wrap."""
    p, window, step, positions, images, channels = of_shape(shape)
    extreme = rng.random() < 0.3
    low = rng.choice([-32768, 32767]) if extreme else -32768
    high = low if extreme else 32767
    a = [
        [
            0 if rng.random() < sparsity else rng.randint(low, high)
            for _ in range((positions - 1) * step + window)
        ]
        for _ in range(images)
    ]
    w = [[rng.randint(low, high) for _ in range(p)] for _ in range(window)]
    before = [
        [
            [rng.randrange(-1 << bits - 1, 1 << bits - 1) for _ in range(p * channels)]
            for _ in range(positions)
        ]
        for _ in range(images)
    ]
    return a, w, before


def work(rng, shapes, head, tail, *, config=CONFIG, strangers=0.0, ragged=0.0, sparsity=0.3):
    """What a PE gets and gives in passes of these shapes.

    Returns {"ifmap", "filter", "psum", "chain_in": words to send, "out": psums it must give as
    (values, last) of a word of the output network or a value of the chain, "macs": slots, which are
    config.simd MACs each, "zeros": those on a zero, "empty": those of windows of zeros}.
    `strangers` is the probability of a word for another PE before one, `ragged` of a word that is
    not full, `sparsity` of an entry that is zero.
    """
    words = Words(rng, config, strangers, ragged)
    for shape in shapes:
        p, window, step, positions, images, channels = of_shape(shape)
        a, w, before = operands(rng, shape, config.psum_bits, sparsity)
        header = dict(p=p, window=window, step=step, positions=positions, laps=images)
        header |= dict(p=of_slots(p, config.simd), channels=channels - 1, inner=window - channels)
        words.put_ifmap(header, a)
        words.put_filter(w)
        for image, psums in zip(a, before):
            for f in range(positions):
                x = np.array(image[f * step : f * step + window], np.int64)
                words.put_position(x, w, psums[f], head, tail)
    return words.streams | dict(macs=words.macs, zeros=words.zeros, empty=words.empty)


async def send(dut, name, words, stall):
    """Offers the words; valid holds until each is taken."""
    valid, ready, payload = (
        getattr(dut, f"{name}__{part}") for part in ("valid", "ready", "payload")
    )
    for word in words:
        while random.random() < stall:
            valid.value = 0
            await RisingEdge(dut.clk)
        if isinstance(word, dict):
            word = Const.cast(NETWORKS[name](CONFIG).const(word)).value
        payload.value = word & (1 << len(payload)) - 1
        valid.value = 1
        while True:
            await ReadOnly()
            taken = ready.value == 1
            await RisingEdge(dut.clk)
            if taken:
                break
    valid.value = 0


async def check(dut, rng, shapes, head, tail, mode, stall, sparsity=0.3):
    """Runs the passes; returns the cycles from the first MAC to the last."""
    Clock(dut.clk, 2, unit="step").start()
    for name in ("ifmap", "filter", "psum", "chain_in"):
        getattr(dut, f"{name}__valid").value = 0
    for name in ("chain_out", "ofmap"):
        getattr(dut, f"{name}__ready").value = 0
    dut.rst.value, dut.shift.value = 1, 0
    dut.gate.value, dut.skip.value = int(mode == Mode.GATE), int(mode == Mode.SKIP)
    await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    tags = tag_layout(CONFIG).const(dict(enable=1, head=head, tail=tail, **TAGS))
    dut.rst.value, dut.shift.value, dut.tags_in.value = 0, 1, Const.cast(tags).value
    await RisingEdge(dut.clk)
    dut.shift.value = 0
    todo = work(
        rng,
        shapes,
        head,
        tail,
        strangers=0.3 if stall else 0,
        ragged=0.3 if stall else 0,
        sparsity=sparsity,
    )
    for name in ("ifmap", "filter", "psum", "chain_in"):
        cocotb.start_soon(send(dut, name, todo[name], stall))
    name, idle = "ofmap" if tail else "chain_out", "chain_out" if tail else "ofmap"
    valid, ready, payload = (
        getattr(dut, f"{name}__{part}") for part in ("valid", "ready", "payload")
    )
    wanted, bits = todo["out"], CONFIG.psum_bits
    at, now, quiet = 0, 0, 0
    macs = []
    while quiet < 20:
        ready.value = int(random.random() >= stall)
        await ReadOnly()
        assert getattr(dut, f"{idle}__valid").value == 0
        if int(dut.events.value) & 1:
            macs.append(now)
        quiet += at == len(wanted)
        if valid.value == 1 and ready.value == 1:
            assert at < len(wanted), "a word too many"
            got = int(payload.value)
            if tail:
                values, last = wanted[at]
                assert got >> 4 * bits == last
                assert got & (1 << len(values) * bits) - 1 == lanes(values, bits), f"word {at}"
            else:
                assert got == wanted[at] & (1 << bits) - 1, f"psum {at}"
            at += 1
        await RisingEdge(dut.clk)
        now += 1
        assert now < 200_000, f"stuck after {at} of {len(wanted)} words"
    assert len(macs) == todo["macs"] - (todo["zeros"] - todo["empty"] if mode == Mode.SKIP else 0)
    return macs[-1] - macs[0] + 1


@cocotb.test()
@cocotb.parametrize(head=[0, 1], tail=[0, 1], mode=list(Mode), stall=[0.0, 0.3])
async def random_shapes(dut, head, tail, mode, stall):
    rng = random.Random(random.getrandbits(32))
    await check(
        dut,
        rng,
        [random_shape(rng) for _ in range(25)],
        head,
        tail,
        mode,
        stall,
        rng.choice([0.3, 0.8]),
    )


@cocotb.test()
async def full_rate(dut):
    """No cycle without a MAC while p >= 3 and operands are there."""
    shapes = [(4, 5, 2, 9, 1), (8, 8, 1, 4, 2), (3, 4, 4, 7, 2), (5, 3, 1, 8, 1)] * 3
    cycles = await check(dut, random.Random(1), shapes, 1, 1, Mode.DENSE, 0.0)
    macs = sum(p * window * positions * images for p, window, _, positions, images in shapes)
    assert macs <= cycles <= macs + 60  # the first pass waits for its filters
