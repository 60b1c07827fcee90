import json
import time

import numpy as np
import onnxruntime

from compiler.frontend.images import read_images, read_labels
from compiler.frontend.onnx_import import load
from compiler.quantise.fixed_point import golden_run, quantise, quantise_input
from compiler.quantise.float_run import float_run, host_run
from tests.data import ROOT, shared

MODELS = ROOT / "compiler" / "models"
CALIBRATION, HELD_OUT = MODELS / "digits_calibration.npz", MODELS / "digits_heldout.npz"


def answers(graph, output):
    y = host_run(graph, output)
    return y if y.ndim == 1 else y.argmax(axis=1)


def test_calibration_and_held_out_images_are_disjoint():
    calibration, held_out = (read_images(p, (1, 28, 28)) for p in (CALIBRATION, HELD_OUT))
    assert len(calibration) == 100 and len(held_out) == 450
    assert not {x.tobytes() for x in calibration} & {x.tobytes() for x in held_out}


def test_lenet5_on_held_out_digits():
    graph = load(MODELS / "lenet5.onnx")
    assert [graph.tensors[layer.output].shape for layer in graph.layers] == [
        (6, 28, 28),
        (6, 14, 14),
        (16, 10, 10),
        (16, 5, 5),
        (120, 1, 1),
        (84, 1, 1),
        (10, 1, 1),
    ]
    images = read_images(HELD_OUT, (1, 28, 28))
    labels = read_labels(HELD_OUT, len(images))
    logits = float_run(graph, images, keep={graph.output})[graph.output]
    expected = onnxruntime.InferenceSession(MODELS / "lenet5.onnx").run(None, {"image": images})[0]
    assert np.allclose(logits[:, :, 0, 0], expected, atol=1e-4)
    accuracy = (answers(graph, logits) == labels).mean()
    assert accuracy >= 0.98
    assert (
        round(accuracy, 4) == json.loads((MODELS / "lenet5.json").read_text())["heldout_accuracy"]
    )
    q = quantise(graph, read_images(CALIBRATION, (1, 28, 28)))
    run = golden_run(q, quantise_input(q, images), keep={graph.output})
    assert sum(run.wrapped.values()) == 0
    assert abs((answers(graph, run.tensors[graph.output]) == labels).mean() - accuracy) <= 0.001


def test_mnist_keeps_its_accuracy_on_ten_thousand_images():
    """Calibrated on the project's own digits, so that every MNIST image is one it has not seen."""
    graph = load(shared("mnist_uint8.onnx"))
    images = read_images(shared("mnist/t10k-images-idx3-ubyte.gz"), (1, 28, 28))
    labels = read_labels(shared("mnist/t10k-labels-idx1-ubyte.gz"), len(images))
    exact = (
        answers(graph, float_run(graph, images, keep={graph.output})[graph.output]) == labels
    ).mean()
    q = quantise(graph, read_images(CALIBRATION, (1, 28, 28)))
    begin = time.monotonic()
    run = golden_run(q, quantise_input(q, images), keep={graph.output})
    assert time.monotonic() - begin < 60
    golden = (answers(graph, run.tensors[graph.output]) == labels).mean()
    print(f"MNIST, 10,000 images: float {exact:.4f}, golden {golden:.4f}")
    assert exact > 0.98 and abs(golden - exact) <= 0.001
    assert sum(run.wrapped.values()) == 0


def test_mnist_float_run_matches_onnxruntime():
    path = shared("mnist_uint8.onnx")
    graph = load(path)
    images = read_images(shared("mnist/t10k-images-idx3-ubyte.gz"), (1, 28, 28))[:50]
    session = onnxruntime.InferenceSession(path)
    expected = [int(session.run(None, {"input": x[None].astype(np.uint8)})[0][0]) for x in images]
    assert host_run(graph, float_run(graph, images)[graph.output]).tolist() == expected
