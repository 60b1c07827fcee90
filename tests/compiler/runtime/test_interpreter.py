import numpy as np
import pytest

from compiler.runtime.device import DeviceError, check_identity, run_program
from compiler.runtime.interpreter import Interpreter, ProgramError
from golden.add import add
from golden.conv import conv2d
from golden.fixed import reciprocal, requantise, saturate
from golden.integer.add import operand
from golden.integer.requantise import SINGLE, scale
from golden.pool import average_pool, max_pool
from hdl.config import PRESETS
from hdl.isa import VERSION_VALUE, Error, Opcode, Register, Rounding, Status, pack, unpack
from tests.compiler.hand import ConvProgram, from_dram

TINY, DEMO, EYERISS = (PRESETS[name] for name in ("tiny", "demo", "eyeriss"))
CHIP = EYERISS.replace(filter_spad=224)  # filter spads of the Eyeriss chip
MEMORY = 1 << 20
# config, (N, C, H, W), (M, R, S), stride, pads, mapping (q, r, p, t, e, height, width), block
CASES = [
    (TINY, (1, 1, 5, 5), (1, 1, 1), (1, 1), (0, 0, 0, 0), (1, 1, 1, 1, 1, 1, 1), None),
    (TINY, (1, 3, 6, 6), (4, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1, 4, 1, 2, 3, 3), None),
    (TINY, (2, 4, 7, 6), (5, 3, 3), (2, 2), (1, 0, 1, 1), (2, 1, 5, 1, 3, 2, 2), None),
    (TINY, (1, 4, 6, 5), (6, 2, 2), (1, 1), (0, 0, 0, 0), (2, 2, 3, 1, 1, 2, 2), None),
    (TINY, (1, 2, 9, 9), (4, 5, 5), (4, 3), (2, 2, 0, 1), (2, 1, 2, 2, 1, 3, 2), None),
    (TINY, (1, 8, 4, 4), (3, 1, 1), (1, 1), (0, 0, 0, 0), (8, 2, 3, 1, 3, 1, 1), None),
    (TINY, (1, 8, 5, 5), (4, 2, 2), (1, 1), (0, 1, 1, 0), (2, 1, 4, 1, 3, 2, 2), 8),
    (TINY, (1, 4, 8, 9), (4, 2, 1), (2, 3), (0, 0, 0, 0), (2, 1, 4, 1, 2, 2, 1), 4),
    (TINY, (1, 1, 3, 40), (2, 1, 32), (1, 5), (0, 3, 0, 2), (1, 1, 2, 1, 3, 1, 7), None),
    (DEMO, (2, 6, 9, 8), (10, 3, 3), (1, 1), (1, 1, 1, 1), (3, 2, 5, 2, 5, 3, 3), None),
    (DEMO, (1, 1, 14, 14), (16, 5, 5), (1, 1), (2, 2, 2, 2), (1, 1, 16, 1, 12, 5, 5), None),
    (CHIP, (1, 3, 23, 23), (8, 11, 11), (4, 4), (0, 0, 0, 0), (1, 3, 8, 1, 4, 11, 11), None),
    (EYERISS, (1, 5, 12, 12), (7, 12, 2), (1, 12), (0, 0, 0, 0), (2, 1, 7, 1, 1, 12, 2), None),
]


