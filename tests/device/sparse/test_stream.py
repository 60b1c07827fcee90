"""Layers beyond the sparse engine's memories: columns stream from DRAM, only those that are
needed."""

import numpy as np
import pytest

from compiler.lowering.compile import compile_network
from compiler.lowering.structures.options import Options
from compiler.runtime.device import RESET, run_program
from compiler.runtime.interpreter import Interpreter
from hdl.config import PRESETS
from hdl.isa import COMMAND_BYTES, Error, Opcode, Register, Status, unpack
from sim.device import SimDevice
from tests.device.devices import check_chained, check_network
from tests.device.sparse.test_sparse import layer, shared_weights

TINY = PRESETS["tiny"]
SIZE = 4 << 20


@pytest.fixture(scope="module")
def simulator():
    with SimDevice(TINY, "cpp", SIZE) as device:
        yield device


@pytest.fixture
def tiny(simulator):
    yield simulator
    simulator.stall(0)
    simulator.fault()
    simulator.write_register(Register.CONTROL, RESET)


def activations(rng, images, columns, share):
    x = rng.integers(1, 2**15, (images, columns, 1, 1)) * rng.choice(
        [-1, 1], (images, columns, 1, 1)
    )
    x[rng.random(x.shape) >= share] = 0
    return x.astype(np.int16)


def record_bytes(program, device, image):
    """Bytes of the records of an image's non-zero activations, from the tables and the vector in
    memory."""
    plan, storage = program.segments[0].sparse, program.views["in"].storage
    x = np.frombuffer(
        device.read(storage.address + image * storage.image_bytes, storage.image_bytes), np.int16
    )
    words = 0
    for band in plan.bands:
        for block in band.blocks:
            lengths = np.stack(
                [block.table >> np.uint64(20 + 11 * n) & np.uint64(0x7FF) for n in range(4)], axis=1
            )
            words += int(
                lengths.reshape(-1)[: block.columns][
                    x[block.first : block.first + block.columns] != 0
                ].sum()
            )
    return 8 * words


def check(device, network, images, **options):
    """RTL and interpreter against golden, each other's counters, and the bytes that the columns
    need."""
    program, counters = check_network(device, network, images, compress=1.0, **options)
    _, wanted = check_network(Interpreter(TINY, SIZE), network, images, compress=1.0, **options)
    c, w = counters["fc"], wanted["fc"]
    assert program.segments[0].sparse.streamed
    for name in (
        "sparse_macs",
        "sparse_columns",
        "sparse_padding",
        "sparse_bytes",
        "command_bytes",
        "dram_write_bytes",
    ):
        assert c[name] == w[name], name
    assert c["sparse_bytes"] == sum(record_bytes(program, device, n) for n in range(len(images)))
    assert c["dram_read_bytes"] == w["dram_read_bytes"] + c["command_bytes"]
    return program, c


# Share of non-zero activations: most cycles by the bandwidth's.
TEN_TIMES = {0: 1.45, 0.01: 1.6, 0.3: 1.5, 1: 1.25}


@pytest.mark.parametrize("share", TEN_TIMES)
def test_ten_times_the_weight_memory(tiny, share, capsys):
    """The measured cycles beside what DRAM allows."""
    rng = np.random.default_rng(4)
    held = 8 * TINY.sparse_words * TINY.sparse_pes
    weights = shared_weights(rng, 470, 450, 0.1)
    assert np.count_nonzero(weights) > 10 * held
    tiny.stall(0)
    x = activations(rng, 1, 450, share)
    _, c = check(tiny, layer(weights), x)
    bound = (c["dram_read_bytes"] + c["dram_write_bytes"]) / TINY.dram_bytes_per_cycle
    with capsys.disabled():
        print(
            f"\n{np.count_nonzero(weights):,} weights through an engine that holds {held:,}, "
            f"{np.count_nonzero(x)} of "
            f"450 activations: {c['cycles']:,} cycles, {bound:,.0f} by DRAM bandwidth, "
            f"{c['sparse_bytes']:,} bytes of columns"
        )
    assert bound <= c["cycles"] < TEN_TIMES[share] * bound


@pytest.mark.parametrize("stall", [0.0, 0.1, 0.4])
def test_random_layers(tiny, stall):
    """Batches, biases, bands, blocks, vectors beyond the global buffer, full columns; the memory
    stalls."""
    rng = np.random.default_rng(int(10 * stall))
    for rows, columns, images, density in (
        (470, 130, 2, 0.1),
        (3, 300, 3, 0.7),
        (65, 64, 2, 0.02),
        (64, 70, 2, 1.0),
        (130, 65, 1, 0.0),
        (20, 2500, 1, 0.1),
        (66, 1, 2, 1.0),
    ):
        tiny.stall(stall)
        check(
            tiny,
            layer(
                shared_weights(rng, rows, columns, density),
                shift=int(rng.integers(0, 24)),
                bias=rng.integers(-(2**31), 2**31, rows).astype(np.int32),
                relu=bool(rng.integers(2)),
            ),
            activations(rng, images, columns, rng.random()),
        )
    check_chained(
        tiny, layer(shared_weights(rng, 200, 90, 0.2)), activations(rng, 2, 90, 0.4), compress=1.0
    )
    tiny.stall(0)


