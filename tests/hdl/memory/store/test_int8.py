"""STORE's arithmetic on int8 against golden.integer: adds and averages of whole tensors."""

import random

import numpy as np
import pytest

from golden.geometry import output_size
from golden.integer.add import Operand, add
from golden.integer.pool import average_pool
from golden.integer.requantise import DOUBLE, Requantiser, quantise_multiplier
from golden.pool import divisors
from hdl.isa import Pool, Rounding
from hdl.memory.store.pooler import Pooler
from hdl.memory.store.result import reciprocal
from hdl.timing import DIVISORS
from tests.hdl.memory.store.reference import Fields
from tests.hdl.memory.store.test_pooler import Setting, pool_all
from tests.hdl.streams import shared


def tap(entries, *, operand=0, first=1, last=1, count=1, read=1):
    mark = dict(read=read, first=first, last=last, count=count)
    return dict(entries=[*entries, 0, 0, 0, 0][:4], operand=operand, mark=mark)


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("lanes", [4, 1])
@pytest.mark.parametrize("seed", range(4))
def test_add(lanes, stall, seed):
    """Two tensors of any scales and zero points."""
    rng, dut = random.Random(seed), shared(Pooler, lanes)
    scale_a, scale_b, scale_out = (rng.uniform(0.002, 0.2) for _ in range(3))
    zeros = [rng.randrange(-128, 128) for _ in range(3)]
    larger = 2 * max(scale_a, scale_b)
    of_a, of_b = (Operand(*quantise_multiplier(scale / larger)) for scale in (scale_a, scale_b))
    multiplier, shift = quantise_multiplier(larger / (2**20 * scale_out))
    out = Requantiser(np.array(multiplier), np.array(shift), DOUBLE, zeros[2], -128, 127)
    q = np.random.default_rng(seed).integers(-128, 128, (2, 60, lanes))
    a, b = (q[n] - zeros[n] for n in range(2))
    want = add(*(v.T[None, :, :, None] for v in (a, b)), of_a, of_b, out)[0, :, :, 0].T - zeros[2]

    shape = Fields(
        multiplier_a=of_a.multiplier,
        shift_a=of_a.shift,
        multiplier_b=of_b.multiplier,
        shift_b=of_b.shift,
        multiplier=multiplier,
        shift=shift,
        rounding=Rounding.DOUBLE,
        lo=-128 - zeros[2],
        hi=127 - zeros[2],
    )
    setting = Setting(Pool.NONE, 1, lanes, Fields(scaled=1), shape)
    taps = [t for x, y in zip(a, b) for t in (tap(x.tolist(), operand=1), tap(y.tolist()))]
    cycles, got = pool_all(dut, setting, taps, len(want), stall)
    assert [entries for entries, *_ in got] == want.tolist()
    if not stall:
        assert cycles <= len(taps) + 28


@pytest.mark.parametrize("lanes", [4, 1])
@pytest.mark.parametrize("kernel, pads", [((3, 3), (1, 1, 1, 1)), ((2, 2), (0,) * 4), ((5, 7), 0)])
def test_average(lanes, kernel, pads):
    """Windows of q, of their own divisors, or of one that the command gives."""
    dut, size, stride = shared(Pooler, lanes), (5, 7), (1, 1)
    pads = pads or (0,) * 4
    q = np.random.default_rng(3).integers(-128, 128, (1, lanes, *size))
    lo, hi = -100, 90
    want = average_pool(q, kernel, stride, pads, lo, hi)[0]
    counts = divisors(size, kernel, stride, pads, (0, 0, *size))
    fixed = counts.max() > DIVISORS
    of_one = dict(zip(("multiplier", "shift"), reciprocal(int(counts[0, 0])))) if fixed else {}
    shape = Fields(fixed=int(fixed), rounding=Rounding.AWAY, lo=lo, hi=hi, **of_one)
    setting = Setting(Pool.AVERAGE, 0, lanes, Fields(scaled=1), shape)

    taps, (height, width) = [], output_size(size, kernel, stride, pads)
    for y, x in np.ndindex(height, width):
        places = list(np.ndindex(*kernel))
        for row, column in places:
            at = y - pads[0] + row, x - pads[1] + column
            read = 0 <= at[0] < size[0] and 0 <= at[1] < size[1]
            entries = q[0, :, at[0], at[1]].tolist() if read else [99] * lanes
            ends = dict(first=(row, column) == places[0], last=(row, column) == places[-1])
            count = int(counts[y, x]) if not fixed else 0
            taps.append(tap(entries, **ends, count=count, read=read))
    _, got = pool_all(dut, setting, taps, height * width, 0.0)
    assert [entries for entries, *_ in got] == want.reshape(lanes, -1).T.tolist()
