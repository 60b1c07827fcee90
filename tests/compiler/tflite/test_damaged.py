"""Bad TFLite files: one line that names the node or the tensor, and no other exception."""

import numpy as np
import pytest

from compiler.frontend.tflite_import import load
from compiler.graph import NetworkError
from tests.tflite_models import ModelWriter

USUAL, MOST = 300, 5000  # mutated files


def net(**change) -> bytes:
    """A small network of most operators; `change` replaces one thing of it."""
    m, scale, zero = ModelWriter(), change.get("scale", 0.5), change.get("zero", 3)
    shape = change.get("shape", (1, 6, 6, 2))
    signature = change.get("signature")
    x = m.tensor("x", shape, scale=0.1, zero=5, signature=signature)
    w = np.arange(4 * 9 * 2, dtype=change.get("weights", np.int8)).reshape(4, 3, 3, 2)
    w = m.constant("w", w, scale=change.get("w_scale", [0.1, 0.2, 0.3, 0.4]), axis=0)
    bias = change.get("bias", np.arange(4, dtype=np.int32))
    b = m.constant("b", bias, scale=change.get("b_scale", [0.01, 0.02, 0.03, 0.04]))
    y = m.tensor("y", (1, 6, 6, 4), change.get("type", "int8"), scale=scale, zero=zero)
    window = dict(Padding=0, StrideH=change.get("stride", 1), StrideW=1)
    dilation = dict(DilationHFactor=change.get("dilation", 1), DilationWFactor=1)
    m.op(change.get("op", "CONV_2D"), [x, w, b], [y], **window, **dilation)
    p = m.tensor("p", (1, 3, 3, 4), scale=change.get("p_scale", 0.5), zero=3)
    pool = dict(Padding=1, StrideH=2, StrideW=2, FilterHeight=2, FilterWidth=2)
    m.op("AVERAGE_POOL_2D", [y], [p], **pool)
    s = m.tensor("s", (1, 3, 3, 4), scale=0.25, zero=-3)
    m.op("ADD", [p, change.get("other", p)], [s], FusedActivationFunction=1)
    c = m.tensor("c", (1, 3, 3, 8), scale=0.25, zero=-3)
    m.op("CONCATENATION", [s, s], [c], Axis=change.get("axis", 3))
    f = m.tensor("f", (1, change.get("flat", 72)), scale=0.25, zero=-3)
    m.op("RESHAPE", [c, m.constant("to", np.array([-1, 72], np.int32))], [f])
    k = m.constant("k", np.ones((3, 72), np.int8), scale=0.1)
    o = m.tensor("o", (1, 3), scale=0.5, zero=0)
    m.op("FULLY_CONNECTED", [f, k, -1], [o])
    z = m.tensor("z", (1, 3), scale=1 / 256, zero=change.get("soft", -128))
    m.op("SOFTMAX", [o], [z], Beta=1.0)
    return m.finish([x], [z], change.get("version", 3))


