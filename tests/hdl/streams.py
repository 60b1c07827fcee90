"""Stream drivers and checkers, AXI memories and a global buffer, for Amaranth's simulator.

`stall` is the probability of not being ready, or not valid, in a cycle.
"""

import random
from collections import deque
from functools import lru_cache
from types import SimpleNamespace

from amaranth.hdl import Value
from amaranth.sim import Simulator

from hdl.isa import WORD_ADDR

LATENCY = 4  # of the global buffer's reads


async def send(ctx, port, items, *, stall=0.0, rng=None):
    """Offers every item in order."""
    rng = rng or random.Random(1)
    for item in items:
        while rng.random() < stall:
            await ctx.tick()
        ctx.set(port.payload, item)
        ctx.set(port.valid, 1)
        # No `until`: a bench that is dropped while it waits could not close its generator.
        while not (await ctx.tick().sample(port.ready))[2]:
            pass
        ctx.set(port.valid, 0)


def send_after(started, port, items):
    """A bench that offers the items once the list `started` holds something."""

    async def bench(ctx):
        while not started:
            await ctx.tick()
        await send(ctx, port, items)

    return bench


async def receive(ctx, port, count, out, *, stall=0.0, rng=None, times=None):
    """Takes `count` payloads into `out` (for ever when count is None)."""
    rng = rng or random.Random(2)
    now = 0
    while count is None or len(out) < count:
        ready = rng.random() >= stall
        ctx.set(port.ready, ready)
        _, _, valid, payload = await ctx.tick().sample(port.valid, port.payload)
        now += 1
        if valid and ready:
            out.append(payload)
            if times is not None:
                times.append(now)
    ctx.set(port.ready, 0)


def holds(port, name="stream"):
    """A background testbench: valid and payload stay until the transfer."""

    async def check(ctx):
        before = None
        sample = ctx.tick().sample(port.valid, port.ready, Value.cast(port.payload))
        async for _, _, valid, ready, payload in sample:
            if before is not None:
                assert valid, f"{name}: valid withdrawn"
                assert payload == before, f"{name}: payload changed while waiting"
            before = payload if valid and not ready else None

    return check


def run_combinational(dut, bench):
    """Simulates what has no clock until `bench` ends."""
    sim = Simulator(dut)
    sim.add_testbench(bench)
    sim.run()


@lru_cache(maxsize=16)
def shared(component, *args, **kwargs):
    """`component(*args, **kwargs)`, the same one for every case that asks for it, so that `run`
    elaborates it once."""
    return component(*args, **kwargs)


class _Simulation:
    """A design, compiled for Amaranth's simulator once: each `run` starts from reset, with
    benches of its own."""

    def __init__(self, dut):
        self.sim, self.slots, self.benches = Simulator(dut), 0, []
        self.sim.add_clock(1e-6)

    def _slot(self, at):
        async def bench(ctx):
            if at < len(self.benches):
                await self.benches[at](ctx)

        self.sim.add_testbench(bench, background=True)

    def run(self, benches, background):
        def waited_for(bench):
            async def wait(ctx):
                with ctx.critical():
                    await bench(ctx)

            return wait

        self.benches = [*map(waited_for, benches), *background]
        self.sim.reset()
        while self.slots < len(self.benches):
            self._slot(self.slots)
            self.slots += 1
        self.sim.run()


def run(dut, *benches, background=(), cycles=20_000):
    """Simulates from reset until all `benches` end; fails after `cycles`. Returns the cycles
    taken."""
    now = 0

    async def deadline(ctx):
        nonlocal now
        while True:
            await ctx.tick()
            now += 1
            assert now < cycles, f"no end within {cycles} cycles"

    if not hasattr(dut, "simulation"):
        dut.simulation = _Simulation(dut)
    dut.simulation.run(benches, (deadline, *background))
    return now


async def idle(ctx, cycles):
    for _ in range(cycles):
        await ctx.tick()


def flat_master(dut):
    """The channels of flat `m_axi_*` ports in the form `ReadMemory` and `WriteMemory` take."""

    def channel(prefix, **names):
        def get(n):
            return getattr(dut, "m_axi_" + prefix + n)

        return SimpleNamespace(
            valid=get("valid"),
            ready=get("ready"),
            payload=SimpleNamespace(**{k: get(n) for k, n in names.items()}),
        )

    read = SimpleNamespace(
        address=channel("ar", address="addr", length="len", id="id"),
        data=channel("r", data="data", resp="resp", last="last", id="id"),
    )
    write = SimpleNamespace(
        address=channel("aw", address="addr", length="len", id="id"),
        data=channel("w", data="data", strobe="strb", last="last"),
        response=channel("b", resp="resp", id="id"),
    )
    return read, write


