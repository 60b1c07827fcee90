"""The SDRAM controller against a model of the part that checks every time, and the model itself."""

import random

import pytest

from fpga.memory.ram import DECERR
from fpga.memory.sdram.sdram import Sdram
from fpga.memory.sdram.sdram_timing import PARTS, SdramPart
from fpga.memory.sdram.words import ACTIVE, MODE, NOP, PRECHARGE, READ, REFRESH, WRITE
from tests.fpga.memory.sdram import FIELDS, Model
from tests.fpga.memory.test_port import burst, write_burst
from tests.hdl.streams import holds, idle, receive, run, send, shared

MHZ = 80
# Short of rows, so that refreshes are many; short of time at the beginning.
SMALL = SdramPart(
    "small",
    11,
    9,
    t_rcd=21,
    t_rp=21,
    t_ras=49,
    t_rc=70,
    t_rrd=14,
    t_rfc=70,
    t_wr=15,
    max_mhz=(100, 143),
    t_refresh_ms=4,
    t_init_us=1,
)


def attach(dut, part, clock_hz, log=None):
    """A background bench: the part on the pins, its words `dut.delay` cycles late. log: (cycle,
    command)."""

    async def process(ctx):
        late = [0] * dut.delay
        model, ports, now = Model(part, clock_hz), [getattr(dut, "sdram_" + n) for n in FIELDS], 0
        while True:
            values = dict(zip(FIELDS, (ctx.get(p) for p in ports), strict=True))
            what, dq = model.clock(**values)
            assert what is None, f"cycle {now}: {what}"
            late.append(dq)
            ctx.set(dut.sdram_dq_i, late.pop(0))
            if log is not None:
                code = values["ras_n"] << 2 | values["cas_n"] << 1 | values["we_n"]
                if code != NOP:
                    log.append((now, code))
            await ctx.tick()
            now += 1

    return process


async def read_burst(ctx, dut, at, beats, **options):
    out = []
    await send(ctx, dut.read.address, [{"address": at, "length": beats - 1}], **options)
    await receive(ctx, dut.read.data, beats, out, **options)
    assert [b.last for b in out] == [0] * (beats - 1) + [1]
    return out


def bytes_of(beats):
    return b"".join(b.data.to_bytes(8, "little") for b in beats)


