"""The walk of LOADs, against its loops in Python."""

import itertools
import random

import pytest

from hdl.memory.load.walk import LoadWalk
from tests.hdl.memory.load.test_load import load
from tests.hdl.streams import holds, receive, run, send, shared


@pytest.mark.parametrize("address", [17, 32])
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_strips(stall, address):
    rng = random.Random(3)
    commands = [
        load(
            8 * rng.randrange(1 << 14),
            rng.randrange(1 << 18),
            rng.randrange(1, 99),
            [rng.randrange(1, 4) for _ in range(3)],
            [8 * rng.randrange(-99, 99) for _ in range(3)],
        )
        | dict(rlc=n % 2, slot=n, table=2 * n, table_b=2 * rng.randrange(9))
        | dict(narrow=n % 3 == 0, unsigned=n % 4 == 0, zero=rng.randrange(-256, 256))
        for n in range(20)
    ]
    want = []
    for c in commands:
        counts = [range(c[f"count_{n}"]) for n in "abc"]
        for a, b, k in itertools.product(*counts):
            at = c["dram"] + a * c["stride_a"] + b * c["stride_b"] + k * c["stride_c"]
            length_at = c["table"] + a * c["stride_a"] + b * c["table_b"] + 2 * k
            last = [n + 1 == c[f"count_{name}"] for n, name in zip((a, b, k), "abc")]
            want.append((at % (1 << address), length_at // 2 % 4, c["slot"], last[2], all(last)))
    dut, strips, targets = shared(LoadWalk, address), [], []
    cycles = run(
        dut,
        lambda ctx: send(ctx, dut.command, commands, stall=stall),
        lambda ctx: receive(ctx, dut.strips, len(want), strips, stall=stall),
        lambda ctx: receive(ctx, dut.targets, len(commands), targets, stall=stall),
        background=[holds(dut.strips), holds(dut.targets)],
    )
    assert [(s.address, s.lane, s.slot, s.row_last, s.last) for s in strips] == want
    assert [(t.word, t.length, t.rlc) for t in targets] == [
        (c["word"], c["length"], c["rlc"]) for c in commands
    ]
    assert [(t.kind.narrow, t.kind.unsigned, t.kind.zero) for t in targets] == [
        (c["narrow"], c["unsigned"], c["zero"]) for c in commands
    ]
    if not stall:  # a strip a cycle, and one more for each command
        assert cycles <= len(want) + len(commands) + 3
