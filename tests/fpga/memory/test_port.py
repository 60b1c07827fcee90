"""Arbiter and Ram: random bursts of host and accelerator against a model, and throughput."""

import random
import subprocess

import pytest
from amaranth.back import verilog
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.memory.arbiter import Arbiter
from fpga.memory.ram import DECERR, Ram
from fpga.memory.single_port import BLOCK, SinglePort
from hdl.lib.axi import ReadMaster, WriteMaster
from hdl.memory.words import TaggedBurst, TaggedData
from sim.build import harness
from tests.hdl.emit.yosys_cells import ice40_cell
from tests.hdl.streams import holds, idle, receive, run, send, shared

SIZE = 1 << 13


class Shared(wiring.Component):
    """The arbiter in front of the RAM."""

    host_read: In(ReadMaster)
    host_write: In(WriteMaster)
    address: In(stream.Signature(TaggedBurst))
    data: Out(stream.Signature(TaggedData))
    write: In(WriteMaster)

    def __init__(self, single_port=False):
        self.single_port = single_port
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.arbiter = arbiter = Arbiter()
        m.submodules.ram = ram = Ram(SIZE, self.single_port)
        wiring.connect(m, arbiter.memory_read, ram.read)
        wiring.connect(m, arbiter.memory_write, ram.write)
        for name in ("host_read", "host_write", "address", "data", "write"):
            ours, theirs = wiring.flipped(getattr(self, name)), getattr(arbiter, name)
            wiring.connect(m, *((theirs, ours) if name == "data" else (ours, theirs)))
        return m


def burst(rng, low, high, beats=None):
    """(address, beats) within [low, high) and a page."""
    beats = beats or rng.choice((1, 1, 2, 5, 17, 64))
    at = rng.randrange(low, high - 8 * beats + 1, 8)
    if at // 4096 != (at + 8 * beats - 1) // 4096:
        at = at // 4096 * 4096
    return at, beats


async def write_burst(ctx, port, at, data, *, stall=0.0, rng=None, strobes=None):
    """One write burst; its response."""
    beats = len(data) // 8
    await send(ctx, port.address, [{"address": at, "length": beats - 1}], stall=stall, rng=rng)
    await send(
        ctx,
        port.data,
        [
            {
                "data": int.from_bytes(data[8 * i : 8 * i + 8], "little"),
                "strobe": strobes[i] if strobes else 0xFF,
                "last": i == beats - 1,
            }
            for i in range(beats)
        ],
        stall=stall,
        rng=rng,
    )
    out = []
    await receive(ctx, port.response, 1, out, stall=stall, rng=rng)
    return out[0]