class ReadMemory:
    """Answers AR from `memory` (a bytearray at address 0) after `latency` cycles.

    `bad` holds addresses whose beats answer SLVERR. `bursts` logs (address, beats).
    """

    def __init__(self, port, memory, *, latency=4, stall=0.0, bad=(), seed=3):
        self.port, self.memory, self.latency, self.stall = port, memory, latency, stall
        self.bad, self.rng = set(bad), random.Random(seed)
        self.bursts = []
        self.beats = 0
        self.times = []

    async def __call__(self, ctx):
        ar, r = self.port.address, self.port.data
        has_id = not hasattr(r, "signature") and hasattr(ar.payload, "id")
        queue, valid, now = deque(), False, 0
        while True:
            ready = self.rng.random() >= self.stall
            ctx.set(ar.ready, ready)
            if not valid and queue and queue[0][0] <= now and self.rng.random() >= self.stall:
                _, address, last, ident = queue.popleft()
                valid = True
                ctx.set(r.valid, 1)
                ctx.set(
                    r.payload.data, int.from_bytes(self.memory[address : address + 8], "little")
                )
                ctx.set(r.payload.resp, 2 if address in self.bad else 0)
                ctx.set(r.payload.last, last)
                if has_id:
                    ctx.set(r.payload.id, ident)
            elif not valid:
                ctx.set(r.valid, 0)
            wanted = [ar.valid, ar.payload.address, ar.payload.length, r.ready]
            if has_id:
                wanted.append(ar.payload.id)
            _, _, arvalid, address, length, rready, *ident = await ctx.tick().sample(*wanted)
            now += 1
            if arvalid and ready:
                assert address % 8 == 0
                assert address >> 12 == address + 8 * length + 7 >> 12, "crosses a page"
                self.bursts.append((address, length + 1))
                for i in range(length + 1):
                    queue.append(
                        (now + self.latency, address + 8 * i, i == length, ident[0] if ident else 0)
                    )
            if valid and rready:
                valid = False
                self.beats += 1
                self.times.append(now)


class WriteMemory:
    """Takes AW and W into `memory`, answers B after `latency` cycles.

    `bad` holds addresses of bursts answered with SLVERR. W data is taken only behind its AW.
    """

    def __init__(self, port, memory, *, latency=4, stall=0.0, bad=(), seed=4):
        self.port, self.memory, self.latency, self.stall = port, memory, latency, stall
        self.bad, self.rng = set(bad), random.Random(seed)
        self.bursts = []
        self.strobed = 0
        self.beats = 0
        self.times = []

    async def __call__(self, ctx):
        aw, w, b = self.port.address, self.port.data, self.port.response
        resp = getattr(b.payload, "resp", b.payload)
        pending, answers, valid, now = deque(), deque(), False, 0
        while True:
            ready = self.rng.random() >= self.stall
            wready = bool(pending) and self.rng.random() >= self.stall
            ctx.set(aw.ready, ready)
            ctx.set(w.ready, wready)
            if not valid and answers and answers[0][0] <= now and self.rng.random() >= self.stall:
                valid = True
                ctx.set(b.valid, 1)
                ctx.set(resp, answers.popleft()[1])
            elif not valid:
                ctx.set(b.valid, 0)
            (
                _,
                _,
                awvalid,
                address,
                length,
                wvalid,
                wdata,
                strobe,
                last,
                bready,
            ) = await ctx.tick().sample(
                aw.valid,
                aw.payload.address,
                aw.payload.length,
                w.valid,
                w.payload.data,
                w.payload.strobe,
                w.payload.last,
                b.ready,
            )
            now += 1
            if valid and bready:
                valid = False
            if wvalid and wready:
                at, left, start = pending[0]
                raw = wdata.to_bytes(8, "little")
                for i in range(8):
                    if strobe >> i & 1:
                        self.memory[at + i] = raw[i]
                        self.strobed += 1
                assert last == (left == 1), "wlast"
                self.beats += 1
                self.times.append(now)
                if left == 1:
                    pending.popleft()
                    answers.append((now + self.latency, 2 if start in self.bad else 0))
                else:
                    pending[0] = (at + 8, left - 1, start)
            if awvalid and ready:
                assert address % 8 == 0
                assert address >> 12 == address + 8 * length + 7 >> 12, "crosses a page"
                self.bursts.append((address, length + 1))
                pending.append((address, length + 1, address))


class Buffer:
    """Memory of `size` 64-bit words behind a read and a write port; what is not set reads as
    rubbish.

    `reads` and `writes` log what was taken; `answered` counts responses taken.
    """

    def __init__(self, rng, stall, size=2**WORD_ADDR):
        self.words, self.rng, self.stall, self.size = {}, rng, stall, size
        self.reads, self.writes, self.write_times, self.answered = [], [], [], 0

    def word(self, at):
        return self.words.setdefault(at % self.size, self.rng.getrandbits(64))

    def entry(self, at):
        return self.word(at >> 2) >> 16 * (at & 3) & 0xFFFF

    def reader(self, port):
        async def bench(ctx):
            queue, now, offering = deque(), 0, False
            while True:
                ready = len(queue) < 8 and self.rng.random() >= self.stall
                offering = (
                    bool(queue)
                    and queue[0][0] <= now
                    and (offering or self.rng.random() >= self.stall)
                )
                ctx.set(port.request.ready, ready)
                ctx.set(port.response.valid, offering)
                ctx.set(
                    port.response.payload, queue[0][1] if offering else self.rng.getrandbits(128)
                )
                _, _, valid, word, taken = await ctx.tick().sample(
                    port.request.valid, port.request.payload, port.response.ready
                )
                if offering and taken:
                    queue.popleft()
                    self.answered += 1
                    offering = False
                if valid and ready:
                    self.reads.append(word)
                    queue.append((now + LATENCY, self.word(word) | self.word(word + 1) << 64))
                now += 1

        return bench

    def writer(self, port):
        async def bench(ctx):
            now = 0
            while True:
                ready = self.rng.random() >= self.stall
                ctx.set(port.ready, ready)
                _, _, valid, item = await ctx.tick().sample(port.valid, port.payload)
                if valid and ready:
                    self.writes.append((item.word, item.mask, item.data))
                    self.write_times.append(now)
                    for lane in range(8):
                        if item.mask >> lane & 1:
                            at, shift = item.word + lane // 4, 16 * (lane % 4)
                            self.words[at] = self.word(at) & ~(0xFFFF << shift) | (
                                (item.data >> 16 * lane & 0xFFFF) << shift
                            )
                now += 1

        return bench