@pytest.mark.parametrize(
    "mhz, stall, delay",
    [
        (25, 0, 0),
        (80, 0, 0),
        (80, 0.5, 0),
        (133, 0, 1),
        (133, 0.5, 0),
        (50, 0.5, 2),
        (80, 0, 2),
        (80, 0.5, 2),
    ],
)
def test_random_traffic(mhz, stall, delay):
    """Bursts in a few rows and banks, again and again; every time is kept, every byte comes
    back."""
    part = SMALL
    dut = shared(Sdram, part, mhz * 1_000_000, delay)
    model, rng = {}, random.Random(mhz)
    spots = [rng.randrange(0, part.size // 1024) * 1024 for _ in range(5)]

    async def talk(ctx):
        for _ in range(25):
            spot = rng.choice(spots)
            at, beats = burst(rng, spot, spot + 1024, rng.choice((1, 2, 7, 24)))
            data, strobes = (
                rng.randbytes(8 * beats),
                [rng.choice((0xFF, rng.randrange(256))) for _ in range(beats)],
            )
            assert (
                await write_burst(ctx, dut.write, at, data, stall=stall, rng=rng, strobes=strobes)
                == 0
            )
            model.update(
                (at + i, data[i]) for i in range(8 * beats) if strobes[i // 8] >> i % 8 & 1
            )
            spot = rng.choice((spot, rng.choice(spots)))
            at, beats = burst(rng, spot, spot + 1024, rng.choice((1, 2, 7, 24)))
            got = await read_burst(ctx, dut, at, beats, stall=stall, rng=rng)
            assert not any(b.resp for b in got)
            for i, byte in enumerate(bytes_of(got)):
                assert model.get(at + i, byte) == byte

    run(
        dut,
        talk,
        background=[
            attach(dut, part, mhz * 1_000_000),
            holds(dut.read.data),
            holds(dut.write.response),
        ],
        cycles=60_000,
    )


def test_reads_and_writes_at_once():
    """Two benches that do not wait for each other, each in its own half: no word goes astray."""
    dut, rng, other = shared(Sdram, SMALL, MHZ * 1_000_000), random.Random(5), random.Random(6)
    half = SMALL.size // 2
    first = rng.randbytes(2048)
    ready = []

    async def writer(ctx):
        for i in range(0, 2048, 512):
            await write_burst(ctx, dut.write, half + i, first[i : i + 512])
        ready.append(1)
        for _ in range(10):
            await write_burst(
                ctx,
                dut.write,
                rng.randrange(0, half - 512, 1024),
                rng.randbytes(64),
                stall=0.2,
                rng=rng,
            )

    async def reader(ctx):
        while not ready:
            await ctx.tick()
        for _ in range(8):
            at = other.randrange(0, 2048 - 512, 512)
            assert (
                bytes_of(await read_burst(ctx, dut, half + at, 64, stall=0.2, rng=other))
                == first[at : at + 512]
            )

    run(
        dut,
        writer,
        reader,
        background=[attach(dut, SMALL, MHZ * 1_000_000), holds(dut.read.data)],
        cycles=20_000,
    )


@pytest.mark.parametrize("delay", [0, 2])
def test_throughput(delay):
    """Four cycles a word but for changes of rows and refreshes, as the docstring has it."""
    log, marks, out = [], [], []
    dut = shared(Sdram, SMALL, MHZ * 1_000_000, delay)
    t = dut.timing

    async def talk(ctx):
        await write_burst(ctx, dut.write, 0, bytes(8))
        before = len(log)
        start = log[-1][0]
        for at in range(0, 2048, 512):
            await send(ctx, dut.write.address, [{"address": at, "length": 63}])
            await send(
                ctx,
                dut.write.data,
                [{"data": i, "strobe": 255, "last": i == 63} for i in range(64)],
            )
            await receive(ctx, dut.write.response, 1, [])
        marks.append((log[-1][0] - start, [c for _, c in log[before:]]))
        before, start = len(log), log[-1][0]
        bursts = [{"address": at, "length": 63} for at in range(0, 2048, 512)]
        await send(ctx, dut.read.address, bursts)
        while len(out) < 256:
            await ctx.tick()
        marks.append((log[-1][0] - start, [c for _, c in log[before:]]))

    run(
        dut,
        talk,
        background=[
            attach(dut, SMALL, MHZ * 1_000_000, log),
            lambda ctx: receive(ctx, dut.read.data, None, out),
        ],
        cycles=20_000,
    )
    for cycles, codes in marks:
        refreshes, rows = codes.count(REFRESH), codes.count(ACTIVE)
        assert codes.count(READ) + codes.count(WRITE) >= 256
        assert (
            cycles
            <= 4 * 256
            + refreshes * (t.rp + t.rfc + t.rcd + 8)
            + rows * (t.rp + t.rcd + 2)
            + 4 * 8
            + 20
        )
        assert refreshes <= cycles // t.refresh + 1


def test_latency_and_refresh_when_idle():
    log, dut = [], Sdram(SMALL, MHZ * 1_000_000)

    async def talk(ctx):
        await write_burst(ctx, dut.write, 64, bytes(range(8)))
        cycles = []
        for _ in range(6):
            await send(ctx, dut.read.address, [{"address": 64, "length": 0}])
            waited, out, times = 0, [], []
            await receive(ctx, dut.read.data, 1, out, times=times)
            assert bytes_of(out) == bytes(range(8))
            cycles.append(times[0] + waited)
        assert min(cycles) <= 10 + dut.timing.cas
        start, before = len(log), log[-1][0]
        await idle(ctx, 40 * dut.timing.refresh)
        quiet = [c for _, c in log[start:]]
        assert 39 <= quiet.count(REFRESH) <= 41 and set(quiet) <= {REFRESH, PRECHARGE} and before

    run(dut, talk, background=[attach(dut, SMALL, MHZ * 1_000_000, log)], cycles=20_000)


def test_beyond_the_part():
    dut = shared(Sdram, SMALL, MHZ * 1_000_000)

    async def talk(ctx):
        assert await write_burst(ctx, dut.write, 0, b"12345678") == 0
        assert await write_burst(ctx, dut.write, SMALL.size, b"x" * 16) == DECERR
        got = await read_burst(ctx, dut, SMALL.size - 8, 2)
        assert [(b.resp, b.data) for b in got] == [(DECERR, 0)] * 2
        assert bytes_of(await read_burst(ctx, dut, 0, 1)) == b"12345678"

    run(dut, talk, background=[attach(dut, SMALL, MHZ * 1_000_000)])


def test_cycles_of_parts():
    part = PARTS["32MB-7"]
    assert part.size == 32 << 20
    t = part.cycles(80_000_000)
    assert (t.rcd, t.rp, t.ras, t.rc, t.rfc, t.wr, t.mrd, t.cas) == (2, 2, 4, 6, 6, 2, 2, 2)
    assert t.refresh == 625 and t.init == 16_000
    assert part.cycles(133_000_000).cas == 3 and part.cycles(133_000_000).rc == 10
    with pytest.raises(ValueError, match="32MB-7 at 150 MHz: 143 MHz at most"):
        part.cycles(150_000_000)


# ---- the model ---------------------------------------------------------------------------
class Bus:
    """Commands by hand at 100 MHz, 10 ns a cycle."""

    def __init__(self, part=SMALL):
        self.model = Model(part, 100_000_000)

    def __call__(self, code=NOP, ba=0, a=0, wait=0, oe=0, dqm=0, cke=1):
        """The command and then `wait` cycles of NOP; the first violation."""
        found = []
        for n in range(wait + 1):
            now = code if n == 0 else NOP
            keep = oe if now == WRITE or n < 4 else 0
            found.append(
                self.model.clock(
                    cke=cke,
                    cs_n=0,
                    ras_n=now >> 2,
                    cas_n=now >> 1 & 1,
                    we_n=now & 1,
                    ba=ba,
                    a=a,
                    dqm=dqm,
                    dq_o=7,
                    dq_oe=keep,
                )[0]
            )
        return next((f for f in found if f), None)

    def begin(self):
        steps = [
            (NOP, dict(wait=110)),
            (PRECHARGE, dict(a=1024, wait=2)),
            (REFRESH, dict(wait=6)),
            (REFRESH, dict(wait=6)),
            (MODE, dict(a=0x22, wait=1)),
        ]
        assert [self(code, **kw) for code, kw in steps] == [None] * len(steps)
        return self


@pytest.mark.parametrize(
    "steps, violation",
    [
        ([(ACTIVE, dict(wait=1)), (READ, {})], "tRCD"),
        ([(ACTIVE, dict(wait=3)), (PRECHARGE, {})], "tRAS"),
        ([(ACTIVE, dict(wait=4)), (PRECHARGE, dict(wait=1)), (ACTIVE, {})], "tRP"),
        ([(ACTIVE, {}), (ACTIVE, dict(ba=1))], "tRRD"),
        ([(ACTIVE, dict(wait=4)), (ACTIVE, {})], "open bank"),
        ([(READ, {})], "closed bank"),
        ([(ACTIVE, dict(wait=2)), (WRITE, dict(wait=3, oe=1)), (PRECHARGE, {})], "tWR"),
        ([(ACTIVE, dict(wait=2)), (WRITE, dict(wait=2, oe=1)), (PRECHARGE, {})], "cut short"),
        ([(ACTIVE, dict(wait=2)), (READ, dict(wait=2)), (READ, {})], "cut short"),
        ([(ACTIVE, dict(wait=2)), (READ, dict(wait=4)), (WRITE, dict(oe=1))], "driven by both"),
        (
            [(ACTIVE, dict(wait=2)), (READ, dict(wait=5)), (WRITE, dict(oe=1))],
            "without a cycle between",
        ),
        ([(ACTIVE, dict(wait=2)), (WRITE, {})], "without data"),
        ([(ACTIVE, dict(wait=2)), (READ, dict(a=1024))], "automatic precharge"),
        ([(ACTIVE, dict(wait=2)), (READ, dict(a=2))], "multiple of four"),
        ([(REFRESH, dict(wait=5)), (ACTIVE, {})], "tRFC"),
        ([(ACTIVE, dict(wait=8)), (REFRESH, {})], "bank open"),
        ([(MODE, dict(a=0x22)), (ACTIVE, {})], "tMRD"),
        ([(MODE, dict(a=0x23))], "mode"),
        ([(MODE, dict(a=0x12))], "CAS latency"),
        ([(NOP, dict(wait=20_000))], "REFRESH is late"),
        ([(NOP, dict(cke=0))], "CKE"),
    ],
)
def test_model_reports(steps, violation):
    bus = Bus().begin()
    found = [bus(code, **kw) for code, kw in steps]
    assert found[:-1] == [None] * (len(steps) - 1) and violation in found[-1]


@pytest.mark.parametrize(
    "steps, violation",
    [
        ([(NOP, dict(wait=50)), (PRECHARGE, {})], "before the part is ready"),
        ([(NOP, dict(wait=110)), (REFRESH, {})], "no PRECHARGE"),
        (
            [(NOP, dict(wait=110)), (PRECHARGE, dict(a=1024, wait=3)), (MODE, dict(a=0x22))],
            "fewer than two",
        ),
        (
            [(NOP, dict(wait=110)), (PRECHARGE, dict(a=1024, wait=3)), (ACTIVE, {})],
            "before the mode",
        ),
    ],
)
def test_model_reports_at_power_up(steps, violation):
    bus = Bus()
    found = [bus(code, **kw) for code, kw in steps]
    assert found[:-1] == [None] * (len(steps) - 1) and violation in found[-1]
