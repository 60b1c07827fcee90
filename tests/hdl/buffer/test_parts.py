"""Between the ports of the global buffer and its banks."""

import random
from collections import deque

import pytest
from amaranth.hdl import Cat

from hdl.buffer.read_issue import ReadIssue
from hdl.buffer.read_select import ReadCrossbar, SinglePairSelect
from hdl.lib.block_ram import BlockRam
from sim.benches.tb_pe import CONFIG
from tests.hdl.streams import run, shared

DEPTH = 64
PAIRS = pytest.mark.parametrize("pairs", [1, 2, 3])
STALLS = pytest.mark.parametrize("stall", [0.0, 0.4])
CLIENTS = 4


def config_of(pairs):
    return CONFIG.replace(glb_pairs=pairs, glb_depth=DEPTH)


def random_place(rng, pairs):
    place = {name: rng.randrange(pairs) for name in ("even_pair", "odd_pair")}
    place |= {name: rng.randrange(DEPTH) for name in ("even_row", "odd_row")}
    return place | {"swap": rng.randrange(2)}


@PAIRS
@STALLS
def test_read_issue(pairs, stall):
    """Banks are addressed a cycle after their grants; for whom, and where, is known again when the
    banks show the words. All clients at once, if their banks differ."""
    dut, rng = shared(ReadIssue, config_of(pairs), CLIENTS), random.Random(pairs)
    banks = [f"{half}_{pair}" for pair in range(pairs) for half in ("even", "odd")]
    late = deque([(0, None)] * (1 + BlockRam.LATENCY))

    async def main(ctx):
        before, most = (0, []), 0
        for _ in range(200):
            places, grants, used = [], 0, set()
            for client in range(CLIENTS):
                place = random_place(rng, pairs)
                mine = {("even", place["even_pair"]), ("odd", place["odd_pair"])}
                if not mine & used and rng.random() >= stall:
                    used |= mine
                    grants |= 1 << client
                places.append(place)
            ctx.set(dut.grants, grants)
            ctx.set(dut.places, places)
            asked, shown, shown_places, *addresses = (
                await ctx.tick().sample(
                    dut.asked,
                    dut.shown,
                    dut.shown_places,
                    *(Cat(getattr(dut, b).en, getattr(dut, b).row) for b in banks),
                )
            )[2:]

            wanted = {}
            for client, place in enumerate(before[1]):
                for half in ("even", "odd") if before[0] >> client & 1 else ():
                    wanted[f"{half}_{place[f'{half}_pair']}"] = place[f"{half}_row"]
            assert asked == before[0]
            assert {b: a >> 1 for b, a in zip(banks, addresses, strict=True) if a & 1} == wanted

            late.append((grants, places))
            before, (due, due_places) = (grants, places), late.popleft()
            assert shown == due
            for client in range(CLIENTS):
                if due >> client & 1:
                    assert {n: shown_places[client][n] for n in places[0]} == due_places[client]
            most = max(most, grants.bit_count())
        assert most == min(pairs, CLIENTS)

    run(dut, main)


@pytest.mark.parametrize(
    "select, pairs",
    [(ReadCrossbar, 1), (ReadCrossbar, 2), (ReadCrossbar, 3), (SinglePairSelect, 1)],
)
def test_read_select(select, pairs):
    """Both words of each client a cycle later, the one at the lower address first."""
    dut, rng = shared(select, config_of(pairs), CLIENTS), random.Random(pairs)

    async def main(ctx):
        before = 0, []
        for _ in range(200):
            shown = rng.getrandbits(CLIENTS)
            if pairs == 1:
                shown = 1 << rng.randrange(CLIENTS) if shown else 0
            places = [random_place(rng, pairs) for _ in range(CLIENTS)]
            words = {half: [rng.getrandbits(64) for _ in range(pairs)] for half in ("even", "odd")}
            for half in words:
                ctx.set(getattr(dut, half), words[half])
            ctx.set(dut.shown, shown)
            ctx.set(dut.places, places)
            came, got = (await ctx.tick().sample(dut.came, dut.words))[2:]
            assert came == before[0]
            for client, two in enumerate(before[1]):
                assert not came >> client & 1 or got[client] == two
            both = [(words["even"][p["even_pair"]], words["odd"][p["odd_pair"]]) for p in places]
            both = [two[::-1] if p["swap"] else two for two, p in zip(both, places, strict=True)]
            before = shown, [first | second << 64 for first, second in both]

    run(dut, main)