def test_the_network_itself():
    graph = load(net())
    assert [layer.name for layer in graph.layers] == [
        "conv_2d_0",
        "average_pool_2d_1",
        "add_2",
        "concatenation_3",
        "fully_connected_5",
    ]
    assert graph.results[0].name == "z" and graph.host_ops == ("softmax",)
    assert graph.tensors["x"].shape == (2, 6, 6)
    load(net(signature=(-1, 6, 6, 2)))  # an open batch


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(scale=0.0), "tensor 'y': scale 0.0: it must be finite and above 0"),
        (dict(scale=float("nan")), "tensor 'y': scale nan: it must be finite and above 0"),
        (dict(scale=float("inf")), "tensor 'y': scale inf: it must be finite and above 0"),
        (dict(scale=1e-20), "node 'conv_2d_0' (CONV_2D): its scales give a factor of 4e+18"),
        (dict(zero=128), "tensor 'y': zero point 128: outside -128..127 of INT8"),
        (dict(zero=-129), "tensor 'y': zero point -129: outside -128..127 of INT8"),
        (dict(scale=(), zero=()), "tensor 'y': one scale and one zero point are needed"),
        (dict(scale=[0.1, 0.2], zero=[0, 0]), "tensor 'y': one scale and one zero point"),
        (dict(type="int16"), "tensor 'y': type INT16: int8 and uint8 are supported"),
        (dict(type="float32"), "tensor 'y': type FLOAT32: int8 and uint8 are supported"),
        (dict(weights=np.uint8), "node 'conv_2d_0' (CONV_2D): input 'w' is UINT8: INT8 is"),
        (dict(w_scale=[0.1, 0.2]), "tensor 'w': 2 scales and 2 zero points for 4 filters"),
        (dict(w_scale=[0.1, 0.2, 0.3, -1]), "tensor 'w': scales must be finite and above 0"),
        (dict(bias=np.arange(3, dtype=np.int32)), "tensor 'b': shape [3] with zero points [0]"),
        (dict(bias=np.arange(4, dtype=np.float32)), "(CONV_2D): input 'b' is FLOAT32: INT32"),
        (dict(stride=0), "node 'conv_2d_0' (CONV_2D): StrideH 0 and StrideW 1: they must be"),
        (dict(dilation=2), "node 'conv_2d_0' (CONV_2D): dilations [2, 1] are not supported"),
        (dict(op="TRANSPOSE_CONV"), "node 'transpose_conv_0' (TRANSPOSE_CONV): operator not"),
        (dict(shape=(1, 5, 6, 2)), "(CONV_2D): its output has shape [1, 6, 6, 4], its inputs"),
        (dict(shape=(1, 6, 6, 3)), "(CONV_2D): 3 channels do not fit filters [4, 3, 3, 2]"),
        (dict(shape=(6, 6)), "node 'conv_2d_0' (CONV_2D): 6 channels do not fit filters"),
        (dict(shape=(1, 0, 6, 2)), "tensor 'x': shape [1, 0, 6, 2]: fixed sizes"),
        (dict(signature=(-1, -1, 6, 2)), "tensor 'x': shape [-1, -1, 6, 2]: fixed sizes"),
        (dict(p_scale=0.4), "(AVERAGE_POOL_2D): scale or zero point of 'y' and of 'p' differ"),
        (dict(other=1), "node 'add_2' (ADD): input 1 'w' must be computed from"),
        (dict(other=0), "node 'add_2' (ADD): inputs of different shape"),
        (dict(axis=1), "node 'concatenation_3' (CONCATENATION): axis 1 of 4: along the channels"),
        (dict(b_scale=[0.01, 0.02, 0.03, 0.0]), "'b': scales must be finite and above 0"),
        (dict(b_scale=[0.01, np.nan, 0.03, 0.04]), "'b': scales must be finite and above 0"),
        (dict(flat=71), "node 'reshape_4' (RESHAPE): to [-1, 72], its output has shape [1, 71]"),
        (dict(soft=0), "node 'softmax_6' (SOFTMAX): output of scale 0.00390625 and zero point 0"),
        (dict(version=2), "TFLite data: version 2 of the format: 3 is supported"),
    ],
)
def test_refused_in_one_line(change, message):
    with pytest.raises(NetworkError) as error:
        load(net(**change))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_float_models_are_refused_by_name():
    m = ModelWriter()
    x, y = (m.tensor(name, (1, 4), "float32") for name in "xy")
    m.op("RELU", [x], [y])
    with pytest.raises(NetworkError, match=r"node 'relu_0' \(RELU\): input 'x' is FLOAT32: INT8"):
        load(m.finish([x], [y]))


def test_output_without_a_layer():
    m = ModelWriter()
    x = m.tensor("x", (1, 4), scale=0.1)
    with pytest.raises(NetworkError, match="output 'x' is input 'x' itself"):
        load(m.finish([x], [x]))


def test_broken_files(tmp_path):
    with pytest.raises(NetworkError, match="absent.tflite: No such file"):
        load(tmp_path / "absent.tflite")
    with pytest.raises(NetworkError, match="TFLite data: not a TFLite file"):
        load(b"")
    whole = net()
    short = whole.replace(np.arange(4, dtype=np.int32).tobytes(), b"")
    for raw in (whole[:40], whole[: len(whole) // 2], short):
        with pytest.raises(NetworkError):
            load(raw)


def test_short_buffer():
    m = ModelWriter()
    x, y = (m.tensor(name, (1, 4), scale=0.1) for name in "xy")
    w = m.tensor("w", (4, 4), scale=0.1, data=np.ones(15, np.int8))
    m.op("FULLY_CONNECTED", [x, w], [y])
    with pytest.raises(
        NetworkError, match=r"tensor 'w': its buffer has 15 bytes, its shape \[4, 4\]"
    ):
        load(m.finish([x], [y]))


def mutated(raw: bytes, rng: np.random.Generator) -> bytes:
    """Bytes or words changed, cut out, or the end missing."""
    data = np.frombuffer(raw, np.uint8).copy()
    kind, at = rng.integers(5), int(rng.integers(len(data)))
    if kind == 0:
        return raw[:at]
    if kind == 1:
        return raw[:at] + raw[at + int(rng.integers(1, 9)) :]
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(8, len(data) - 4))
        if kind == 2:
            data[at] = rng.integers(256)
        elif kind == 3:
            data[at] ^= 1 << rng.integers(8)
        else:
            word = rng.choice([0, 1, 255, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1])
            at -= at % 4
            data[at : at + 4] = np.frombuffer(np.uint32(word).tobytes(), np.uint8)
    return data.tobytes()


def test_mutated_files(cases):
    whole, refused, count = net(), 0, cases(USUAL, MOST)
    for seed in range(count):
        raw = mutated(whole, np.random.default_rng(seed))
        try:
            load(raw)
        except NetworkError as error:
            refused += 1
            assert "\n" not in str(error), seed
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
    assert refused > count // 3
