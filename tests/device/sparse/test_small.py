"""The sparse engine of a machine for FPGAs: one lane in STORE, block RAM, registers between and
in the engines."""

import numpy as np
import pytest

from compiler.lowering.compile import compile_network
from compiler.lowering.structures.options import Options
from compiler.runtime.interpreter import Interpreter
from hdl.isa import COMMAND_BYTES, Opcode, unpack
from sim.device import SimDevice
from tests.device.devices import check_chained, check_network
from tests.device.sparse.test_sparse import layer, shared_weights
from tests.device.sparse.test_stream import activations
from tests.device.test_small import SMALL

SIZE = 4 << 20


@pytest.fixture(scope="module")
def small():
    with SimDevice(SMALL, "cpp", SIZE) as device:
        yield device


def network(rng, rows, columns, density):
    return layer(
        shared_weights(rng, rows, columns, density),
        bias=rng.integers(-(2**31), 2**31, rows).astype(np.int32),
        shift=int(rng.integers(0, 24)),
        relu=bool(rng.integers(2)),
    )


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_layers(small, stall):
    """Resident and streamed, on RTL and interpreter; STORE moves an entry at a time."""
    rng, kinds = np.random.default_rng(int(10 * stall)), set()
    for rows, columns, images, density in (
        (1, 1, 1, 1.0),
        (3, 5, 2, 0.5),
        (50, 60, 2, 0.3),
        (64, 60, 3, 0.1),
        (16, 16, 1, 0.0),
        (130, 200, 1, 0.1),
        (470, 130, 2, 0.1),
        (64, 70, 2, 1.0),
        (20, 900, 1, 0.1),
    ):
        net, x = (
            network(rng, rows, columns, density),
            activations(rng, images, columns, rng.random()),
        )
        small.stall(stall)
        program, counters = check_network(small, net, x, compress=1.0)
        check_network(Interpreter(SMALL, SIZE), net, x, compress=1.0)
        kinds.add(program.segments[0].sparse.streamed)
        assert program.segments[0].kind == "sparse"
        commands = [
            unpack(program.commands[i : i + COMMAND_BYTES])
            for i in range(0, len(program.commands), COMMAND_BYTES)
        ]
        chunks = {fields["chunk"] for opcode, _, _, fields in commands if opcode == Opcode.STORE}
        assert chunks == {1}
    assert kinds == {False, True}
    check_chained(small, net, x, compress=1.0)
    small.stall(0.0)


def test_interpreted_with_every_lane():
    """The emitter's chunk follows the lanes of STORE and nothing else does."""
    rng = np.random.default_rng(7)
    net, programs = network(rng, 50, 60, 0.2), []
    for lanes in (1, 4):
        programs.append(
            compile_network(net, SMALL.replace(store_lanes=lanes), Options(images=1, compress=1.0))
        )
    assert programs[0].constants == programs[1].constants
    chunks = []
    for p in programs:
        commands = [
            unpack(p.commands[i : i + COMMAND_BYTES])
            for i in range(0, len(p.commands), COMMAND_BYTES)
        ]
        chunks.append([(opcode, {**fields, "chunk": 0}) for opcode, _, _, fields in commands])
    assert chunks[0] == chunks[1]
