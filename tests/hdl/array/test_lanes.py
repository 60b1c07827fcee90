"""Networks of one lane: words to entries and psums, the adder that selects, the drain buffer."""

import random

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Fragment

from hdl.array.lanes import Splitter
from hdl.array.pe.sums.drain_buffer import DrainBuffer
from hdl.array.words import (
    filter_word,
    ifmap_word,
    psum_word,
    single_filter,
    single_ifmap,
    single_psum,
)
from hdl.config import Config
from hdl.lib.arithmetic.select_adder import ADD_SELECTED, SelectAdder
from tests.hdl.streams import holds, receive, run, run_combinational, send

CONFIG = Config(
    "lanes",
    rows=2,
    columns=3,
    filter_spad=64,
    ifmap_spad=8,
    psum_spad=8,
    glb_pairs=2,
    glb_depth=64,
    psum_lanes=1,
    psum_fifo=0,
)
BITS = CONFIG.psum_bits


def columns(rng, count):
    """Psums of columns, p of each from 1 to 9."""
    return [[rng.getrandbits(BITS) for _ in range(rng.randint(1, 9))] for _ in range(count)]


def word(psums):
    return sum(v << n * BITS for n, v in enumerate(psums))


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_splitter(stall):
    dut, rng = Splitter(psum_word(CONFIG), single_psum(CONFIG)), random.Random(1)
    todo = columns(rng, 40)
    words = [
        dict(data=word(c[n : n + 4]), count=len(c[n : n + 4]), tag=at % 7)
        for at, c in enumerate(todo)
        for n in range(0, len(c), 4)
    ]
    wanted, out, times = [(v, at % 7) for at, c in enumerate(todo) for v in c], [], []
    run(
        dut,
        lambda ctx: send(ctx, dut.input, words, stall=stall),
        lambda ctx: receive(ctx, dut.output, len(wanted), out, stall=stall, times=times),
        background=[holds(dut.output)],
    )
    assert [(o.data, o.tag) for o in out] == wanted
    if not stall:
        assert times[-1] - times[0] == len(wanted) - 1  # a psum a cycle


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize(
    "net, words, singles",
    [("ifmap", ifmap_word, single_ifmap), ("filter", filter_word, single_filter)],
)
def test_splitter_of_entries(net, words, singles, stall):
    """`last` of an ifmap entry is its word's, of a filter entry the half's; a header is four of
    16 bits whatever its count."""
    dut, rng = Splitter(words(CONFIG), singles(CONFIG)), random.Random(net)
    todo, wanted, out, times = [], [], [], []
    for n in range(60):
        header = int(net == "ifmap" and n % 5 == 0)
        values, tag, last = (
            [rng.getrandbits(16) for _ in range(4 if header else rng.randint(1, 4))],
            n % 7,
            rng.getrandbits(1),
        )
        word = dict(
            data=sum(v << 16 * i for i, v in enumerate(values)),
            count=0 if header else len(values),
            tag=tag,
        )
        todo.append(word | ({"header": header} if net == "ifmap" else {"last": last}))
        for i, v in enumerate(values):
            end = int(i + 1 == len(values))
            wanted.append((v, tag, end, header) if net == "ifmap" else (v, tag, end & last))
    run(
        dut,
        lambda ctx: send(ctx, dut.input, todo, stall=stall),
        lambda ctx: receive(ctx, dut.output, len(wanted), out, stall=stall, times=times),
        background=[holds(dut.output)],
    )
    assert [
        (o.data, o.tag, o.last, *((o.header,) if net == "ifmap" else ())) for o in out
    ] == wanted
    if not stall:
        assert times[-1] - times[0] == len(wanted) - 1


@pytest.mark.parametrize("bits", [24, 27, 32])
def test_select_adder(bits):
    dut, rng, most = SelectAdder(bits), random.Random(bits), (1 << bits) - 1

    async def bench(ctx):
        for n in range(200):
            own, one, other = (rng.choice((0, 1, most, rng.getrandbits(bits))) for _ in range(3))
            for port, value in (
                (dut.own, own),
                (dut.one, one),
                (dut.other, other),
                (dut.select, n & 1),
            ):
                ctx.set(port, value)
            await ctx.delay(1e-9)
            assert ctx.get(dut.total) == (own + (one if n & 1 else other)) & most

    run_combinational(dut, bench)


@pytest.mark.parametrize("bits", [24, 27])
def test_select_adder_in_carry_cells(bits):
    """As many cells as the bits need; and their LUT's contents in a chain of CCU2C add what is
    selected."""

    class Ecp5:
        family = "ecp5"

    text, _ = rtlil.convert_fragment(
        Fragment.get(SelectAdder(bits), Ecp5()).prepare(ports=(), hierarchy=("top",))
    )
    assert text.count("cell \\CCU2C ") == -(-bits // 2)
    rng = random.Random(bits)
    for n in range(300):
        own, one, other, select, carry, total = (
            *(rng.getrandbits(bits) for _ in range(3)),
            n & 1,
            0,
            0,
        )
        for at in range(bits):
            a, b, c = (value >> at & 1 for value in (own, one, other))
            propagate = ADD_SELECTED >> (a | b << 1 | c << 2 | select << 3) & 1
            generate = ADD_SELECTED >> (a | b << 1) & 1  # the lowest four of the contents
            total |= (propagate ^ carry) << at
            carry = carry if propagate else generate
        assert total == (own + (one if select else other)) & (1 << bits) - 1


@pytest.mark.parametrize("depth, each", [(2, 1), (5, 1), (8, 1), (2, 2), (6, 2), (8, 2)])
def test_drain_buffer(depth, each):
    """Against a list: places are taken before they are filled, and come back one by one. each:
    psums of a place."""
    dut, rng = (
        DrainBuffer(CONFIG.replace(psum_drain=depth, simd=each, input_lanes=1, ifmap_fifo=0)),
        random.Random(depth),
    )

    async def bench(ctx):
        taken, queue, fullest = 0, [], 0
        for now in range(600):
            room, valid = ctx.get(dut.room), ctx.get(dut.valid)
            places = -(-len(queue) // each)
            assert (room, valid) == (taken + places < depth // each, bool(queue)), now
            if queue:
                assert (ctx.get(dut.out), ctx.get(dut.out_last)) == queue[0]
            eager = 0.3 if now // 100 % 2 else 0.9
            take, write, leave = (
                room and rng.random() < eager,
                taken and rng.random() < 0.7,
                valid and rng.random() < 0.6,
            )
            psums, last = [rng.getrandbits(BITS - 1) for _ in range(each)], rng.getrandbits(1)
            for port, value in (
                (dut.take, take),
                (dut.write, write),
                (dut.next, leave),
                (dut.psums, word(psums)),
                (dut.last, last),
            ):
                ctx.set(port, value)
            await ctx.tick()
            queue = queue[1:] if leave else queue
            if write:
                queue += [(v, int(last and n + 1 == each)) for n, v in enumerate(psums)]
            taken += bool(take) - bool(write)
            fullest = max(fullest, taken + -(-len(queue) // each))
        assert fullest == depth // each

    run(dut, bench)
