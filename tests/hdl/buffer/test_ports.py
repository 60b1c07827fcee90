"""What the global buffer's clients read and write through, and who of them goes first."""

import random
from collections import deque

import pytest

from hdl.buffer.grants import BankGrants, SingleGrant
from hdl.buffer.prompt_read_port import PromptReadPort
from hdl.buffer.read_port import RESPONSE_DEPTH, ReadPort
from hdl.buffer.write_port import WritePort
from sim.benches.tb_pe import CONFIG
from tests.hdl.streams import holds, receive, run, run_combinational, send, shared

PAIRS = [1, 2, 3]


def banks(word, depth):
    """Where words `word` and `word` + 1 are: (pair, row) of the even one and of the odd one."""
    even, odd = (word, word + 1) if word % 2 == 0 else (word + 1, word)
    return [(one // 2 // depth, one // 2 % depth) for one in (even, odd)]


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("pairs", PAIRS)
def test_read_port(pairs, stall):
    """Places of the requests, no more than there is room for; without stalls one a cycle, the first
    a cycle after its request."""
    config = CONFIG.replace(glb_pairs=pairs)
    dut, rng = shared(ReadPort, config), random.Random(f"{pairs} {stall}")
    asked = [rng.randrange(2 * 64 * pairs - 1) for _ in range(60)]
    places, got, times = [], [], []
    latency = 4

    async def memory(ctx):
        queue, now = deque([None] * latency), 0
        while True:
            ready = rng.random() >= stall
            words = queue.popleft()
            ctx.set(dut.place.ready, ready)
            ctx.set(dut.came, words is not None)
            ctx.set(dut.words, rng.getrandbits(128) if words is None else words)
            valid, place = (await ctx.tick().sample(dut.place.valid, dut.place.payload))[2:]
            taken = valid and ready
            if taken:
                times.append(now)
                places.append(place)
                assert len(places) - len(got) <= RESPONSE_DEPTH + 1  # one is in a register
            queue.append(len(places) << 64 | 7 if taken else None)
            now += 1

    run(
        dut,
        lambda ctx: send(ctx, dut.port.request, asked, stall=stall, rng=rng),
        lambda ctx: receive(ctx, dut.port.response, len(asked), got, stall=stall),
        background=[memory, holds(dut.port.response), holds(dut.place)],
    )
    assert got == [n << 64 | 7 for n in range(1, len(asked) + 1)]
    assert len(places) == len(asked)
    for place, word in zip(places, asked):
        where = [(place.even_pair, place.even_row), (place.odd_pair, place.odd_row)]
        assert (place.swap, where) == (word % 2, banks(word, 64))
    if not stall:
        assert times == list(range(1, len(asked) + 1))


def test_read_port_full():
    """A client that takes nothing has RESPONSE_DEPTH reads or one more, and loses none."""
    dut, taken = shared(ReadPort, CONFIG), []

    async def main(ctx):
        ctx.set(dut.port.request.valid, 1)
        ctx.set(dut.place.ready, 1)
        came = 0
        for _ in range(40):
            ctx.set(dut.came, came)
            came = (await ctx.tick().sample(dut.place.valid))[2]
            taken.append(came)
        assert RESPONSE_DEPTH <= sum(taken) <= RESPONSE_DEPTH + 1
        assert not any(taken[20:])

    run(dut, main)


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("pairs", PAIRS)
def test_prompt_read_port(pairs, stall):
    """Places of the requests, in order, and what comes in the same cycle; a read a cycle."""
    config = CONFIG.replace(glb_pairs=pairs)
    dut, rng = shared(PromptReadPort, config), random.Random(f"{pairs} {stall}")
    asked = [rng.randrange(2 * 64 * pairs - 1) for _ in range(60)]
    places, times = [], []

    async def memory(ctx):
        now = 0
        while len(places) < len(asked):
            ready, came, words = rng.random() >= stall, rng.random() < 0.5, rng.getrandbits(128)
            ctx.set(dut.place.ready, ready)
            ctx.set(dut.came, came)
            ctx.set(dut.words, words)
            response = dut.port.response
            valid, place, shows, shown = (
                await ctx.tick().sample(
                    dut.place.valid, dut.place.payload, response.valid, response.payload
                )
            )[2:]
            assert shows == came and (not came or shown == words)
            if valid and ready:
                times.append(now)
                places.append(place)
            now += 1

    run(
        dut,
        lambda ctx: send(ctx, dut.port.request, asked, stall=stall, rng=random.Random(stall)),
        memory,
        background=[holds(dut.place)],
    )
    for place, word in zip(places, asked, strict=True):
        where = [(place.even_pair, place.even_row), (place.odd_pair, place.odd_row)]
        assert (place.swap, where) == (word % 2, banks(word, 64))
    if not stall:
        assert times == list(range(1, len(asked) + 1))


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("pairs", PAIRS)
def test_write_port(pairs, stall):
    """Parts for the banks at once, and those granted a cycle later; a write a cycle."""
    config = CONFIG.replace(glb_pairs=pairs)
    dut, rng = shared(WritePort, config), random.Random(f"{pairs} {stall}")

    async def main(ctx):
        before = None
        for _ in range(120):
            word, mask = rng.randrange(2 * 64 * pairs - 1), rng.getrandbits(8)
            words = [rng.getrandbits(64), rng.getrandbits(64)]
            halves = [(mask & 15, words[0]), (mask >> 4, words[1])]
            valid = rng.random() >= stall
            grant = valid and rng.random() >= stall
            payload = dict(word=word, mask=mask, data=words[0] | words[1] << 64)
            ctx.set(dut.port.payload, payload)
            ctx.set(dut.port.valid, valid)
            ctx.set(dut.grant, grant)
            wanted = [
                (*half, *bank)
                for half, bank in zip(
                    halves[::-1] if word % 2 else halves, banks(word, 64), strict=True
                )
            ]
            asks, ready, *parts = (
                await ctx.tick().sample(
                    dut.asks, dut.port.ready, dut.even, dut.odd, dut.even_now, dut.odd_now
                )
            )[2:]
            assert (asks, ready) == (valid, grant)
            fields = [(part.mask, part.data, part.pair, part.row) for part in parts]
            assert fields[:2] == wanted
            if before is None:
                assert [one[0] for one in fields[2:]] == [0, 0]
            else:
                assert fields[2:] == before
            before = wanted if grant else None

    run(dut, main)


@pytest.mark.parametrize("pairs", PAIRS)
@pytest.mark.parametrize("grants", [BankGrants, SingleGrant])
@pytest.mark.parametrize("clients", [1, 4])
def test_grants(pairs, grants, clients):
    """The first that asks; of the others, by banks, those that none before them stands in the way
    of."""
    dut, rng = grants(CONFIG.replace(glb_pairs=pairs), clients), random.Random(pairs)

    async def main(ctx):
        for _ in range(200):
            asks = [rng.random() < 0.6 for _ in range(clients)]
            needs = [
                {name: rng.randrange(2) for name in ("even", "odd")}
                | {name: rng.randrange(pairs) for name in ("even_pair", "odd_pair")}
                for _ in range(clients)
            ]
            ctx.set(dut.requests, sum(one << n for n, one in enumerate(asks)))
            ctx.set(dut.needs, needs)
            seen, wanted = set(), 0
            for n, need in enumerate(needs):
                mine = {(side, need[f"{side}_pair"]) for side in ("even", "odd") if need[side]}
                if grants is SingleGrant:
                    mine = {"all"}
                if asks[n]:
                    wanted |= (not mine & seen) << n
                    seen |= mine
            await ctx.delay(1e-9)
            assert ctx.get(dut.grants) == wanted

    run_combinational(dut, main)
