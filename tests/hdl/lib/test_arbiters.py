"""Who goes first: by priority, by turns."""

import random

import pytest

from hdl.lib.priority_arbiter import PriorityArbiter
from hdl.lib.round_robin_arbiter import RoundRobinArbiter
from tests.hdl.streams import run, run_combinational


@pytest.mark.parametrize("clients", [1, 2, 5])
def test_priority(clients):
    dut = PriorityArbiter(clients)

    async def bench(ctx):
        for requests in range(1 << clients):
            ctx.set(dut.requests, requests)
            lowest = requests & -requests
            below = (lowest - 1) & ((1 << clients) - 1) if requests else (1 << clients) - 1
            assert ctx.get(dut.grants) == lowest
            assert ctx.get(dut.free) == below | lowest

    run_combinational(dut, bench)


@pytest.mark.parametrize("clients", [2, 3, 5])
def test_turns(clients):
    """Against a list from the next in turn to the last that went."""
    dut, rng, order = RoundRobinArbiter(clients), random.Random(clients), []
    order = [*range(1, clients), 0]
    went = [0] * clients

    async def bench(ctx):
        for cycle in range(600):
            everyone = cycle >= 300
            requests = (1 << clients) - 1 if everyone else rng.randrange(1 << clients)
            take = everyone or rng.random() < 0.6
            ctx.set(dut.requests, requests)
            ctx.set(dut.take, take)
            first = next((client for client in order if requests >> client & 1), None)
            assert ctx.get(dut.grants) == (0 if first is None else 1 << first)
            for place, client in enumerate(order):
                before = any(requests >> other & 1 for other in order[:place])
                assert ctx.get(dut.free) >> client & 1 == (not before)
            if take and first is not None:
                at = order.index(first)
                order[:] = order[at + 1 :] + order[: at + 1]
                went[first] += everyone
            await ctx.tick()

    run(dut, bench)
    assert went == [300 // clients] * clients


@pytest.mark.parametrize("component, clients", [(PriorityArbiter, 0), (RoundRobinArbiter, 1)])
def test_refused(component, clients):
    with pytest.raises(ValueError, match=f"of {clients} clients"):
        component(clients)
