"""Small ONNX models for tests, and the two references that run them."""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

onnxruntime.set_default_logger_severity(4)


def model(
    nodes,
    shape,
    constants=None,
    *,
    input_type=TensorProto.FLOAT,
    output="y",
    output_type=TensorProto.FLOAT,
):
    """Model with input `x` of `shape`, output `y` (or names between spaces), and constants as
    initialisers. opset 19."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", input_type, shape)],
        [helper.make_tensor_value_info(name, output_type, None) for name in output.split()],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def node(op, inputs, outputs="y", **attributes):
    """Node named like its first output; inputs and outputs are space-separated names."""
    return helper.make_node(
        op, inputs.split(), outputs.split(), name=outputs.split()[0] + "_node", **attributes
    )


def reference(m, x):
    """The model's output by onnx.reference."""
    return ReferenceEvaluator(m).run(None, {"x": x})[0]


def runtime(m, x):
    """The model's first output by onnxruntime."""
    return runtimes(m, x)[0]


def runtimes(m, x):
    """All outputs of the model by onnxruntime."""
    return onnxruntime.InferenceSession(m.SerializeToString()).run(None, {"x": x})
