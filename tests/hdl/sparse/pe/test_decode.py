"""Words to entries, entries to rows: each part, and all of the decoder."""

import random

import pytest

from hdl.config import PRESETS
from hdl.sparse.pe.decode import EntryDecoder
from hdl.sparse.pe.entry_pick import EntryPick
from hdl.sparse.pe.lanes import LaneChooser
from hdl.sparse.pe.row_sum import RowSum
from tests.hdl.sparse.flow import every_cycle, flow, latencies
from tests.hdl.streams import shared

CONFIG = PRESETS["tiny"].replace(sparse_rows=200, sparse_activations=256)


def words(count, full=False):
    """Words of columns, with a mark here and there."""
    rng, out = random.Random(count), []
    for n in range(count):
        real = 0xFF if full else rng.getrandbits(8) & rng.getrandbits(8)
        mark = not full and rng.random() < 0.1
        real = 0 if mark else real
        out.append(
            {
                "data": rng.getrandbits(64),
                "real": real,
                "many": real.bit_count() > 1,
                "padding": 0 if mark else rng.getrandbits(8) & ~real,
                "first": n % 3 == 0,
                "mark": mark,
                "value": n - 40,
            }
        )
    return out


def choices(word):
    """What LaneChooser makes of a word."""
    lanes = [n for n in range(8) if word["real"] >> n & 1]
    padding, first, out = word["padding"], word["first"], []
    for at, lane in enumerate(lanes or [8]):
        before = (1 << lane) - 1 & 255
        out.append(
            {
                "data": word["data"],
                "chosen": 1 << lane & 255,
                "before": before,
                "padding": padding,
                "some": bool(lanes),
                "more": at + 1 < len(lanes),
                "first": first,
                "mark": word["mark"],
                "value": word["value"],
            }
        )
        padding, first = padding & ~before, False
    return out


def step(choice):
    """What EntryPick makes of a choice."""
    lane = choice["chosen"].bit_length() - 1
    entry = choice["data"] >> 8 * lane & 255 if choice["some"] else 0
    after = 0 if choice["more"] else choice["padding"] & ~choice["before"]
    return {
        "some": choice["some"],
        "first": choice["first"],
        "mark": choice["mark"],
        "index": entry & 15,
        "zeros": entry >> 4,
        "before": (choice["padding"] & choice["before"]).bit_count(),
        "after": after.bit_count(),
        "value": choice["value"],
    }


def rows(steps, count):
    """(MACs, marks before the first row that is not there)."""
    row, macs, marks = 0, [], 0
    for s in steps:
        row = (0 if s["first"] else row) + 16 * s["before"] + s["zeros"]
        here = row
        row += s["some"] + 16 * s["after"]
        if row > count:
            return macs, marks
        marks += s["mark"]
        if s["some"]:
            macs.append({"row": here, "index": s["index"], "value": s["value"]})
    return macs, marks


@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_lanes(stall):
    dut, items = shared(LaneChooser), words(150)
    wanted = [choice for word in items for choice in choices(word)]
    into, out = flow(dut, dut.word, items, [dut.choice], [len(wanted)], stall=stall, waits=False)
    assert out.payloads == wanted
    if not stall:
        assert every_cycle(out) and out.times[0] == into.times[0] + 2


def test_pick():
    dut = shared(EntryPick)
    items = [choice for word in words(150) for choice in choices(word)]
    into, out = flow(dut, dut.choice, items, [dut.step], [len(items)], waits=False)
    assert out.payloads == [step(choice) for choice in items]
    assert every_cycle(out) and set(latencies(into, out)) == {1}


@pytest.mark.parametrize("limit", [60, 200])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_rows(stall, limit):
    """Until a row that is not there; from then on `outside` is an error, which stays."""
    config = CONFIG.replace(sparse_rows=limit)
    dut = shared(RowSum, config)
    items = [step(choice) for word in words(90) for choice in choices(word)]
    for s in items:  # not too far
        s["before"] //= 3
        s["after"] = s["after"] // 2 if limit == 60 else 0
        s["zeros"] //= 4
    wanted, marks = rows(items, limit)
    passed = []

    async def stays(ctx):
        async for _, _, outside, mark in ctx.tick().sample(dut.outside, dut.passed):
            passed.append(mark)
            if outside:
                ctx.set(dut.error, 1)

    into, out = flow(
        dut,
        dut.step,
        items,
        [dut.mac],
        [len(wanted)],
        stall=stall,
        waits=False,
        background=[stays],
    )
    assert out.payloads == wanted and sum(passed) >= marks
    if wanted and not stall:
        assert out.times[0] >= into.times[0] + 2


def test_decoder_an_entry_a_cycle():
    """Eight of each word; latency five cycles."""
    dut, items = shared(EntryDecoder, CONFIG), words(40, full=True)
    for word in items:
        word["first"], word["data"] = True, word["data"] & 0x1F1F1F1F1F1F1F1F
    into, out = flow(dut, dut.word, items, [dut.mac], [8 * len(items)], waits=False)
    steps = [step(choice) for word in items for choice in choices(word)]
    assert out.payloads == rows(steps, 200)[0]
    assert every_cycle(out) and out.times[0] == into.times[0] + 5