class Client:
    """Writes and reads back random bursts in its own part of the memory, with `ident` and any
    strobes."""

    def __init__(self, dut, who, low, high, stall, count, seed):
        self.dut, self.who, self.stall = dut, who, stall
        self.read_address, self.read_data, self.write = (
            (dut.host_read.address, dut.host_read.data, dut.host_write)
            if who == "host"
            else (dut.address, dut.data, dut.write)
        )
        self.low, self.high, self.count, self.rng = low, high, count, random.Random(seed)
        self.model = {}

    def item(self, at, beats, ident):
        inner = {"address": at, "length": beats - 1}
        return inner if self.who == "host" else {"burst": inner, "id": ident}

    async def __call__(self, ctx):
        rng = self.rng
        for _ in range(self.count):
            at, beats = burst(rng, self.low, self.high)
            data, strobes = (
                rng.randbytes(8 * beats),
                [rng.choice((0xFF, rng.randrange(256))) for _ in range(beats)],
            )
            assert (
                await write_burst(
                    ctx, self.write, at, data, stall=self.stall, rng=rng, strobes=strobes
                )
                == 0
            )
            for i in range(8 * beats):
                if strobes[i // 8] >> i % 8 & 1:
                    self.model[at + i] = data[i]
            at, beats = rng.choice(((at, beats), burst(rng, self.low, self.high)))
            ident, out = rng.randrange(2), []
            await send(
                ctx, self.read_address, [self.item(at, beats, ident)], stall=self.stall, rng=rng
            )
            await receive(ctx, self.read_data, beats, out, stall=self.stall, rng=rng)
            for i, beat in enumerate(out):
                if self.who != "host":
                    assert beat.id == ident
                    beat = beat.beat
                assert beat.last == (i == beats - 1) and beat.resp == 0
                for j, byte in enumerate(beat.data.to_bytes(8, "little")):
                    if at + 8 * i + j in self.model:
                        assert byte == self.model[at + 8 * i + j], hex(at + 8 * i + j)


@pytest.mark.parametrize("single_port", [False, True])
@pytest.mark.parametrize("stall", [0, 0.4])
def test_two_clients(stall, single_port):
    dut = shared(Shared, single_port)
    clients = [
        Client(dut, "host", 0, SIZE // 2, stall, 14, 1),
        Client(dut, "accelerator", SIZE // 2, SIZE, stall, 14, 2),
    ]
    run(
        dut,
        *clients,
        background=[holds(p) for p in (dut.host_read.data, dut.data, dut.write.response)],
        cycles=30_000,
    )


@pytest.mark.parametrize("single_port", [False, True])
def test_throughput_of_ram(single_port):
    dut, out, times = shared(Ram, SIZE, single_port), [], []

    async def writer(ctx):
        for at in range(0, 2048, 512):
            await write_burst(ctx, dut.write, at, bytes(512))

    taken = run(dut, writer)
    assert taken <= 4 * (64 + 4)
    bursts = [{"address": at, "length": 63} for at in range(0, 2048, 512)]
    run(
        dut,
        lambda ctx: send(ctx, dut.read.address, bursts),
        lambda ctx: receive(ctx, dut.read.data, 256, out, times=times),
        background=[holds(dut.read.data)],
    )
    assert times[0] <= 4 and times[-1] - times[0] <= 255 + 2 * 3


def test_both_get_their_turns():
    """With both asking all the time each gets half, and alone all of it."""
    shares = {}
    for both in (True, False):
        dut, host, ours = shared(Shared), [], []
        mine = [{"burst": {"address": 0, "length": 7}, "id": 1}] * 20
        theirs = [{"address": 512, "length": 7}] * 20
        jobs = [
            lambda ctx: send(ctx, dut.address, mine),
            lambda ctx: receive(ctx, dut.data, 160, ours),
        ]
        background = [lambda ctx: receive(ctx, dut.host_read.data, None, host)]
        if both:
            background.append(lambda ctx: send(ctx, dut.host_read.address, theirs))
        shares[both] = run(dut, *jobs, background=background), len(host)
    assert shares[False][0] <= 20 * 9 + 10 and shares[False][1] == 0
    assert shares[True][0] <= 40 * 9 + 10 and shares[True][1] >= 150


def test_beyond_the_ram():
    dut, out = shared(Ram, 1024), []

    async def bench(ctx):
        assert await write_burst(ctx, dut.write, 1024 - 64, bytes(range(64))) == 0
        for at, beats in ((1024 - 64, 9), (1024, 1), (1 << 31, 4)):
            assert await write_burst(ctx, dut.write, at, b"\xff" * 8 * beats) == DECERR
            out.clear()
            await send(ctx, dut.read.address, [{"address": at, "length": beats - 1}])
            await receive(ctx, dut.read.data, beats, out)
            assert [(b.resp, b.data) for b in out] == [(DECERR, 0)] * beats
        out.clear()
        await send(ctx, dut.read.address, [{"address": 1024 - 64, "length": 7}])
        await receive(ctx, dut.read.data, 8, out)
        assert b"".join(b.data.to_bytes(8, "little") for b in out) == bytes(range(64))
        await idle(ctx, 3)

    run(dut, bench)
    for size in (0, 12):
        with pytest.raises(ValueError, match="a RAM of"):
            Ram(size)
    with pytest.raises(ValueError, match="must be 2..16384"):
        SinglePort(16385)


STIMULI = """#include "Vtop.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
int main() {
    Vtop top;
    static uint64_t words[16384], shown;
    srand(1);
    bool known = false;
    for (int now = 0; now < 300000; now++) {
        // Every word is written first; then 64 of them are, and read.
        bool fill = now < 16384;
        top.address = fill ? now : rand() % 64 * 257 % 16384;
        top.write = fill ? 255 : rand() % 2 ? 0 : rand() % 256;
        top.read = !top.write && rand() % 4;
        top.data = (uint64_t)rand() << 33 ^ (uint64_t)rand() << 12 ^ rand();
        top.clk = 0, top.eval();
        if (known && top.word != shown) return printf("cycle %d\\n", now), 1;
        if (top.read) shown = words[top.address], known = true;
        for (int n = 0; n < 8; n++)
            if (top.write >> n & 1)
                memcpy((char *)&words[top.address] + n, (char *)&top.data + n, 1);
        top.clk = 1, top.eval();
    }
}
"""


@pytest.mark.parametrize("device", ["", "iCE40UP5K"])
def test_single_port(device, tmp_path):
    """The twin, and the four blocks of an UP5K in Yosys's model of them, against an array."""
    (tmp_path / "main.cpp").write_text(STIMULI)

    class Platform:
        pass

    Platform.device = device
    text = verilog.convert(
        SinglePort(BLOCK), name="dut", platform=Platform(), strip_internal_attrs=True
    )
    assert text.count("SB_SPRAM256KA ") == (4 if device else 0)
    done = subprocess.run(
        [harness(ice40_cell("SB_SPRAM256KA") + text, "dut", [tmp_path / "main.cpp"]) / "simulator"],
        capture_output=True,
        text=True,
    )
    assert not done.returncode, done.stdout
