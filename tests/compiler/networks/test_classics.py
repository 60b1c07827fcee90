"""Known networks at full size: their sizes, and golden against onnxruntime."""

import numpy as np
import onnxruntime
import pytest
from onnx import numpy_helper

from compiler.frontend.onnx_import import load
from compiler.networks.classics import CLASSICS, classic, classic_images
from compiler.networks.layer_tables import NETWORKS
from compiler.quantise.fixed_point import dequantise, golden_run, quantise, quantise_input

# Trainable parameters with those of batch normalisation: torchvision's models, MobileNetV1 Keras's
# (without the 1,000 scales that its last layer, a convolution, does not have either).
PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "mobilenetv1": 4_231_976,
    "mobilenetv2": 3_504_872,
    "densenet121": 7_978_856,
    "squeezenet1.0": 1_248_424,
    "squeezenet1.1": 1_235_496,
}
# seconds of random numbers; their tables are tested in test_networks.py
LARGE = ("alexnet", "vgg16")


def parameters(model):
    """Without the means and variances of batch normalisation."""
    return sum(
        int(np.prod(t.dims))
        for t in model.graph.initializer
        if t.name.rpartition(".")[2] not in ("mean", "variance")
    )


@pytest.mark.parametrize("name", [name for name in CLASSICS if name not in LARGE])
def test_sizes(name):
    model = classic(name)
    if name in PARAMETERS:
        assert parameters(model) == PARAMETERS[name]
    graph = load(model.SerializeToString())
    if name in NETWORKS:
        assert graph.macs() == sum(layer.macs for layer in NETWORKS[name].part("all"))
    classes = {"lenet5": 10, "resnet50-last": 2048}.get(name, 1000)
    assert graph.tensors[graph.output].channels == classes


def test_same_at_every_call():
    first, second = (classic("lenet5").graph.initializer[0] for _ in range(2))
    np.testing.assert_array_equal(numpy_helper.to_array(first), numpy_helper.to_array(second))
    np.testing.assert_array_equal(classic_images((3, 9, 17), 2), classic_images((3, 9, 17), 2))


@pytest.mark.parametrize("name", ["lenet5", "squeezenet1.1", "mobilenetv2", "resnet50-last"])
def test_golden_agrees_with_onnxruntime(name):
    data = classic(name).SerializeToString()
    graph = load(data)
    images = classic_images(graph.tensors[graph.input].shape, 3)
    network = quantise(graph, images[1:])
    run = golden_run(network, quantise_input(network, images[:1]), keep={graph.output})
    expected = onnxruntime.InferenceSession(data).run(None, {"x": images[:1]})[0].ravel()
    got = dequantise(network, graph.output, run.tensors[graph.output]).ravel()
    assert not sum(run.wrapped.values()) and got.argmax() == expected.argmax()
    assert 10 * np.log10((expected**2).sum() / ((got - expected) ** 2).sum()) > 50  # dB


def test_unknown():
    with pytest.raises(ValueError, match="network 'nope': choose from lenet5, alexnet, "):
        classic("nope")
