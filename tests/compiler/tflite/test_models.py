"""The MLPerf Tiny models against LiteRT's reference kernels, which read the model file: every
tensor, bit for bit."""

import gzip

import numpy as np
import pytest

from compiler.frontend.tflite_import import load
from compiler.quantise.integer_run import host_result, integer_run
from compiler.studies import tiny
from tests.data import shared
from tests.tflite_models import reference_of

INPUTS, USUAL = 24, 4
# Model -> (tensors that are compared of each input, those that are no tensors of the graph: other
# names of one, and what the host makes).
MODELS = {
    "ad01_int8": (11, []),
    "kws_ref_model": (14, ["functional_1/flatten/Reshape", "Identity"]),
    "pretrainedResnet_quant": (17, ["model/flatten/Reshape", "Identity_int8"]),
    "vww_96_int8": (32, ["model/flatten/Reshape", "Identity_int8"]),
}


def image(number: int, shape: tuple[int, ...]) -> np.ndarray:
    """int8 input `number` of 24: every fourth a digit where the shape is an image's, else what
    `make tiny` takes."""
    if number % 4 == 0 and len(shape) == 4 and shape[1] >= 28 and shape[2] >= 28:
        return digit(number // 4, shape)
    return tiny.image(number, shape)


def digit(number: int, shape: tuple[int, ...]) -> np.ndarray:
    """One of MNIST's, grey, as large as the shape has room for, in a black frame."""
    raw = gzip.decompress(shared("mnist/t10k-images-idx3-ubyte.gz").read_bytes())
    pixels = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28)[number]
    times = min(shape[1:3]) // 28
    large = np.kron(pixels, np.ones((times, times), np.uint8)).astype(np.int16) - 128
    frame = np.full(shape, -128, np.int8)
    high, wide = large.shape
    top, left = (shape[1] - high) // 2, (shape[2] - wide) // 2
    frame[0, top : top + high, left : left + wide] = large[:, :, None]
    return frame


@pytest.mark.parametrize("model", MODELS)
def test_every_tensor(model, cases):
    raw = shared(f"mlperf_tiny/{model}.tflite").read_bytes()
    graph, reference = load(raw), reference_of(raw)
    tensors, beside = MODELS[model]
    computed = reference.computed()
    step = INPUTS // cases(USUAL, INPUTS) | 1  # odd: every kind
    for number in range(0, INPUTS, step):
        x = image(number, tuple(reference.input["shape"]))
        expected = reference.run(x)
        nchw = x.transpose(0, 3, 1, 2) if x.ndim == 4 else x[:, :, None, None]
        got = integer_run(graph, np.ascontiguousarray(nchw))
        assert sorted({*computed} - {*got}) == sorted(beside)
        got |= {name: got[tensor] for name, tensor in graph.aliases.items()}
        for result in graph.results:
            if result.host_ops:
                got[result.name] = host_result(
                    graph, result.tensor, got[result.tensor], result.host_ops
                )
        assert {*got} == {*computed} and len(got) == tensors
        for name, value in got.items():
            want = expected[name]
            value = value.transpose(0, 2, 3, 1).reshape(want.shape)
            wrong = np.count_nonzero(value != want)
            assert value.dtype == want.dtype and not wrong, f"input {number}: {name}: {wrong}"
