"""Programs of LOADs and STOREs on devices, and what they leave by the docstrings of hdl/isa.py."""

import itertools
import random

import numpy as np

from compiler.lowering.structures.commands import Schedule
from compiler.runtime.device import run_program
from hdl.isa import COMMAND_BYTES, Opcode, Pool
from tests.hdl.memory.load.reference import loaded
from tests.hdl.memory.store.reference import Reference

SOURCE, TARGET, PROGRAM, END = 0x1000, 0x10000, 0x40000, 0x60000


def load_into(tile, memory, c):
    """Does a LOAD: `tile` is the entries of the global buffer."""
    at = 4 * c["word"]
    for a, b, k in itertools.product(*(range(c["count_" + n]) for n in "abc")):
        begin = c["dram"] + a * c["stride_a"] + b * c["stride_b"] + k * c["stride_c"]
        for n in range(begin % 2**32, begin % 2**32 + 8 * c["length"], 8):
            for word in loaded(c, bytes(memory[n : n + 8])):
                raw = word.to_bytes(8, "little")
                tile[at : at + 4] = np.frombuffer(raw, "<i2")
                at += 4


def random_load(rng, words):
    narrow, length = rng.randrange(2), rng.randrange(1, 9)
    counts = [rng.randrange(1, 4) for _ in range(3)]
    size = counts[0] * counts[1] * counts[2] * length << narrow
    word = rng.randrange(words - size + 1)
    return dict(
        dram=SOURCE + 8 * rng.randrange(64, 1 << 10),
        word=word & ~1 if narrow else word,
        length=length,
        narrow=narrow,
        unsigned=rng.randrange(2),
        zero=rng.randrange(-256, 256),
        **{f"count_{n}": count for n, count in zip("abc", counts)},
        **{f"stride_{n}": 8 * rng.randrange(-20, 99) % 2**32 for n in "abc"},
    )


def random_store(rng, words, lanes, at):
    """(SHAPE, STORE) to addresses from `at` on."""
    chunk = rng.randrange(1, lanes + 1)
    block, out_block = (chunk * rng.randrange(1, 4) for _ in range(2))
    rows, columns, blocks = rng.randrange(1, 5), rng.randrange(1, 9), rng.randrange(1, 4)
    narrow, high, wide = rng.randrange(2), 6, 10
    size, gap = (2 - narrow) * columns * out_block, (2 - narrow) * rng.randrange(4)
    shape = dict(
        kernel_y=rng.randrange(1, 4),
        kernel_x=rng.randrange(1, 4),
        stride_y=rng.randrange(1, 3),
        stride_x=rng.randrange(1, 3),
        y_first=rng.randrange(-2, 2),
        x_first=rng.randrange(-2, 2),
        height=high,
        width=wide,
    )
    store = dict(
        base=rng.randrange(words),
        row_stride=rng.randrange(3 * words // high),
        column_stride=block,
        block=block,
        block_stride=block * wide,
        ring=high,
        row_first=rng.randrange(high),
        dram=at + rng.randrange(8) // (2 - narrow) * (2 - narrow),
        out_row_stride=(size + gap) * blocks,
        out_block_stride=size + gap,
        images=1,
        rows=rows,
        blocks=blocks,
        columns=columns,
        out_block=out_block,
        chunk=chunk,
        pool=rng.choice([Pool.NONE, Pool.MAX]),
        relu=rng.randrange(2),
        narrow=narrow,
        unsigned=rng.randrange(2),
        zero=rng.randrange(-256, 256),
    )
    return shape, store


def run_schedule(device, schedule):
    """Runs it on what the device's memory holds."""
    device.write(PROGRAM, schedule.pack())
    return run_program(
        device,
        PROGRAM,
        len(schedule.commands),
        watchdog=100_000,
        read_window=(0, PROGRAM + COMMAND_BYTES * len(schedule.commands)),
        write_window=(TARGET, PROGRAM),
    )


def check_random(device, seed, loads=12, stores=12):
    """Narrow and wide LOADs and STOREs; all of memory is compared, and the bytes counted."""
    rng, config = random.Random(seed), device.config
    memory = bytearray(rng.randbytes(PROGRAM))
    tile = np.zeros(4 * config.glb_words, np.int64)
    whole = dict(dram=SOURCE, word=0, length=config.glb_words)
    ones = {f"count_{n}": 1 for n in "abc"} | {f"stride_{n}": 0 for n in "abc"}
    device.write(0, bytes(memory))

    schedule, last, beats, written = Schedule(), None, 0, 0
    for fields in [whole | ones, *(random_load(rng, config.glb_words) for _ in range(loads))]:
        last = schedule.add(Opcode.LOAD, **fields)
        load_into(tile, memory, fields)
        counts = fields["count_a"] * fields["count_b"] * fields["count_c"]
        beats += counts * fields["length"]
    for n in range(stores):
        at = TARGET + 0x1000 * n
        shape, store = random_store(rng, config.glb_words, config.store_lanes, at)
        schedule.add(Opcode.SHAPE, **shape)
        command = schedule.add(Opcode.STORE, **store)
        schedule.depend(command, last)
        Reference(tile, memory)([(Opcode.SHAPE, shape), (Opcode.STORE, store)])
        entries = store["rows"] * store["blocks"] * store["columns"] * store["out_block"]
        written += (2 - store["narrow"]) * entries

    result = run_schedule(device, schedule)
    assert result.ok, result
    got = np.frombuffer(device.read(0, PROGRAM), np.uint8)
    wrong = np.flatnonzero(got != np.frombuffer(bytes(memory), np.uint8))
    assert not len(wrong), [hex(n) for n in wrong[:9]]
    commands = COMMAND_BYTES * len(schedule.commands)
    # What the RTL counts are all bytes read, the program's too.
    read = result.counters["dram_read_bytes"]
    assert read in (8 * beats, 8 * beats + commands)
    assert result.counters["dram_write_bytes"] == written
