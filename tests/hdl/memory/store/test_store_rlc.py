"""Run-length coded STOREs, between others: the strips of a plain STORE, coded, and their
lengths."""

import random

import numpy as np
import pytest

from golden.rlc import encode, slot_words
from hdl.isa import Error, Opcode
from tests.hdl.memory.store import test_store
from tests.hdl.memory.store.test_store import (
    AVERAGE,
    BUILD,
    MAX,
    attempt,
    out,
    rate,
    reference,
    shape,
    simulate,
    store,
    tile,
)


@pytest.fixture(
    autouse=True,
    params=[{}, dict(lanes=1, address=17)],
    ids=["all", "one lane"],
)
def built(request):
    """All of it also with an entry at a time."""
    BUILD.clear()
    BUILD.update(request.param)


@pytest.fixture(autouse=True)
def sparse(monkeypatch):
    """A global buffer of which two thirds are zeros, with long runs."""
    rng = np.random.default_rng(7)
    values = rng.integers(-32768, 32768, test_store.ENTRIES)
    values[rng.random(len(values)) < 0.5] = 0
    values[(np.arange(len(values)) // 150) % 4 == 0] = 0
    monkeypatch.setattr(test_store, "TILE", values.astype(np.int64))


def coded(blocks, columns, out_block, rows, images=1, dram=0x1000, table=0x8002, gap=0, **more):
    """Output fields: slots of the worst case, and a table with `gap` bytes between rows."""
    slot = 8 * slot_words(columns * out_block)
    return (
        dict(
            rlc=1,
            dram=dram,
            out_block_stride=slot,
            out_row_stride=slot * blocks,
            table=table,
            out_image_stride=slot * blocks * rows + 8,
            table_row=2 * blocks + gap,
            images=images,
            blocks=blocks,
            columns=columns,
            out_block=out_block,
            rows=rows,
        )
        | more
    )


def coded_reference(commands, memory):
    """As `reference`; coded STOREs by way of a plain one."""
    last = []
    for opcode, c in commands:
        if opcode == Opcode.SHAPE:
            last = [(opcode, c)]
        elif not c.get("rlc"):
            reference([*last, (opcode, c)], memory)
        else:
            entries = c["columns"] * c["out_block"]
            strips = bytearray(2 * entries * c["blocks"] * c["rows"] * c["images"])
            dense = dict(
                rlc=0,
                dram=0,
                out_block_stride=2 * entries,
                out_row_stride=2 * entries * c["blocks"],
                out_image_stride=2 * entries * c["blocks"] * c["rows"],
            )
            reference([*last, (opcode, c | dense)], strips)
            words, lengths = encode(np.frombuffer(bytes(strips), np.int16).reshape(-1, entries))
            for i, (row, n) in enumerate(zip(words, lengths.tolist(), strict=True)):
                image, y, block = np.unravel_index(
                    i, (c["images"], c["rows"], c["blocks"])
                ).__iter__()
                at = int(
                    c["dram"]
                    + image * c["out_image_stride"]
                    + y * c["out_row_stride"]
                    + block * c["out_block_stride"]
                )
                memory[at : at + 8 * n] = row[:n].tobytes()
                at = int(
                    c["table"] + image * c["out_image_stride"] + y * c["table_row"] + 2 * block
                )
                memory[at : at + 2] = n.to_bytes(2, "little")


def check(commands, **options):
    return simulate(commands, reference=coded_reference, **options)


CASES = {
    "one entry": [
        store(**coded(1, 1, 1, 1) | dict(chunk=1, block=1, base=5 + i)) for i in range(3)
    ],
    "rows": [store(**tile(5, 9, 8), base=100, **coded(2, 9, 4, 5))],
    "images and gaps": [
        store(
            **tile(3, 5, 12), **coded(3, 5, 4, 3, images=3, gap=2, table=0x8006), image_stride=777
        )
    ],
    "aligned gaps": [
        store(
            **tile(3, 5, 12), **coded(3, 5, 4, 3, images=2, gap=10, table=0x8000), image_stride=777
        )
    ],
    "threes": [store(**tile(4, 7, 9, 3), **coded(3, 7, 3, 4), chunk=3)],
    "ones": [store(**tile(4, 7, 9, 3), **coded(9, 7, 1, 4), chunk=1)],
    "long strips": [store(**tile(2, 120, 16, 8), **coded(2, 120, 8, 2, dram=0x1FE8))],
    "pooled": [
        shape(kernel_y=3, kernel_x=3, stride_y=2, stride_x=2, height=7, width=9),
        store(**tile(7, 9, 8), **coded(2, 4, 4, 3), **MAX, row_first=4, ring=7, relu=1),
    ],
    "averages": [
        shape(
            kernel_y=2,
            kernel_x=2,
            stride_y=2,
            stride_x=2,
            height=6,
            width=8,
            count_top=0,
            count_left=0,
            count_bottom=6,
            count_right=8,
        ),
        store(**tile(6, 8, 8), **coded(2, 4, 4, 3), **AVERAGE),
    ],
    "mixed": [
        store(**tile(3, 5, 12), **coded(3, 5, 4, 3)),
        store(**tile(2, 5, 8), **out(2, 5, 8), dram=0x4002),
        shape(),
        store(**tile(2, 5, 8), base=64, **out(2, 5, 8, 2), dram=0x4802, chunk=2),
        store(**tile(2, 5, 8), base=9, **coded(2, 5, 4, 2, dram=0x5000, table=0x8100)),
        store(**tile(2, 5, 8), base=900, relu=1, **coded(2, 5, 4, 2, dram=0x5800, table=0x8108)),
    ],
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("stall, latency", [(0.35, 4), (0.0, 40)])
@pytest.mark.parametrize("name", CASES)
def test_store_coded(name, stall, latency):
    check(CASES[name], stall=stall, latency=latency)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("seed", range(4))
def test_store_coded_random(seed):
    rng = random.Random(seed)
    commands = []
    for i in range(5):
        q = rng.choice([1, 2, 3, 4, 8])
        blocks, columns, rows = rng.randrange(1, 5), rng.randrange(1, 12), rng.randrange(1, 5)
        where = dict(dram=0x1000 + 0x1800 * i)
        to = (
            coded(
                blocks,
                columns,
                q,
                rows,
                table=0x9000 + 0x400 * i + 2 * rng.randrange(4),
                gap=2 * rng.randrange(3),
                images=rng.randrange(1, 3),
                **where,
            )
            if rng.random() < 0.7
            else out(rows, columns, blocks * q, q) | where
        )
        commands.append(
            store(
                **tile(rows, columns, blocks * q, q),
                **to,
                base=rng.randrange(test_store.ENTRIES),
                chunk=max(c for c in (1, 2, 3, 4) if q % c == 0),
                image_stride=500,
                relu=rng.randrange(2),
            )
        )
    check(commands, stall=rng.choice([0, 0.3]))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("zeros,least", [(0.0, 0.93), (0.5, 0.93), (0.9, 0.93)])
def test_throughput(zeros, least, monkeypatch):
    """A read of the buffer a cycle where there are zeros; where there are none, a beat a cycle."""
    values = np.random.default_rng(7).integers(1, 32768, test_store.ENTRIES)
    values[np.random.default_rng(8).random(len(values)) < zeros] = 0
    monkeypatch.setattr(test_store, "TILE", values.astype(np.int64))
    axi, glb = check([store(**tile(4, 52, 16), **coded(4, 52, 4, 4))], latency=40)
    assert max(rate(glb.times), rate(axi.times)) > least, (rate(glb.times), rate(axi.times))
    # Lengths of a row share a word: a beat for four of them.
    assert axi.beats == (axi.strobed - 2 * 16) // 8 + 5


@pytest.mark.parametrize(
    "fields,dones",
    [
        (dict(dram=0xFF8), 2),
        (dict(dram=0x2000 - 16), 2),
        (dict(table=0x2000), 2),
        (dict(table=0xFFE), 2),
        (dict(dram=0x8000), 2),
    ],
)
def test_window(fields, dones):
    good = store(**tile(2, 5, 8), **coded(2, 5, 4, 2, table=0x1F00))
    attempt(
        [
            good,
            shape(),
            store(**tile(2, 5, 8), base=200, **coded(2, 5, 4, 2, **(dict(table=0x1F80) | fields))),
            good,
        ],
        Error.WRITE_WINDOW,
        dones=dones,
    )


def test_write_response_error():
    good = store(**tile(2, 5, 8), **coded(2, 5, 4, 2, table=0x1F00))
    bad = store(**tile(2, 5, 8), base=200, **coded(2, 5, 4, 2, dram=0x1400, table=0x1F40))
    attempt([good, bad, good], Error.WRITE_RESPONSE, bad=[0x1400], dones=1)


def test_too_long():
    good = store(**tile(2, 5, 8), **coded(2, 5, 4, 2, table=0x1F00))
    attempt([good, store(**coded(1, 1 << 13, 16, 1))], Error.ILLEGAL_COMMAND, dones=1)
