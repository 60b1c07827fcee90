"""A TFLite file run by LiteRT's own reference kernels, with every tensor kept."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import tflite


class Reference:
    """Raises ImportError without the package ai-edge-litert."""

    def __init__(self, model: bytes):
        litert = import_module("ai_edge_litert.interpreter")  # of an extra
        self.interpreter = litert.Interpreter(
            model_content=model,
            experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=True,
        )
        self.interpreter.allocate_tensors()
        self.input = self.interpreter.get_input_details()[0]
        self.model: Any = tflite.Model.GetRootAs(model, 0)

    def computed(self) -> set[str]:
        """Names of the tensors that the file's operators write, and of its input: from the file."""
        graph = self.model.Subgraphs(0)
        numbers = {self.input["index"]}
        for n in range(graph.OperatorsLength()):
            numbers.update(graph.Operators(n).OutputsAsNumpy().tolist())
        names = [graph.Tensors(n).Name().decode() for n in numbers]
        assert len(set(names)) == len(names)
        return set(names)

    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Every tensor that the model computes, and its input, by name; image: of its input's
        shape."""
        self.interpreter.set_tensor(self.input["index"], image)
        self.interpreter.invoke()
        tensors = {}
        for details in self.interpreter.get_tensor_details():
            try:
                value = self.interpreter.get_tensor(details["index"])
            except ValueError:  # scratch memory of a kernel
                continue
            tensors.setdefault(details["name"], value)
        return tensors
