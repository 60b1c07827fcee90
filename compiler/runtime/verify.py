"""A program tried before it leaves: the interpreter runs it, and every tensor in memory is
compared with golden."""

from __future__ import annotations

import numpy as np

from compiler.lowering.structures.coded import tensor_of
from compiler.lowering.structures.program import Program
from compiler.quantise.fixed_point import QuantisedGraph, golden_run
from compiler.runtime.device import run_program
from compiler.runtime.interpreter import Interpreter, ProgramError
from golden.rlc import RlcError


class Mismatch(Exception):
    """A program that does not compute its network; one line that names the tensor."""


def sample_of(program: Program, images: np.ndarray | None = None) -> np.ndarray:
    """int16 [program.images, C, H, W] to try a program on: int16 `images`, again and again as far
    as they are too few, or random ones."""
    if images is not None and len(images):
        return images[np.arange(program.images) % len(images)]
    graph = program.graph
    tensor = graph.tensors[graph.input]
    shape = (program.images, *tensor.shape)
    if (affine := tensor.affine) is not None:
        q = np.random.default_rng(0).integers(affine.lo, affine.hi + 1, shape)
        return affine.centred(q.astype(affine.dtype))
    return np.random.default_rng(0).integers(-1 << 12, 1 << 12, shape, np.int16)


def difference(got: np.ndarray, golden: np.ndarray) -> str:
    """How a tensor [N, C, H, W] differs from golden's, with the first element; nothing if it does
    not."""
    wrong = np.argwhere(got != golden)
    if not len(wrong):
        return ""
    at = tuple(wrong[0].tolist())
    return (
        f"{len(wrong)} of {got.size} elements differ from golden, the first (image, channel, row, "
        f"column) {at}: {got[at]}, golden {golden[at]}"
    )


def verify(
    program: Program, network: QuantisedGraph, images: np.ndarray | None = None
) -> tuple[int, int]:
    """Runs a program made with `chained` on sample_of(images) by the interpreter.

    Returns how many tensors are equal to golden, and how many the program keeps on chip (those
    before a fused pool), which are not compared. Raises Mismatch naming the first tensor that
    differs, the layer that makes it and the first element, or what the program does against its
    contract.
    """
    graph, images = network.graph, sample_of(program, images)
    device = Interpreter(program.config, program.end)
    program.load(device)
    program.write_input(device, images)
    try:
        result = run_program(
            device,
            program.program,
            program.command_count,
            read_window=(program.base, program.end),
            write_window=(program.base, program.constant),
        )
    except ProgramError as error:
        raise Mismatch(f"the program breaks its contract: {error}") from None
    if not result.ok:
        raise Mismatch(f"the program stops with {result.error.name} at command {result.index}")
    golden = golden_run(network, images).tensors
    # In the order of the network: what differs first is where to look.
    order = {name: n for n, name in enumerate(graph.tensors)}
    for name in sorted(program.views, key=lambda view: order[tensor_of(view, order)]):
        tensor = tensor_of(name, order)
        try:
            got = program.read_tensor(device, name)
        except RlcError as error:
            raise Mismatch(f"tensor {name!r}: {error}") from None
        if wrong := difference(got, golden[tensor]):
            maker = graph.producer(tensor)
            by = f"layer {maker.name!r}" if maker else "the input"
            raise Mismatch(f"tensor {name!r} ({by}): {wrong}")
    kept = {tensor_of(view, order) for view in program.views}
    return len(program.views), len(order) - len(kept)