class Case:
    """A streamed layer whose constants can be damaged."""

    def __init__(self, device):
        rng = np.random.default_rng(1)
        self.device, self.network = device, layer(shared_weights(rng, 130, 100, 0.3))
        self.x = activations(rng, 1, 100, 1.0)
        self.program = compile_network(self.network, TINY, Options(images=1, compress=1.0))
        self.constants = bytearray(self.program.constants)

    def place(self, band, number, kind):
        """Offset of a block's table or records in the constants."""
        return self.program.constants.index(
            getattr(self.program.segments[0].sparse.bands[band].blocks[number], kind).tobytes()
        )

    def run(self, read_limit=None):
        p, device = self.program, self.device
        device.write(p.base, bytes(p.constant - p.base))
        device.write(p.constant, bytes(self.constants))
        device.write(p.program, p.commands)
        p.write_input(device, self.x)
        return run_program(
            device,
            p.program,
            p.command_count,
            watchdog=5000,
            timeout=1_000_000,
            read_window=(p.base, read_limit or p.end),
            write_window=(p.base, p.constant),
        )

    def index(self, nth):
        """The program's index of a SPARSE_STREAM."""
        raw = self.program.commands
        opcodes = [unpack(raw[n : n + COMMAND_BYTES])[0] for n in range(0, len(raw), COMMAND_BYTES)]
        return [n for n, opcode in enumerate(opcodes) if opcode == Opcode.SPARSE_STREAM][nth]


def far(case, at):
    case.constants[at + 8 : at + 16] = (0xFFFFF | 1 << 20).to_bytes(8, "little")


def longest(case, at):
    case.constants[at : at + 8] = (0x7FF << 20).to_bytes(8, "little")


def longer(case, at):
    case.constants[at : at + 8] = (
        int.from_bytes(case.constants[at : at + 8], "little") + (1 << 20)
    ).to_bytes(8, "little")


def shifted(case, at):
    """Every record begins a word late."""
    case.constants[at : at + 8] = (
        int.from_bytes(case.constants[at : at + 8], "little") + 1
    ).to_bytes(8, "little")


def count(case, at):
    case.constants[at] ^= 8


def row(case, at):
    case.constants[at : at + 16] = bytes([0x91, 0x99]) + b"\xf1" * 14


FAULTS = {
    "a record outside": (far, "table", Error.READ_WINDOW),
    "the longest record": (longest, "table", Error.READ_WINDOW),
    "a longer record": (longer, "table", Error.SPARSE_STREAM),
    "records elsewhere": (shifted, "table", Error.SPARSE_STREAM),
    "a wrong count": (count, "records", Error.SPARSE_STREAM),
    "rows beyond": (row, "records", Error.SPARSE_STREAM),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("band, number", [(0, 0), (0, 1), (2, 1)])
def test_damaged(tiny, name, band, number):
    """A status and the command's index, from RTL and interpreter; the output behind is not written,
    and a reset recovers."""
    change, kind, error = FAULTS[name]
    for device in (tiny, Interpreter(TINY, SIZE)):
        case = Case(device)
        assert case.run().status is Status.DONE
        change(case, case.place(band, number, kind))
        result = case.run()
        assert (result.status, result.error) == (Status.ERROR, error), result
        assert result.index == case.index(2 * band + number), (name, type(device))
        storage = case.program.views["out"].storage
        written = np.frombuffer(device.read(storage.address, storage.image_bytes), np.int16)
        before = band * case.program.segments[0].sparse.bands[0].locals_ * TINY.sparse_pes
        assert not written[before + storage.block :].any()  # STORE writes whole blocks
        device.write_register(Register.CONTROL, RESET)
        check_network(device, case.network, case.x, compress=1.0)


def test_bus_errors(tiny):
    """A record that the bus refuses."""
    case = Case(tiny)
    at = case.program.constant + case.place(1, 1, "records") + 40
    tiny.fault(at, at + 8, "slverr")
    result = case.run()
    assert (result.status, result.error) == (Status.ERROR, Error.READ_RESPONSE)
    assert result.index == case.index(3)
    tiny.fault()
    tiny.write_register(Register.CONTROL, RESET)
    check_network(tiny, case.network, case.x, compress=1.0)
