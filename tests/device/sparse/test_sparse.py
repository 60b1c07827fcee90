"""Compressed fully connected layers on the sparse engine's RTL, bit-exact with golden."""

import numpy as np
import pytest

from compiler.graph import Graph, Tensor
from compiler.layers import Conv
from compiler.lowering.compile import compile_network
from compiler.lowering.structures.options import Options
from compiler.quantise.fixed_point import ConvNumbers, QuantisedGraph
from compiler.runtime.device import RESET, run_program
from compiler.runtime.interpreter import Interpreter
from hdl.config import PRESETS
from hdl.isa import COMMAND_BYTES, Error, Opcode, Register, Status, Target, unpack
from sim.device import SimDevice
from tests.device.devices import check_chained, check_network

TINY = PRESETS["tiny"]


def layer(weights, bias=None, shift=20, relu=False, values=None):
    """A network of one fully connected layer with int16 weights [rows, columns]."""
    rows, columns = weights.shape
    conv = Conv(
        "fc",
        "in",
        "out",
        weights.reshape(rows, columns, 1, 1).astype(np.float32),
        np.zeros(rows, np.float32),
        relu=relu,
        full=True,
    )
    graph = Graph("in", "out", [conv], {"in": Tensor("in", columns), "out": Tensor("out", rows)})
    numbers = ConvNumbers(
        weights.reshape(rows, columns, 1, 1),
        np.zeros(rows, np.int32) if bias is None else bias,
        0,
        shift,
    )
    return QuantisedGraph(graph, 32, {"in": 0, "out": 0}, {"fc": numbers}, {})


def shared_weights(rng, rows, columns, density):
    """int16 [rows, columns] of 15 values, the extremes among them, and zeros."""
    values = np.concatenate([[-32768, 32767], rng.choice(np.arange(1, 32767), 13, replace=False)])
    weights = values[rng.integers(0, 15, (rows, columns))].astype(np.int16)
    weights[rng.random((rows, columns)) >= density] = 0
    return weights


@pytest.fixture(scope="module")
def tiny():
    with SimDevice(TINY, "cpp", 4 << 20) as device:
        yield device


def check(device, weights, activations, **kw):
    network = layer(weights, **kw)
    program, counters = check_network(device, network, activations[..., None, None], compress=1.0)
    assert program.segments[0].kind == "sparse"
    return counters["fc"]


@pytest.mark.parametrize("density", [0.0, 0.02, 0.1, 0.3, 0.7, 1.0])
def test_random_matrices(tiny, density):
    rng = np.random.default_rng(int(density * 100))
    for rows, columns, images in (
        (1, 1, 1),
        (3, 5, 2),
        (16, 16, 1),
        (50, 70, 2),
        (64, 60, 3),
        (130, 200, 1),
    ):
        weights = shared_weights(rng, rows, columns, density)
        activations = rng.integers(-(2**15), 2**15, (images, columns)).astype(np.int16)
        activations[rng.random(activations.shape) < 0.5] = 0
        tiny.stall(float(rng.choice([0, 0.3])))
        counters = check(
            tiny,
            weights,
            activations,
            relu=bool(rng.integers(2)),
            bias=rng.integers(-(2**31), 2**31, rows).astype(np.int32),
        )
        macs = sum(int((weights[:, a != 0] != 0).sum()) for a in activations)
        assert counters["sparse_macs"] == macs


@pytest.mark.parametrize("run", [0, 1, 15, 16, 17, 31, 32, 33, 47, 48])
def test_runs_of_zeros(tiny, run):
    """Zeros between the entries of a column, within a PE's rows (16 in a band of `tiny`)."""
    rows = 64
    weights = np.zeros((rows, 9), np.int16)
    for column in range(9):
        first = column % 3 * 4
        weights[first, column] = 7
        if first + 4 * (run + 1) < rows:
            weights[first + 4 * (run + 1), column] = -9
    check(tiny, weights, np.arange(-4, 5, dtype=np.int16)[None], shift=0)


def test_empty_columns_rows_and_slices(tiny):
    rng = np.random.default_rng(5)
    weights = shared_weights(rng, 40, 50, 0.3)
    weights[:, [0, 1, 20, 21, 22, 48, 49]] = 0
    weights[[0, 7, 8, 39]] = 0
    for activations in (
        np.zeros((1, 50)),
        np.eye(50)[[17]],
        np.eye(50)[[0]],
        np.ones((1, 50)),
        rng.integers(-99, 99, (2, 50)),
    ):
        check(tiny, weights, (activations * 100).astype(np.int16), shift=12)
    alone = np.zeros((12, 30), np.int16)
    alone[1::4] = shared_weights(rng, 3, 30, 0.4)  # modulo or not, some PEs stay empty
    check(tiny, alone, rng.integers(-(2**15), 2**15, (1, 30)).astype(np.int16))


