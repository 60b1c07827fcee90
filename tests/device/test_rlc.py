"""Networks whose feature maps are run-length coded in memory: the same tensors, fewer bytes."""

import itertools

import numpy as np
import pytest

from compiler.lowering.compile import compile_network
from compiler.lowering.structures.options import Options
from compiler.quantise.fixed_point import golden_run, quantise, quantise_input
from compiler.runtime.interpreter import Interpreter
from compiler.runtime.run import start_segment
from golden.rlc import encode
from hdl import isa
from hdl.config import PRESETS
from hdl.isa import COMMAND_BYTES, Error, Opcode
from sim.device import SimDevice
from tests.compiler.builder import Builder, branches
from tests.device import test_errors
from tests.device.devices import check_chained, check_network
from tests.device.test_networks import concat, concat_of_input, pools, residual, two_consumers
from tests.layers import STRATA, draw

TINY = PRESETS["tiny"]
MODES = ("off", "auto", "on")


@pytest.fixture(scope="module")
def tiny():
    with SimDevice(TINY, "cpp", 4 << 20) as device:
        yield device


def plain_net(seed=0):
    """Convolutions with ReLU, channels in whole blocks, a fused and a separate pool, a residual."""
    b = Builder((4, 12, 13), seed)
    x = b.conv("x", 8, pads=(1, 1, 1, 1), relu=True)
    x = b.pool(b.conv(x, 8, pads=(1, 1, 1, 1), relu=True), "max", (2, 2), (2, 2))
    y = b.conv(x, 8, (1, 1), relu=True)
    b.add(x, y, relu=True)
    return b.graph


def prepare(graph, batch, seed=0, zeros=0.0):
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(max(batch, 4), *graph.tensors["x"].shape))
    raw[rng.random(raw.shape) < zeros] = 0
    network = quantise(graph, raw)
    return network, quantise_input(network, raw[:batch])


@pytest.mark.parametrize(
    "make", [two_consumers, concat, concat_of_input, residual, pools, branches, plain_net]
)
def test_networks(tiny, make):
    """Every tensor equals golden whatever is coded, layer by layer and chained, with and without
    stalls."""
    for seed in range(2):
        network, images = prepare(make(seed), 1 + seed * 2, seed, 0.5 * seed)
        tiny.stall(0.3 * seed)
        for rlc in MODES:
            program, _ = check_network(tiny, network, images, rlc=rlc)
            assert (
                rlc == "off" or any(v.storage.rlc for v in program.views.values()) or rlc == "auto"
            )
            assert rlc != "off" or not any(v.storage.rlc for v in program.views.values())
        check_chained(tiny, network, images, rlc="on")
    tiny.stall(0.0)


def strips_of(tensor, storage):
    """[image, row * blocks + block] -> its entries, of a tensor that fills its blocks."""
    n, c, h, w = tensor.shape
    assert c == storage.blocks * storage.block
    return (
        tensor.reshape(n, -1, storage.block, h, w)
        .transpose(0, 3, 1, 4, 2)
        .reshape(n, h * storage.blocks, -1)
    )


