"""A program: commands, constants and an address map, in segments of a layer each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.graph import Graph
from compiler.mapping.layout import View
from compiler.mapping.mapping import Mapping
from compiler.sparse.slicing import SparseLayer
from compiler.sparse.stored import Table
from hdl.config import Config
from hdl.isa import COMMAND_BYTES


@dataclass
class Segment:
    """The commands of one layer (with a pool fused into it)."""

    name: str
    kind: str  # 'conv', 'fc', 'pool', 'add', 'relu', 'copy', 'reorder'
    output: str  # the view that is in memory afterwards
    first: int  # index of its first command
    count: int = 0
    macs: int = 0  # of the batch
    filter_words: int = 0  # 64-bit words of filters, each sent to the array once at least
    mapping: Mapping | None = None
    pes: int = 0  # PEs that the mapping uses
    sparse: SparseLayer | None = None
    # of a sparse layer: 64-bit words of weights, pointers and vectors that a batch loads
    load_words: int = 0
    copied: str = ""  # of a reorder: the tensor that `output` is a second view of
    layer: str = ""  # the layer that `name` begins with, where a fused pool follows
    joined: tuple[str, ...] = ()  # Concats of tensors in place, which are whole with this output

    @property
    def tensor(self) -> str:
        """The tensor that `output` holds."""
        return self.copied or self.output

    @property
    def written(self) -> list[tuple[str, str]]:
        """(view, tensor in it) of all that is in memory after this layer and was not before."""
        return [(self.output, self.tensor), *((name, name) for name in self.joined)]


@dataclass
class Program:
    """What a device needs to run a network on a batch of `images`.

    Memory, in bytes: tensors from `base` to `constant`, which the device writes; then
    `constants`, and `commands` from `program` to `end`, which it only reads. `segments`
    are in order; each may be started by itself.
    """

    config: Config
    graph: Graph
    images: int
    base: int
    constant: int
    program: int
    end: int
    commands: bytes
    constants: bytes
    views: dict[str, View]
    segments: list[Segment]
    tables: list[Table]  # streams of the sparse engine in `constants`

    @property
    def command_count(self) -> int:
        return len(self.commands) // COMMAND_BYTES

    @property
    def memory(self) -> bytes:
        """What lies from `constant` to `end`."""
        return self.constants.ljust(self.program - self.constant, b"\0") + self.commands

    def load(self, device) -> None:
        """Write constants and commands to a device's memory."""
        device.write(self.constant, self.memory)

    def write_input(self, device, values: np.ndarray) -> None:
        """Put int16 [N, C, H, W], N <= images, where the network reads its input."""
        view = self.views[self.graph.input]
        memory = np.zeros(self.images * view.storage.image_bytes, np.uint8)
        view.pack(values, memory)
        device.write(view.storage.address, memory.tobytes())

    def read_tensor(self, device, name: str) -> np.ndarray:
        """int16 [images, C, H, W] of a tensor in memory."""
        view = self.views[name]
        size = self.images * view.storage.image_bytes
        raw = np.frombuffer(device.read(view.storage.address, size), np.uint8)
        return view.unpack(raw, self.images)
