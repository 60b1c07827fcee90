"""Bounds of columns to places of words."""

import random

import pytest

from hdl.config import PRESETS
from hdl.sparse.pe.word_walk import WordWalk
from tests.hdl.sparse.flow import every_cycle, flow
from tests.hdl.streams import shared

CONFIG = PRESETS["tiny"]


def places(begin, end):
    """(word, lanes of it) of a column's entries."""
    entries = range(begin, end)
    return [(w, [e % 8 for e in entries if e // 8 == w]) for w in range(begin // 8, (end + 7) // 8)]


def columns(count):
    rng = random.Random(count)
    out = []
    for _ in range(count):
        begin = rng.randrange(8 * CONFIG.sparse_words)
        out.append((begin, min(8 * CONFIG.sparse_words, begin + rng.choice([1, 2, 7, 8, 9, 30]))))
    return out


@pytest.mark.parametrize("stall", [0.0, 0.4, 0.8])
def test_words(stall):
    dut, cases = shared(WordWalk, CONFIG), columns(60)
    items = [{"begin": b, "end": e, "value": n} for n, (b, e) in enumerate(cases)]
    wanted = [(w, lanes, n) for n, case in enumerate(cases) for w, lanes in places(*case)]
    into, out = flow(dut, dut.bounds, items, [dut.place], [len(wanted)], stall=stall)
    firsts = []
    for got, (word, own, value) in zip(out.payloads, wanted, strict=True):
        lanes = got["lanes"]
        inside = range(lanes["low"], lanes["high"] if lanes["until"] else 8)
        assert (got["address"], list(inside), lanes["value"]) == (word, own, value)
        if lanes["first"]:
            firsts.append(value)
    assert firsts == list(range(len(cases)))
    if not stall:
        assert every_cycle(out) and out.times[0] == into.times[0] + 1