def predicted(program, tensors):
    """(bytes read, written) by the commands of each segment, from golden's tensors alone."""
    coded = {}
    for name, view in program.views.items():
        if view.storage.rlc:
            strips = strips_of(tensors[name], view.storage)
            lengths = encode(strips.reshape(-1, strips.shape[2]))[1].reshape(strips.shape[:2])
            coded[name] = view.storage, lengths.astype(int)

    def length(address):
        for s, lengths in coded.values():
            image, rest = divmod(address - s.address, s.image_bytes)
            if 0 <= image < len(lengths):
                assert rest % s.strip_bytes == 0
                return lengths[image, rest // s.strip_bytes]
        raise AssertionError(hex(address))

    out = {}
    for segment in program.segments:
        read = write = 0
        for i in range(segment.first, segment.first + segment.count):
            opcode, _, _, f = isa.unpack(
                program.commands[i * COMMAND_BYTES : (i + 1) * COMMAND_BYTES]
            )
            if opcode == Opcode.LOAD:
                for a, b in itertools.product(range(f["count_a"]), range(f["count_b"])):
                    if f["rlc"]:
                        lane = (f["table"] + a * f["stride_a"] + b * f["table_b"]) % 8 // 2
                        read += 8 * -(-(lane + f["count_c"]) // 4)
                    for c in range(f["count_c"]):
                        at = f["dram"] + a * f["stride_a"] + b * f["stride_b"] + c * f["stride_c"]
                        read += 8 * (length(at) if f["rlc"] else f["length"])
            elif opcode == Opcode.STORE:
                for a, b, c in itertools.product(
                    *(range(f[n]) for n in ("images", "rows", "blocks"))
                ):
                    at = (
                        f["dram"]
                        + a * f["out_image_stride"]
                        + b * f["out_row_stride"]
                        + c * f["out_block_stride"]
                    )
                    write += 8 * length(at) + 2 if f["rlc"] else 2 * f["columns"] * f["out_block"]
        out[segment.name] = read, write
    return out


@pytest.mark.parametrize("zeros, coded", [(0.0, False), (0.6, True), (0.95, True)])
def test_bytes_are_those_predicted(tiny, zeros, coded):
    network, images = prepare(plain_net(), 2, 3, zeros)
    tensors = golden_run(network, images).tensors
    total = {}
    for rlc in MODES:
        program, counters = check_network(tiny, network, images, rlc=rlc)
        _, model = check_network(Interpreter(TINY, program.end), network, images, rlc=rlc)
        for name, (read, write) in predicted(program, tensors).items():
            got = counters[name]
            assert (
                got["dram_read_bytes"] - got["command_bytes"]
                == read
                == model[name]["dram_read_bytes"]
            )
            assert got["dram_write_bytes"] == write == model[name]["dram_write_bytes"]
        total[rlc] = sum(
            c["dram_read_bytes"] + c["dram_write_bytes"] - c["command_bytes"]
            for c in counters.values()
        )
    assert total["auto"] <= min(total["off"], total["on"])
    # the mappings differ too: what is coded may be read again where what is dense was kept
    assert total["on"] < total["off"] or not coded


@pytest.mark.parametrize("value", [0, 1])
def test_extremes(tiny, value):
    """Feature maps of zeros only, and without any: the same program runs right with both."""
    b = Builder((4, 9, 10), 1)
    b.pool(b.conv("x", 8, pads=(1, 1, 1, 1), relu=True), "max", (3, 3), (2, 2), pads=(1, 1, 1, 1))
    network, images = prepare(b.graph, 2)
    n = network.convs["conv_t0"]
    n.bias[:] = (1 << 30) * (2 * value - 1)  # all or nothing survives the ReLU
    if value:
        images = np.where(images == 0, 1, images).astype(np.int16)
    else:
        images[:] = 0
    program, counters = check_network(tiny, network, images, rlc="on")
    final = golden_run(network, images).tensors[b.graph.output]
    assert (final != 0).all() if value else not final.any()
    view = program.views[b.graph.output]
    strips = 2 * view.storage.height * view.storage.blocks
    words = -(-view.storage.entries // 3) if value else 0
    assert counters[program.segments[-1].name]["dram_write_bytes"] == strips * (8 * words + 2)


class Case(test_errors.Case):
    """A coded layer on the device."""

    def __init__(self, device):
        self.device = device
        b = Builder((4, 9, 10), 1)
        b.conv("x", 8, pads=(1, 1, 1, 1), relu=True)
        self.network, self.images = prepare(b.graph, 2)
        self.program = compile_network(self.network, TINY, Options(images=2, rlc="on"))
        raw = self.program.commands
        self.commands = [raw[i : i + COMMAND_BYTES] for i in range(0, len(raw), COMMAND_BYTES)]
        self.clear()

    def output(self):
        return self.program.read_tensor(self.device, self.network.graph.output)

    def recovers(self):
        tensors = golden_run(self.network, self.images).tensors
        self.device.write_register(isa.Register.CONTROL, 2)
        self.clear()
        assert self.run().ok
        np.testing.assert_array_equal(self.output(), tensors[self.network.graph.output])


@pytest.fixture(scope="module", params=["rtl", "interpreter"])
def case(request):
    if request.param == "interpreter":
        yield Case(Interpreter(TINY, 1 << 20))
    else:
        with SimDevice(TINY, "cpp", 1 << 20) as device:
            yield Case(device)


def load_of(case, strip):
    """Index of the first LOAD that reads a strip (row * blocks + block of image 0) of the input."""
    s = case.program.views["x"].storage
    at = s.address + strip * s.strip_bytes
    for i, raw in enumerate(case.commands):
        opcode, _, _, f = isa.unpack(raw)
        if (
            opcode == Opcode.LOAD
            and f["rlc"]
            and any(
                at == f["dram"] + a * f["stride_a"] + b * f["stride_b"] + c * f["stride_c"]
                for a in range(f["count_a"])
                for b in range(f["count_b"])
                for c in range(f["count_c"])
            )
        ):
            return i
    raise AssertionError("nobody reads it")


@pytest.mark.parametrize(
    "what",
    [
        "length over the slot",
        "length 65535",
        "length too short",
        "length too long",
        "no termination",
        "rubbish",
    ],
)
def test_corrupted(case, what):
    """The error and the command, nothing else written, and a reset that recovers."""
    view = case.program.views["x"]
    s, strip = view.storage, 6
    slot, entry = s.address + strip * s.strip_bytes, view.table() + 2 * strip
    length = int.from_bytes(case.device.read(entry, 2), "little")
    assert 1 < length
    match what:
        case "length over the slot":
            case.device.write(entry, (s.strip_bytes // 8 + 1).to_bytes(2, "little"))
        case "length 65535":
            case.device.write(entry, b"\xff\xff")
        case "length too short":
            case.device.write(entry, (length - 1).to_bytes(2, "little"))
        case "length too long":
            case.device.write(entry, (length + 1).to_bytes(2, "little"))
        case "no termination":
            last = slot + 8 * length - 1
            case.device.write(last, bytes([case.device.read(last, 1)[0] & 0x7F]))
        case "rubbish":
            case.device.write(slot, b"\xff" * 8 * length)
    out = case.program.views[case.network.graph.output].storage
    result = case.run()
    assert (result.error, result.index) == (Error.RLC_STREAM, load_of(case, strip))
    # A layer of one row of tiles at most was stored before; the slots of the last row were not
    # touched.
    end = out.address + 2 * out.image_bytes
    assert not any(case.device.read(end, 4096 - end % 4096))
    case.recovers()


def test_reading_a_corrupted_tensor():
    """The host refuses what the hardware would."""
    case = Case(Interpreter(TINY, 1 << 20))
    view = case.program.views["x"]
    case.device.write(view.table(), b"\xff\xff")
    with pytest.raises(ValueError, match="strip 0"):
        case.program.read_tensor(case.device, "x")


def test_windows(case):
    """Coded strips and their table keep to the write window."""
    out = case.program.views[case.network.graph.output]
    limit = out.table()
    result = case.run(write_limit=limit)
    assert (result.error, result.index) == (Error.WRITE_WINDOW, case.index(Opcode.STORE))
    case.recovers()


def test_program_is_ordered(tiny):
    """Segments one by one, twice over: lengths of an earlier batch do no harm."""
    network, images = prepare(plain_net(), 2, 5, 0.7)
    program, _ = check_network(tiny, network, images, rlc="on")
    other = np.ascontiguousarray(images[::-1])
    program.write_input(tiny, other)
    for segment in program.segments:
        start_segment(program, tiny, segment)
    np.testing.assert_array_equal(
        program.read_tensor(tiny, network.graph.output),
        golden_run(network, other).tensors[network.graph.output],
    )


def test_random_layers():
    """A layer of every stratum, coded wherever that is possible; bytes are the interpreter's but
    where an ofmap does not fill its blocks: what the buffer held before is coded there."""
    seen = 0
    with SimDevice(TINY, "cpp", 16 << 20) as device:
        for seed in range(100, 100 + len(STRATA)):
            _, _, network, images = draw(seed)
            device.stall(0.3 if seed % 2 else 0.0)
            program, got = check_network(device, network, images, rlc="on")
            _, want = check_network(Interpreter(TINY, program.end), network, images, rlc="on")
            seen += sum(view.storage.rlc for view in program.views.values())
            got, want = got["layer"], want["layer"]
            assert got["dram_read_bytes"] - got["command_bytes"] == want["dram_read_bytes"], seed
            out = program.views["out"].storage
            if out.blocks * out.block == network.graph.tensors["out"].channels:
                assert got["dram_write_bytes"] == want["dram_write_bytes"], seed
    assert seen >= len(STRATA)
