"""An ONNX file as a model that is whole: read, its nodes in order, every name computed, checked.

What is wrong with it is one line that names the node, tensor or output where it is.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError, Message

from compiler.graph import NetworkError

CHECKS = (onnx.checker.ValidationError, ValueError, RuntimeError)


def read(source: str | Path | bytes) -> onnx.ModelProto:
    """The model of an ONNX file (a path) or of its bytes, its nodes named and in topological order.

    Raises NetworkError: a file that cannot be read, or no valid model.
    """
    file = "ONNX data" if isinstance(source, bytes) else f"{source}"
    try:
        model = (
            onnx.load_model_from_string(source)
            if isinstance(source, bytes)
            else onnx.load(source, format="protobuf")
        )
    except OSError as error:
        raise NetworkError(f"{file}: {error.strerror or error}") from None
    except DecodeError:
        raise NetworkError(f"{file}: not an ONNX file, or a truncated one") from None
    except CHECKS as error:  # weights in files of their own
        line = _line(error, onnx.GraphProto())
        raise NetworkError(f"{file}: not a valid ONNX model: {line}") from None
    if (text := next(_undecoded(model), None)) is not None:
        raise NetworkError(f"{file}: not a valid ONNX model: {text!r} is no UTF-8 text")
    for node in model.graph.node:
        node.name = node.name or next(filter(None, node.output), "")
    for output in model.graph.output:
        # The checker wants a shape; many exporters leave it out.
        if output.type.WhichOneof("value") in ("tensor_type", None):
            output.type.tensor_type.shape.SetInParent()
    try:
        _check_names(model.graph)
        _sort(model.graph)
        onnx.checker.check_model(model)
    except NetworkError as error:
        raise NetworkError(f"{file}: not a valid ONNX model: {error}") from None
    except CHECKS as error:
        raise NetworkError(f"{file}: not a valid ONNX model: {_line(error, model.graph)}") from None
    _distinguish(model.graph)
    return model


def _undecoded(message: Message) -> Iterator[bytes]:
    """Texts of a message that are not UTF-8, which protobuf finds out when they are read."""
    for field, value in message.ListFields():
        many = isinstance(value, Sequence) and not isinstance(value, bytes)
        parts: Any = value if many else [value]
        if field.type == field.TYPE_MESSAGE:
            for part in parts:
                yield from _undecoded(part)
        elif field.type == field.TYPE_STRING:
            yield from (part for part in parts if isinstance(part, bytes))


def _distinguish(graph: onnx.GraphProto) -> None:
    """Gives a number to a node whose name another has: layers are told apart by theirs, and the
    name of an unnamed node's output may be that of another node."""
    taken, seen = {node.name for node in graph.node}, set()
    for node in graph.node:
        name, number = node.name, 1
        while name in seen or number > 1 and name in taken:
            number += 1
            name = f"{node.name}_{number}"
        seen.add(name)
        node.name = name


def _line(error: Exception, graph: onnx.GraphProto) -> str:
    """The first line of an error of onnx, with what it is about before it."""
    first = next((text.strip() for text in str(error).splitlines() if text.strip()), "invalid")
    return f"{_place(graph, str(error))}{first}"


def title(node: onnx.NodeProto) -> str:
    """How messages name a node."""
    return f"node {node.name!r} ({node.op_type})"


def _place(graph: onnx.GraphProto, text: str) -> str:
    """ "node 'x' (Conv): ", or what else of the network the checker's `text` is about, or ''."""
    if found := re.search(r"name: (.*) optype: (\S+)", text, re.IGNORECASE):
        return f"node {found[1]!r} ({found[2]}): "
    if found := re.search(r"tensor name: ([^)\n]*)\)", text):
        return f"initializer {found[1]!r}: "
    for kind, parts in (
        ("initializer", graph.initializer),
        ("input", graph.input),
        ("output", graph.output),
    ):
        for number, part in enumerate(parts):
            try:
                if isinstance(part, onnx.TensorProto):
                    onnx.checker.check_tensor(part)
                else:
                    onnx.checker.check_value_info(part)
            except Exception:
                return f"{kind} {part.name!r}: " if part.name else f"{kind} number {number + 1}: "
    return ""


# ---- the order of nodes ------------------------------------------------------------------
def _read(node: onnx.NodeProto) -> Iterator[str]:
    """Names that a node reads, those of its subgraphs too."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _read(inner)


def _sort(graph: onnx.GraphProto) -> None:
    """Nodes in an order in which each comes after what it reads, those in order as they are.

    Raises NetworkError for a name that nothing computes or two nodes do, or a cycle.
    """
    nodes = list(graph.node)
    maker: dict[str, int] = {}
    for n, node in enumerate(nodes):
        for name in filter(None, node.output):
            if maker.setdefault(name, n) != n:
                raise NetworkError(
                    f"{title(node)}: its output {name!r} is that of {title(nodes[maker[name]])} too"
                )
    known = {
        *maker,
        *(i.name for i in graph.input),
        *(t.name for t in graph.initializer),
        *(t.values.name for t in graph.sparse_initializer),
    }
    for node in nodes:
        for name in filter(None, node.input):
            if name not in known:
                raise NetworkError(f"{title(node)}: nothing computes its input {name!r}")
    before = [{maker[name] for name in _read(node) if name in maker} for node in nodes]
    after: list[list[int]] = [[] for _ in nodes]
    for n, needs in enumerate(before):
        for need in needs:
            after[need].append(n)
    missing = [len(needs) for needs in before]
    ready, order = [n for n, count in enumerate(missing) if not count], []
    while ready:
        order.append(heapq.heappop(ready))
        for n in after[order[-1]]:
            missing[n] -= 1
            if not missing[n]:
                heapq.heappush(ready, n)
    if len(order) < len(nodes):
        raise NetworkError(_cycle(nodes, maker, before, set(range(len(nodes))) - set(order)))
    if order != sorted(order):
        sorted_nodes = [onnx.NodeProto.FromString(nodes[n].SerializeToString()) for n in order]
        del graph.node[:]
        graph.node.extend(sorted_nodes)


def _cycle(
    nodes: list[onnx.NodeProto], maker: dict[str, int], before: list[set[int]], left: set[int]
) -> str:
    """Names a node of a cycle. left: nodes in cycles, and those behind them."""
    at, seen = min(left), set()
    while at not in seen:
        seen.add(at)
        at = min(before[at] & left)  # every node that is left waits for another
    node, cause = nodes[at], min(before[at] & left)
    by = next((name for name in node.input if maker.get(name) == cause), None)
    reads = f"its input {by!r}" if by else "what it reads"
    return f"{title(node)}: in a cycle, {reads} is computed from its own output"


def _check_names(graph: onnx.GraphProto) -> None:
    """Raises NetworkError for an initializer without a name, or an output that is nowhere."""
    for number, tensor in enumerate(graph.initializer, 1):
        if not tensor.name:
            shape = list(tensor.dims)
            raise NetworkError(f"initializer number {number}, of shape {shape}, has no name")
    known = {name for node in graph.node for name in node.output} | {i.name for i in graph.input}
    known |= {t.name for t in graph.initializer} | {t.values.name for t in graph.sparse_initializer}
    for output in graph.output:
        if output.name not in known:
            raise NetworkError(f"output {output.name!r}: no node computes it")
