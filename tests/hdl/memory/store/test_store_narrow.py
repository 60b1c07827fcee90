"""8-bit STOREs, between others, against a direct reading of StoreBody's docstring."""

import random

import pytest

from hdl.isa import Error, Pool
from tests.hdl.memory.store import test_store
from tests.hdl.memory.store.test_store import BUILD, attempt, out, rate, shape, store, tile
from tests.hdl.memory.store.test_store_rlc import check, coded


@pytest.fixture(
    autouse=True,
    params=[{}, dict(rlc=False, address=17, lanes=1), dict(rlc=False)],
    ids=["all", "small", "never coded"],
)
def built(request):
    BUILD.clear()
    BUILD.update(request.param)


@pytest.fixture(autouse=True)
def near(monkeypatch):
    """A global buffer of which two thirds fit a byte, or nearly so."""
    rng = random.Random(21)
    values = [
        rng.randrange(-32768, 32768) if n % 3 == 0 else round(rng.gauss(0, 150))
        for n in range(test_store.ENTRIES)
    ]
    monkeypatch.setattr(test_store, "TILE", values)


def bytes_out(h, w, c, q=4, gap=0, **more):
    """Output fields of 8-bit strips, `gap` bytes between them."""
    pitch, blocks = w * q + gap, -(-c // q)
    return (
        dict(
            rows=h,
            columns=w,
            blocks=blocks,
            out_block=q,
            out_block_stride=pitch,
            out_row_stride=pitch * blocks + gap,
            out_image_stride=(pitch * blocks + gap) * h + 2 * gap,
            narrow=1,
        )
        | more
    )


MAX, AVERAGE = dict(pool=Pool.MAX), dict(pool=Pool.AVERAGE)
WINDOWS = dict(kernel_y=2, kernel_x=2, stride_y=2, stride_x=2, height=6, width=8)

CASES = {
    "every byte": [
        store(out_block=1, chunk=1, block=1, base=5 + n, narrow=1, dram=0x1000 + 9 * n)
        for n in range(8)
    ],
    "every place and size": [
        store(**bytes_out(1, 1, q, q), block=q, chunk=1, base=5 + n, dram=0x1000 + 65 * n, zero=-7)
        for n, q in enumerate([1, 2, 3, 5, 7, 8, 9, 11, 15, 16, 17])
    ],
    "chunks": [
        store(**tile(2, 5, 4 * q, q), **bytes_out(2, 5, 4 * q, q), chunk=q, dram=0x1001 + 0x107 * q)
        for q in (1, 2, 3, 4)
    ],
    "gaps": [
        store(**tile(3, 5, 8), **bytes_out(3, 5, 8, gap=3, zero=-128), dram=0x1005),
        store(**tile(3, 5, 8), **bytes_out(3, 5, 8, gap=4, unsigned=1, zero=255), dram=0x1807),
    ],
    "images": [
        store(**tile(3, 5, 8), **bytes_out(3, 5, 8, gap=1), images=3, image_stride=121, relu=1)
    ],
    "negative strides": [
        store(**tile(3, 3, 4), **bytes_out(3, 3, 4) | dict(out_row_stride=2**32 - 13), dram=0x1107)
    ],
    "4 to 3": [store(**tile(2, 5, 8), **bytes_out(2, 5, 8, 3, zero=40), chunk=1, dram=0x1003)],
    "8 to 16": [store(**tile(2, 5, 16, 8), **bytes_out(2, 5, 16, 16, zero=-3), dram=0x1006)],
    "max": [
        shape(**WINDOWS),
        store(**tile(6, 8, 8), **bytes_out(3, 4, 8, gap=5, zero=12), **MAX, dram=0x1003),
    ],
    "averages": [
        shape(**WINDOWS, count_top=0, count_left=0, count_bottom=6, count_right=8),
        store(**tile(6, 8, 8), **bytes_out(3, 4, 8, unsigned=1, zero=128), **AVERAGE, dram=0x1001),
    ],
    "many bursts": [
        store(**tile(1, 320, 4), **bytes_out(1, 320, 4, zero=99, unsigned=1), dram=0x1F05)
    ],
    "between others": [
        store(**tile(2, 5, 8), **out(2, 5, 8), dram=0x1002),
        store(**tile(2, 5, 8), **bytes_out(2, 5, 8, zero=9), dram=0x1203),
        store(**tile(2, 5, 8), **out(2, 5, 8), base=40, dram=0x1406),
        store(**tile(2, 5, 8), **bytes_out(2, 5, 8, unsigned=1), base=11, dram=0x1607),
        store(**tile(2, 5, 8), **bytes_out(2, 5, 8, zero=-100), base=12, dram=0x1700),
    ],
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("stall, latency", [(0.0, 4), (0.35, 4), (0.0, 40)])
@pytest.mark.parametrize("name", CASES)
def test_store_narrow(name, stall, latency):
    check(CASES[name], stall=stall, latency=latency)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("seed", range(6))
def test_random(seed):
    """Narrow, wide and coded commands."""
    rng = random.Random(seed)
    commands, at = [], 0x1000
    for _ in range(8):
        q, qo = rng.choice([(4, 4), (4, 4), (3, 4), (4, 3), (8, 4), (6, 3), (2, 2), (5, 5), (1, 1)])
        rows, columns, blocks = rng.randrange(1, 5), rng.randrange(1, 12), rng.randrange(1, 4)
        kind = rng.choice(
            ["narrow", "narrow", "wide", "coded" if BUILD.get("rlc", True) else "wide"]
        )
        match kind:
            case "narrow":
                to = bytes_out(
                    rows,
                    columns,
                    blocks * qo,
                    qo,
                    gap=rng.randrange(5),
                    dram=at + rng.randrange(8),
                    unsigned=rng.randrange(2),
                    zero=rng.randrange(-256, 256),
                )
            case "wide":
                to = out(rows, columns, blocks * qo, qo, dram=at + 2 * rng.randrange(4))
                to |= dict(zero=rng.randrange(-256, 256), unsigned=rng.randrange(2))
            case "coded":
                to = coded(blocks, columns, qo, rows, dram=at, table=0xC000 + at // 4)
        if kind != "coded":
            to |= dict(images=rng.randrange(1, 3))
        kernel, stride = rng.randrange(1, 4), rng.randrange(1, 3)
        windows = dict(kernel_y=kernel, kernel_x=kernel, stride_y=stride, stride_x=stride)
        first = dict(y_first=rng.randrange(-2, 2), x_first=rng.randrange(-2, 2))
        commands.append(shape(**windows, **first, height=rows, width=columns))
        commands.append(
            store(
                **tile(rows, columns, blocks * qo, q),
                **to,
                base=rng.randrange(test_store.ENTRIES),
                chunk=max(c for c in range(1, 5) if q % c == 0 and qo % c == 0),
                image_stride=500,
                relu=rng.randrange(2),
                pool=rng.randrange(3),
            )
        )
        at += 0x1000
    check(commands, stall=rng.choice([0, 0.3]))


def test_throughput():
    """An item a cycle, of up to four entries."""
    _, glb = check([store(**tile(6, 14, 32), **bytes_out(6, 14, 32), dram=0x1001)], latency=20)
    assert len(glb.times) == 6 * 14 * (8 if BUILD.get("lanes", 4) == 4 else 32)
    assert rate(glb.times) > 0.95


def test_strobed_bytes():
    """The strobes are of the bytes of strips and no others; beats of the words they lie in."""
    axi, _ = check([store(**tile(1, 5, 3, 3), **bytes_out(1, 5, 3, 3), chunk=1, dram=0x1003)])
    assert (axi.strobed, axi.beats) == (15, 3)


@pytest.mark.parametrize(
    "dram,size,fits",
    [
        (0x1000, 7, True),
        (0xFFF, 7, False),
        (0x2000 - 7, 7, True),
        (0x2000 - 7, 8, False),
        (0x1FFF, 1, True),
        (0x2000, 1, False),
    ],
)
def test_window(dram, size, fits):
    """Bytes count, not entries of two."""
    good = store(**tile(2, 5, 8), **bytes_out(2, 5, 8), dram=0x1101)
    mine = store(**bytes_out(1, 1, size, size), block=size, chunk=1, dram=dram)
    if fits:
        check([good, mine, good], window=(0x1000, 0x2000))
    else:
        attempt([good, mine, good], Error.WRITE_WINDOW, dones=1)


def test_too_long():
    attempt([store(), store(columns=65535, out_block=64, narrow=1)], Error.ILLEGAL_COMMAND, dones=1)
