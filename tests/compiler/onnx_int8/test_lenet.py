"""LeNet-5 as onnxruntime quantises it: accuracy beside that of the floats, and how many integers
differ from onnxruntime's."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from compiler.frontend.onnx_import import load
from compiler.layers import IntConv, IntPool
from compiler.quantise.integer_graph import integer_network
from compiler.quantise.integer_run import host_result, integer_run, quantised_input
from tests.compiler.onnx_int8.nets import PSUM_BITS, Runtime, Tally, same_as_golden
from tests.data import ROOT

MODELS = ROOT / "compiler" / "models"
LENET, IMAGES = MODELS / "lenet5.onnx", 200
MOST_WRONG = 2  # images fewer than the floats have right
KINDS = [IntConv, IntPool, IntConv, IntPool, IntConv, IntConv, IntConv]


def digits(name: str) -> tuple[np.ndarray, np.ndarray]:
    """(float32 pixels [N, 1, 28, 28], labels [N])."""
    with np.load(MODELS / f"digits_{name}.npz") as archive:
        return archive["images"].astype(np.float32), archive["labels"]


class Reader(CalibrationDataReader):
    def __init__(self):
        self.images = iter(digits("calibration")[0])

    def get_next(self):
        image = next(self.images, None)
        return None if image is None else {"image": image[None]}


@pytest.fixture(scope="module")
def heldout():
    """(images, labels, how many the network of floats has right)."""
    images, labels = (part[:IMAGES] for part in digits("heldout"))
    scores = onnxruntime.InferenceSession(LENET).run(None, {"image": images})[0]
    return images, labels, int((scores.argmax(axis=1) == labels).sum())


@pytest.mark.parametrize("activations", [QuantType.QInt8, QuantType.QUInt8], ids=str)
@pytest.mark.parametrize("per_channel", [False, True], ids=["tensor", "channel"])
@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator], ids=str)
def test_lenet(form, per_channel, activations, heldout, tmp_path):
    images, labels, right = heldout
    quantize_static(
        LENET,
        tmp_path / "quantised.onnx",
        Reader(),
        quant_format=form,
        per_channel=per_channel,
        activation_type=activations,
    )
    model = onnx.load(tmp_path / "quantised.onnx")
    graph = load(tmp_path / "quantised.onnx")
    assert [type(layer) for layer in graph.layers] == KINDS
    assert graph.real_input == "image" and graph.host_ops == ("dequantise",)
    q = quantised_input(graph, images)
    values, result = integer_run(graph, q), graph.results[0]
    mine = host_result(graph, result.tensor, values[result.tensor], result.host_ops)
    mine = mine.reshape(IMAGES, -1)
    same_as_golden(graph, integer_network(graph, PSUM_BITS), q)

    for floats in (False, True) if form == QuantFormat.QDQ else (False,):
        # Sums of floats are rounded on their way: more may be a half.
        alone = Tally(window=2.0**-12) if floats else Tally()
        got = Runtime(model, graph, floats).run(images)
        assert np.array_equal(q, got[graph.input])
        alone.layers(graph, got)
        theirs = got[result.name]
        steps = np.rint(np.abs(mine - theirs) / graph.tensors[result.tensor].affine.scale)
        ours, reference = (int((y.argmax(axis=1) == labels).sum()) for y in (mine, theirs))
        print(
            f"{form} {activations}, scales per {'channel' if per_channel else 'tensor'}, "
            f"onnxruntime in {'floats' if floats else 'integers'}: {right} of {IMAGES} right in "
            f"the network of floats, {ours} here, {reference} in onnxruntime; {steps.size} "
            f"outputs, {np.count_nonzero(steps)} differ, by {steps.max():.0f} at most; layers, "
            f"each of onnxruntime's inputs: {alone}"
        )
        assert ours >= right - MOST_WRONG and abs(ours - reference) <= 1
        assert alone.share() < 1e-4
        assert steps.max() <= 2 and np.count_nonzero(steps) <= steps.size // 50