def test_chain_of_layers(tiny):
    """Sparse after sparse absorbs the permutation; dense after sparse does too."""
    rng = np.random.default_rng(8)
    sizes, graph, convs = (44, 37, 29, 10), Graph("t0", "t3", [], {"t0": Tensor("t0", 44)}), {}
    for n, (columns, rows) in enumerate(zip(sizes, sizes[1:])):
        weights = (
            shared_weights(rng, rows, columns, 0.3)
            if n < 2
            else rng.integers(-(2**15), 2**15, (rows, columns)).astype(np.int16)
        )
        weights = weights.reshape(rows, columns, 1, 1)
        graph.tensors[f"t{n + 1}"] = Tensor(f"t{n + 1}", rows)
        graph.layers.append(
            Conv(
                f"fc{n}",
                f"t{n}",
                f"t{n + 1}",
                weights.astype(np.float32),
                np.zeros(rows, np.float32),
                relu=n < 2,
                full=True,
            )
        )
        convs[f"fc{n}"] = ConvNumbers(
            weights, rng.integers(-(2**20), 2**20, rows).astype(np.int32), 0, 17
        )
    network = QuantisedGraph(graph, 32, dict.fromkeys(graph.tensors, 0), convs, {})
    images = rng.integers(-(2**15), 2**15, (3, 44, 1, 1)).astype(np.int16)
    program, _ = check_network(tiny, network, images)
    assert [s.kind for s in program.segments] == ["sparse", "sparse", "fc"]
    assert not program.views["t1"].plain
    check_chained(tiny, network, images)
    check_network(tiny, network, images, placement="modulo")
    check_network(tiny, network, images, compress=-1)


@pytest.mark.parametrize("preset", ["tiny", "demo", "eie64"])
def test_interpreted(preset):
    """The same commands without time, for every preset with an engine, sizes beyond a band."""
    config = PRESETS[preset]
    rng = np.random.default_rng(3)
    for rows, columns, density in ((1, 1, 1.0), (300, 200, 0.1), (4200, 70, 0.05), (37, 1100, 0.3)):
        weights = shared_weights(rng, rows, columns, density)
        activations = rng.integers(-(2**15), 2**15, (2, columns, 1, 1)).astype(np.int16)
        activations[rng.random(activations.shape) < 0.5] = 0
        network = layer(weights, bias=rng.integers(-(2**31), 2**31, rows).astype(np.int32))
        program = compile_network(network, config, Options(images=2, compress=1.0))
        device = Interpreter(config, program.end)
        _, counters = check_network(device, network, activations, compress=1.0)
        assert counters["fc"]["sparse_macs"] == sum(
            int((weights[:, a != 0] != 0).sum()) for a in activations[..., 0, 0]
        )


def corrupt(network, target, change, device):
    """Run a layer whose blob of weights or pointers was damaged."""
    program = compile_network(network, TINY, Options(images=1, compress=1.0))
    constants = bytearray(program.constants)
    for at in range(0, len(program.commands), COMMAND_BYTES):
        opcode, _, _, fields = unpack(program.commands[at : at + COMMAND_BYTES])
        if opcode == Opcode.SPARSE_FILL and fields["target"] == target:
            load = unpack(program.commands[at - COMMAND_BYTES : at])[3]
            change(memoryview(constants)[load["dram"] - program.constant :], fields)
            break
    device.write(program.base, bytes(program.constant - program.base))
    device.write(program.constant, bytes(constants))
    device.write(program.program, program.commands)
    program.write_input(device, np.ones((1, 40, 1, 1), np.int16))
    result = run_program(
        device,
        program.program,
        program.command_count,
        watchdog=5000,
        timeout=1_000_000,
        read_window=(program.base, program.end),
        write_window=(program.base, program.constant),
    )
    runs = [
        n // COMMAND_BYTES
        for n in range(0, len(program.commands), COMMAND_BYTES)
        if unpack(program.commands[n : n + COMMAND_BYTES])[0] == Opcode.SPARSE_RUN
    ]
    return result, runs


def test_corrupted_streams_are_a_status():
    """Pointers and rows out of range: a status and the command's index, never a hang."""
    network = layer(shared_weights(np.random.default_rng(1), 40, 40, 0.4))

    def far_row(raw, fields):
        raw[:8] = bytes([0xF1]) * 8

    def far_pointer(raw, fields):
        raw[8:12] = (500).to_bytes(4, "little")

    def falling(raw, fields):
        raw[4:8] = (100).to_bytes(4, "little")
        raw[8:12] = (3).to_bytes(4, "little")

    with SimDevice(TINY, "cpp", 1 << 20) as device:
        for target, change in (
            (Target.WEIGHTS, far_row),
            (Target.POINTERS, far_pointer),
            (Target.POINTERS, falling),
        ):
            result, runs = corrupt(network, target, change, device)
            assert (result.status, result.error) == (Status.ERROR, Error.SPARSE_STREAM), (
                change.__name__,
                result,
            )
            assert result.index in runs
            device.write_register(Register.CONTROL, RESET)
            # the aborted run has left sums, and the next is right all the same
            check(
                device,
                shared_weights(np.random.default_rng(2), 64, 30, 0.3),
                np.ones((1, 30), np.int16),
                shift=8,
            )
        model = Interpreter(TINY, 1 << 20)
        result, runs = corrupt(network, Target.WEIGHTS, far_row, model)
        assert result.error is Error.SPARSE_STREAM and result.index in runs
