"""A machine for small devices: no run-length coding, one lane in STORE and on the networks, one
pair of banks, narrow addresses, block RAM."""

import numpy as np
import pytest

from compiler.graph import NetworkError
from compiler.lowering.compile import compile_network
from compiler.lowering.structures.options import Options
from compiler.quantise.fixed_point import golden_run
from hdl import isa
from hdl.config import PRESETS
from hdl.isa import COMMAND_BYTES, Error, Opcode, Status
from sim.device import SimDevice
from tests.compiler.builder import branches
from tests.device import test_errors
from tests.device.devices import check_chained, check_network
from tests.device.test_networks import concat, pools, residual, two_consumers
from tests.device.test_rlc import plain_net, prepare
from tests.layers import STRATA, draw

SMALL = PRESETS["tiny"].replace(
    name="small",
    sparse_activations=32,
    sparse_queue=8,
    skip=False,
    rlc=False,
    store_lanes=1,
    address_bits=24,
    glb_pairs=1,
    glb_depth=512,
    queue_depth=2,
    psum_lanes=1,
    psum_fifo=0,
    input_lanes=1,
    ifmap_fifo=0,
    gating=False,
    counters=False,
)


@pytest.fixture(scope="module")
def small():
    with SimDevice(SMALL, "cpp", 8 << 20) as device:
        yield device


@pytest.mark.sampled(2, across="stall")
@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("stratum", range(len(STRATA)))
def test_layers(small, stratum, stall):
    _, _, network, images = draw(stratum + len(STRATA) * bool(stall))
    small.stall(stall)
    check_network(small, network, images)
    small.stall(0.0)


@pytest.mark.parametrize("make", [two_consumers, concat, residual, pools, branches, plain_net])
def test_networks(small, make):
    """Pools, adds, copies and reorders, layer by layer and chained; nothing is coded."""
    for seed in range(2):
        network, images = prepare(make(seed), 1 + seed * 2, seed, 0.5)
        small.stall(0.3 * seed)
        program, _ = check_network(small, network, images, rlc="auto")
        assert not any(v.storage.rlc for v in program.views.values())
        assert all(
            isa.unpack(program.commands[i : i + COMMAND_BYTES])[3].get("chunk", 1) == 1
            for i in range(0, len(program.commands), COMMAND_BYTES)
        )
        check_chained(small, network, images)
    small.stall(0.0)


def test_coding_is_refused():
    network, _ = prepare(plain_net(), 1)
    with pytest.raises(
        NetworkError,
        match=r"config 'small' has no run-length coding \(rlc = false\): choose auto or off",
    ):
        compile_network(network, SMALL, Options(images=1, rlc="on"))


def test_memory_is_bounded():
    network, images = prepare(plain_net(), 2)
    base = (1 << 16) - 4096
    program = compile_network(network, SMALL.replace(address_bits=17), Options(images=2, base=base))
    assert 1 << 16 <= program.end < 1 << 17
    with pytest.raises(NetworkError, match="addresses have 16 bits"):
        compile_network(network, SMALL.replace(address_bits=16), Options(images=2, base=base))


@pytest.mark.parametrize(
    "opcode, fields",
    [
        (Opcode.LOAD, dict(rlc=1)),
        (Opcode.STORE, dict(rlc=1)),
        (Opcode.STORE, dict(chunk=2)),
        (Opcode.LOAD, dict(dram=1 << 24)),
        (Opcode.STORE, dict(dram=1 << 31)),
    ],
)
def test_illegal_commands(small, opcode, fields):
    """What the machine has not is refused with its code and the command's index, and a reset
    recovers."""
    case = test_errors.Case(small)
    index = case.index(opcode)
    result = case.run(replace={index: case.change(index, **fields)})
    assert (result.status, result.error, result.index) == (
        Status.ERROR,
        Error.ILLEGAL_COMMAND,
        index,
    )
    case.recovers()
    np.testing.assert_array_equal(
        case.output(), golden_run(case.network, case.images).tensors["out"]
    )


def test_windows(small):
    """The checks of the windows are those of the whole width."""
    case = test_errors.Case(small)
    out = case.program.views["out"].storage.address
    result = case.run(write_limit=out)
    assert (result.error, result.index) == (Error.WRITE_WINDOW, case.index(Opcode.STORE))
    case.recovers()
    index = case.index(Opcode.LOAD, 1)
    result = case.run(replace={index: case.change(index, dram=(1 << 24) - 64)})
    assert (result.error, result.index) == (Error.READ_WINDOW, index)
    case.recovers()