def build(config, shape, filters, stride, pads, mapping, block, seed=0, mode=0, relu=False):
    """(program, expected ofmap) of a random convolution."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-32768, 32768, shape).astype(np.int16) * (rng.random(shape) < 0.7)
    weights = rng.integers(-32768, 32768, (filters[0], shape[1], *filters[1:])).astype(np.int16)
    bias = rng.integers(-(1 << 31), 1 << 31, filters[0]).astype(np.int32)
    names = ("q", "r", "p", "t", "e", "height", "width")
    program = ConvProgram(
        x,
        weights,
        bias,
        stride=stride,
        pads=pads,
        shift=16,
        relu=relu,
        block=block,
        mode=mode,
        **dict(zip(names, mapping)),
    )
    sums = conv2d(x, weights, bias, stride=stride, pads=pads, psum_bits=config.psum_bits).wrapped
    return program, requantise(sums, 16, relu)


def take(program):
    """Wait for every tile, one STORE each: the last one waits for all."""
    return [pack(Opcode.SHAPE, wait=16) for _ in range(program.tiles)]


def run(config, program, **changes):
    device = Interpreter(config, MEMORY)
    arguments = program.place(device) | changes
    return device, run_program(device, **arguments)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_convolution_against_golden(case, relu):
    config = case[0]
    program, expected = build(*case, relu=relu)
    program.commands += take(program)
    program.store(out_block=1)
    device, result = run(config, program)
    assert result.ok and result.error is Error.NONE
    got = from_dram(device.read(program.OUTPUT, program.size), *expected.shape, 1)
    assert np.array_equal(got, expected)
    assert result.counters["macs"] > 0 and result.counters["macs_gated"] == 0
    assert result.counters["command_bytes"] == 64 * len(program.commands)


def test_macs_and_gated_macs():
    program, expected = build(*CASES[9], mode=1)
    program.store()
    _, result = run(DEMO, program)
    n, _, e, f = expected.shape
    # the mapping has no remainder but the last of its two row tiles: 10 rows for 9
    assert result.counters["macs"] == n * 10 * f * 10 * 6 * 9
    assert 0 < result.counters["macs_gated"] < result.counters["macs"]


@pytest.mark.parametrize("bits", [24, 27])
def test_narrow_psums_wrap(bits):
    config = TINY.replace(psum_bits=bits)
    program, expected = build(config, *CASES[2][1:])
    program.store(out_block=1)
    device, _ = run(config, program)
    assert np.array_equal(
        from_dram(device.read(program.OUTPUT, program.size), *expected.shape, 1), expected
    )


def pooled(case, expected, kernel, stride, pads, size, kind, fixed=None, count=None):
    program, _ = build(*case)
    top, left = pads[:2]
    h, w = expected.shape[2:]
    count = count or (0, 0, h, w)
    program.put(
        Opcode.SHAPE,
        kernel_y=kernel[0],
        kernel_x=kernel[1],
        stride_y=stride[0],
        stride_x=stride[1],
        y_first=-top,
        x_first=-left,
        height=h,
        width=w,
        count_top=count[0],
        count_left=count[1],
        count_bottom=count[2],
        count_right=count[3],
        fixed=int(fixed is not None),
        multiplier=(fixed or (0, 0))[0],
        shift=(fixed or (0, 0))[1],
    )
    program.store(*size, out_block=2, pool=kind)
    device, result = run(case[0], program)
    assert result.ok
    return from_dram(device.read(program.OUTPUT, program.size), *expected.shape[:2], *size, 2)


@pytest.mark.parametrize(
    "kernel,stride,pads",
    [
        ((2, 2), (2, 2), (0, 0, 0, 0)),
        ((3, 3), (2, 2), (1, 1, 1, 1)),
        ((3, 2), (2, 3), (0, 1, 2, 1)),
        ((1, 1), (2, 2), (2, 1, 0, 0)),
    ],
)
def test_pooling_against_golden(kernel, stride, pads):
    case = CASES[9]
    expected = build(*case)[1]
    h, w = expected.shape[2:]
    ours = max_pool(expected, kernel, stride, pads)
    assert np.array_equal(pooled(case, expected, kernel, stride, pads, ours.shape[2:], 1), ours)
    for count in ((0, 0, h, w), (-pads[0], -pads[1], h + pads[2], w + pads[3])):
        ours = average_pool(expected, kernel, stride, pads, count)
        assert np.array_equal(
            pooled(case, expected, kernel, stride, pads, ours.shape[2:], 2, count=count), ours
        )


def test_global_average_with_a_fixed_divisor():
    case = CASES[9]
    expected = build(*case)[1]
    h, w = expected.shape[2:]
    value, shift = reciprocal(h * w)
    total = expected.astype(np.int64).sum(axis=(2, 3), keepdims=True)
    got = pooled(case, expected, (h, w), (1, 1), (0, 0, 0, 0), (1, 1), 2, fixed=(value, shift))
    assert np.array_equal(got, saturate(scale(total, value, shift, SINGLE)))


@pytest.mark.parametrize("relu", [0, 1])
def test_addition_and_channel_blocks(relu):
    program, expected = build(*CASES[9])
    tile = program.tile
    program.put(
        Opcode.SHAPE,
        base=tile["base"],
        image_stride=tile["image_stride"],
        row_stride=tile["row_stride"],
        column_stride=tile["column_stride"],
        block=5,
        block_stride=5,
        multiplier_a=1 << 11 + 3,
        multiplier_b=1 << 11 + 1,
        multiplier=1 << 30,
        shift=1 - 4,
    )
    program.store(out_block=5, add=1, relu=relu, block=5, block_stride=5, chunk=1)
    device, _ = run(DEMO, program)
    got = from_dram(device.read(program.OUTPUT, program.size), *expected.shape, 5)
    assert np.array_equal(got, add(expected, expected, 3, 1, 4, bool(relu)))


@pytest.mark.parametrize("rounding", Rounding)
def test_an_integer_addition(rounding):
    """Of int8, scaled and bounded; its own tile is the other operand too."""
    program, expected = build(*CASES[9])
    tile = program.tile
    a, b, out = (1 << 30, 0), (1_234_567_891, -2), (1_987_654_321, -26)
    program.put(
        Opcode.SHAPE,
        **{name: tile[name] for name in ("base", "image_stride", "row_stride", "column_stride")},
        block=5,
        block_stride=5,
        **dict(zip(("multiplier_a", "shift_a", "multiplier_b", "shift_b"), (*a, *b))),
        **dict(zip(("multiplier", "shift"), out)),
        rounding=rounding,
        lo=-100,
        hi=90,
    )
    program.store(out_block=5, add=1, scaled=1, block=5, block_stride=5, chunk=1)
    device, _ = run(DEMO, program)
    got = from_dram(device.read(program.OUTPUT, program.size), *expected.shape, 5)
    sums = operand(expected, *a) + operand(expected, *b)
    want = np.clip(scale(sums, *out, rounding.name.lower()), -100, 90)
    assert len(np.unique(want)) > 20 and np.array_equal(got, want)


def test_load_walks_its_three_loops():
    device = Interpreter(TINY, MEMORY)
    source = np.arange(4096, dtype=np.int64)
    device.write(0, source.tobytes())
    device.write(
        0x10000,
        pack(
            Opcode.LOAD,
            dram=64,
            word=5,
            length=2,
            count_a=2,
            count_b=3,
            count_c=2,
            stride_a=800,
            stride_b=0x1_0000_0000 - 8,
            stride_c=240,
        ),
    )
    assert run_program(device, 0x10000, 1, read_window=(0, MEMORY), write_window=(0, 0)).ok
    expected = [
        8 + a * 100 - b + c * 30 + i
        for a in range(2)
        for b in range(3)
        for c in range(2)
        for i in range(2)
    ]
    assert device.glb.view(np.int64)[5 : 5 + 24].tolist() == expected


def simple():
    program, _ = build(*CASES[1])
    program.store()
    return program


@pytest.mark.parametrize(
    "changes,error,index",
    [
        (dict(read_window=(0x2000, MEMORY)), Error.READ_WINDOW, 0),
        (dict(read_window=(0, 0x80000)), Error.READ_WINDOW, 0),
        (dict(read_window=(0, 0x80000 + 64 * 3)), Error.READ_WINDOW, 3),
        (dict(read_window=(0, 0x100000 + 64), address=MEMORY), Error.READ_RESPONSE, 0),
        (dict(write_window=(0x40000, 0x40008)), Error.WRITE_WINDOW, -1),
        (dict(write_window=(0x40008, MEMORY)), Error.WRITE_WINDOW, -1),
    ],
)
def test_windows(changes, error, index):
    program = simple()
    device, result = run(TINY, program, **changes)
    assert (result.status, result.error, result.index) == (
        Status.ERROR,
        error,
        index % len(program.commands),
    )
    assert not np.any(np.frombuffer(device.read(program.OUTPUT, program.size), np.uint8))
    device.write_register(Register.CONTROL, 2)
    assert device.read_register(Register.STATUS) == Status.IDLE
    assert run_program(device, **program.place(device)).ok


def test_bus_error_on_a_write():
    program = simple()
    device = Interpreter(TINY, 0x80000 + 64 * len(program.commands) + 64)
    change(len(program.commands) - 1, dram=MEMORY * 2)(program)
    result = run_program(device, **program.place(device) | dict(write_window=(0, MEMORY * 4)))
    assert (result.error, result.index) == (Error.WRITE_RESPONSE, len(program.commands) - 1)


@pytest.mark.parametrize(
    "damage, error",
    [
        (bytes([31 | VERSION_VALUE << 5]), Error.ILLEGAL_COMMAND),  # an opcode that there is not
        (bytes([1 | VERSION_VALUE << 5, 0, 0, 4]), Error.ILLEGAL_COMMAND),  # a semaphore
        (bytes([1]), Error.VERSION),
        (bytes([1 | 1 << 5]), Error.VERSION),
    ],
)
def test_illegal_commands(damage, error):
    program = simple()
    program.commands[2] = damage + program.commands[2][len(damage) :]
    _, result = run(TINY, program)
    assert (result.status, result.error, result.index) == (Status.ERROR, error, 2)


def change(index, **values):
    """Replaces fields of the first command of an opcode (an index counts all commands)."""

    def apply(program):
        if isinstance(index, Opcode):
            number = next(i for i, raw in enumerate(program.commands) if unpack(raw)[0] == index)
        else:
            number = index
        opcode, wait, signal, old = unpack(program.commands[number])
        program.commands[number] = pack(
            Opcode(opcode), **{**dict(wait=wait, signal=signal), **old, **values}
        )

    return apply


@pytest.mark.parametrize(
    "damage,message",
    [
        (change(Opcode.IFMAP, wait=32), "IFMAP.*semaphore 5, which nothing"),
        (change(Opcode.PSUM, wait=1), "PSUM.*semaphore 0, which nothing"),
        (change(Opcode.CONFIG, rows=3), "CONFIG.*3 logical columns of 3 PEs"),
        (change(Opcode.CONFIG, rows=1), "IFMAP.rows is 4"),
        (change(Opcode.FILTER, words=8), "filter entries"),
        (change(Opcode.PSUM, p=3), "PSUM.p is 3"),
        (change(Opcode.OFMAP, positions=5), "OFMAP.positions is 5"),
        (change(Opcode.IFMAP, length=7), "ifmap entries of a lap is 7"),
        (change(Opcode.IFMAP, base=4 * 1024), "IFMAP.*outside the global buffer"),
        (change(Opcode.LOAD, word=1020), "LOAD.*outside the global buffer"),
        (change(Opcode.LOAD, count_b=0), "LOAD.*count_b is 0"),
        (change(Opcode.LOAD, dram=0x1004), "LOAD.*aligned"),
        (change(Opcode.PSUM, from_ring=1), "ring holds 0"),
        (change(Opcode.STORE, pool=1), "no SHAPE"),
        (change(Opcode.STORE, chunk=3), "chunk 3"),
        (lambda p: p.commands.pop(2), "a pass before any CONFIG"),
        (lambda p: p.commands.pop(-2), "end of program: OFMAPs of a pass are missing"),
        (lambda p: p.commands.insert(5, p.commands[2]), "CONFIG.*cannot drain"),
    ],
    ids=range(18),
)
def test_what_a_compiler_must_not_do(damage, message):
    program = simple()
    damage(program)
    with pytest.raises(ProgramError, match=message) as raised:
        run(TINY, program)
    assert "\n" not in str(raised.value)


def test_device_memory_and_registers():
    device = Interpreter(TINY, 1001)
    check_identity(device)
    device.write(3, b"abc")
    assert device.read(2, 5) == b"\0abc\0"
    for call in (lambda: device.read(1000, 20), lambda: device.write(-1, b"a")):
        with pytest.raises(ValueError, match="outside the memory"):
            call()
    with pytest.raises(ValueError, match="multiple of 64"):
        run_program(device, 32, 1, read_window=(0, 64), write_window=(0, 0))
    assert run_program(device, 0, 0, read_window=(0, 64), write_window=(0, 0)).ok
    assert device.read_register(Register.INTERRUPT) == 2
    device.write_register(Register.INTERRUPT, 3)
    assert device.read_register(Register.INTERRUPT) == 1
    device.registers[Register.VERSION] = 1
    with pytest.raises(
        DeviceError,
        match="takes commands of version 1, this program is of version 4: build the device again",
    ):
        check_identity(device)
    device.registers[Register.VERSION] = VERSION_VALUE
    device.config = DEMO
    with pytest.raises(DeviceError, match="register PES is 0x6, expected 0x40"):
        check_identity(device)
