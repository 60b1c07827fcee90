"""Where tensors live in DRAM: one layout per tensor, shared by all its readers and writers.

`[image][row][channel block][column][channel in block]`, int16, a strip (image, row, block)
on an 8-byte boundary; of a tensor with a scale and a zero point q, int8 or uint8. Values go in and
come out as the machine has them, v = q - zero. A run-length coded storage (golden/rlc.py) has a
slot of the worst case for each strip, and behind the strips of an image the words that each uses,
16 bits.

Concat costs nothing where its inputs can be written in place: each input then starts on a block
of the concatenated storage, and the slots between the channels of one input and the next block
carry zero weights.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from compiler.graph import Graph
from compiler.layers import Concat, Conv, Layer
from golden.integer.affine import Affine
from golden.rlc import LENGTH_BYTES, decode, encode, slot_words

BLOCK_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
OUT_SIZES = (4, 8, 16)  # of tensors that no convolution reads


@dataclass
class Storage:
    """A region of DRAM that holds one tensor, or several that are concatenated."""

    name: str
    height: int
    width: int
    block: int  # q_T
    blocks: int
    address: int = 0
    rlc: bool = False
    affine: Affine | None = None  # of 8-bit entries, which are never run-length coded

    @property
    def bytes_each(self) -> int:
        """Of an entry."""
        return 2 if self.affine is None else 1

    @property
    def entries(self) -> int:
        """Of a strip."""
        return self.width * self.block

    @property
    def strip_words(self) -> int:
        """64-bit words of a strip that is not coded."""
        return -(-self.entries * self.bytes_each // 8)

    @property
    def strip_bytes(self) -> int:
        """From a strip to the next."""
        return 8 * (slot_words(self.entries) if self.rlc else self.strip_words)

    @property
    def row_bytes(self) -> int:
        return self.strip_bytes * self.blocks

    @property
    def dense_bytes(self) -> int:
        """Of an image's strips that are not coded."""
        return 8 * self.strip_words * self.blocks * self.height

    @property
    def table_row_bytes(self) -> int:
        return LENGTH_BYTES * self.blocks

    @property
    def image_bytes(self) -> int:
        table = -(-self.table_row_bytes * self.height // 8) * 8 if self.rlc else 0
        return self.row_bytes * self.height + table


@dataclass
class View:
    """A tensor inside a storage: its first block, and the slot of each of its channels
    (relative to that block, in channels)."""

    storage: Storage
    first_block: int
    slots: np.ndarray

    @property
    def blocks(self) -> int:
        return int(self.slots.max()) // self.storage.block + 1

    @property
    def extent(self) -> int:
        """Slots from the first to the last, those that no channel has included."""
        return int(self.slots.max()) + 1

    def at(self, other: View) -> bool:
        """Whether both are one place in memory."""
        return self.storage is other.storage and self.first_block == other.first_block

    @property
    def plain(self) -> bool:
        return bool((self.slots == np.arange(len(self.slots))).all())

    def address(self, image: int = 0, row: int = 0, block: int = 0) -> int:
        s = self.storage
        return (
            s.address
            + image * s.image_bytes
            + row * s.row_bytes
            + (self.first_block + block) * s.strip_bytes
        )

    def table(self, image: int = 0, row: int = 0, block: int = 0) -> int:
        """Address of the length of a coded strip."""
        s = self.storage
        return (
            s.address
            + image * s.image_bytes
            + s.row_bytes * s.height
            + row * s.table_row_bytes
            + LENGTH_BYTES * (self.first_block + block)
        )

    def pack(self, values: np.ndarray, memory: np.ndarray) -> None:
        """Write int16 [N, C, H, W] into `memory`, uint8 of the storage's images."""
        s = self.storage
        if s.affine:
            values = s.affine.restored(values)
            own = self._strips(memory, len(values))[:, :, self.first_block :][:, :, : self.blocks]
            own[:] = s.affine.zero  # of slots without a channel too
        if s.rlc:
            out = np.zeros((len(values), s.height, s.blocks, s.width, s.block), np.int16)
        else:
            out = self._strips(memory, len(values))
        block, channel = np.divmod(self.slots, s.block)
        # [N, H, C, W] in strips [N, H, blocks, W, q]
        out[:, :, self.first_block + block, :, channel] = values.transpose(1, 0, 2, 3)
        if s.rlc:
            words, lengths = self._coded(memory, len(values))
            coded = encode(out.reshape(-1, s.entries))
            words[:], lengths[:] = coded[0].reshape(words.shape), coded[1].reshape(lengths.shape)

    def unpack(self, memory: np.ndarray, images: int) -> np.ndarray:
        """int16 [N, C, H, W] out of the storage's bytes. Raises golden.rlc.RlcError if they are
        coded and malformed."""
        s = self.storage
        if s.rlc:
            words, lengths = self._coded(memory, images)
            strips = decode(words.reshape(-1, words.shape[2]), lengths.reshape(-1), s.entries)
            strips = strips.reshape(images, s.height, s.blocks, s.width, s.block)
        else:
            strips = self._strips(memory, images)
        block, channel = np.divmod(self.slots, s.block)
        values = np.ascontiguousarray(
            strips[:, :, self.first_block + block, :, channel].transpose(1, 0, 2, 3)
        )
        return s.affine.centred(values) if s.affine else values

    def coded_bytes(self, memory: np.ndarray, images: int) -> int:
        """Bytes that the strips and lengths of a coded storage use."""
        lengths = self._coded(memory, images)[1]
        return 8 * int(lengths.sum(dtype=np.int64)) + LENGTH_BYTES * lengths.size

    def _coded(self, memory: np.ndarray, images: int) -> tuple[np.ndarray, np.ndarray]:
        """(words uint64 [N, H * blocks, slot], lengths uint16 [N, H * blocks]), views of the
        bytes."""
        s = self.storage
        image = memory[: images * s.image_bytes].reshape(images, s.image_bytes)
        strips = s.height * s.blocks
        words = (
            image[:, : s.row_bytes * s.height]
            .view(np.uint64)
            .reshape(images, strips, s.strip_bytes // 8)
        )
        lengths = image[:, s.row_bytes * s.height :][:, : LENGTH_BYTES * strips].view(np.uint16)
        return words, lengths

    def _strips(self, memory: np.ndarray, images: int) -> np.ndarray:
        s = self.storage
        words = memory[: images * s.image_bytes].view(s.affine.dtype if s.affine else np.int16)
        words = words.reshape(images, s.height, s.blocks, s.strip_bytes // s.bytes_each)
        used = words[..., : s.width * s.block]
        # splitting the last axis of a strided array keeps it a view
        return used.reshape(*used.shape[:3], s.width, s.block)


def _aliases(graph: Graph) -> dict[str, str]:
    """Tensor -> the Concat output it is written into, where that is possible."""
    into: dict[str, str] = {}
    for layer in graph.layers:
        if isinstance(layer, Concat):
            for name in layer.inputs:
                if name != graph.input and name not in into and layer.inputs.count(name) == 1:
                    into[name] = layer.output
    return into


def plan_views(
    graph: Graph,
    score: Callable[[Conv, int, int | None], float],
    writing: Callable[[str, int], float],
) -> dict[str, View]:
    """A View for every tensor, its storage not yet placed.

    score(conv layer, block size of its input, of its output or None) estimates the cycles of a
    reader, writing(tensor, block size) those that it adds to what makes the tensor; the block
    size of a storage is the one with the least sum, within what its writers allow: score is
    infinite where a layer does not work so. What no convolution reads suits the one that writes it.
    """
    into = _aliases(graph)

    def root(name):
        while name in into:
            name = into[name]
        return name

    members: dict[str, list[str]] = {}
    for name in graph.tensors:
        members.setdefault(root(name), []).append(name)
    made_by = {layer.output: layer for layer in graph.layers}

    convs = {
        owner: [
            layer for name in names for layer in graph.consumers(name) if isinstance(layer, Conv)
        ]
        for owner, names in members.items()
    }
    blocks_of: dict[str, int] = {}

    def cost(owner: str, makers: list[Conv], q: int) -> tuple[float, bool, int]:
        """What blocks of q cost the readers of a storage, or the layers that make it."""
        decided = blocks_of | {owner: q}
        cycles = sum(
            score(layer, q, decided.get(root(layer.output)) if layer.depthwise else None)
            for layer in convs[owner]
        )
        cycles += sum(writing(name, q) for name in members[owner])
        for layer in makers:
            block = decided.get(root(layer.input))
            cycles += min(score(layer, n, q) for n in ([block] if block else BLOCK_SIZES))
        # Four entries are written a cycle only in multiples of four.
        return cycles, q % 4 != 0, -min(q, 8)

    # What no convolution reads comes last: it asks for the blocks that its writers read.
    for owner in sorted(members, key=lambda name: not convs[name]):
        names = members[owner]
        readers = [layer for name in names for layer in graph.consumers(name)]
        plain_only = any(
            not isinstance(layer, (Conv, Concat)) or isinstance(layer, Conv) and layer.depthwise
            for layer in readers
        ) or any(isinstance(layer, Concat) and root(layer.output) != owner for layer in readers)
        sizes = _sizes(graph, made_by, names, plain_only)
        makers = [
            layer
            for name in names
            if isinstance(layer := made_by.get(name), Conv) and not layer.full
        ]
        if convs[owner]:  # but a depthwise one writes whole blocks in a pass, or cannot
            makers = [layer for layer in makers if layer.depthwise]
        elif makers:
            best = [q for q in sizes if q in OUT_SIZES]
            sizes = best if any(np.isfinite(cost(owner, makers, q)[0]) for q in best) else sizes
        blocks_of[owner] = min(sizes, key=functools.partial(cost, owner, makers))

    slots: dict[str, np.ndarray] = {}
    for name in graph.tensors:  # inputs come before their Concat: tensors are in order
        _slots(graph, made_by, name, blocks_of[root(name)], slots)
    storages, views = {}, {}
    for owner in members:
        q = blocks_of[owner]
        tensor = graph.tensors[owner]
        blocks = int(slots[owner][-1]) // q + 1
        storages[owner] = Storage(
            owner, tensor.height, tensor.width, q, blocks, affine=tensor.affine
        )
        _place(graph, made_by, into, owner, 0, storages[owner], slots, views)
    return views


def _sizes(
    graph: Graph, made_by: dict[str, Layer], names: list[str], plain_only: bool
) -> list[int]:
    """Block sizes of a storage that the layers which write its tensors allow. plain_only: its
    readers take no padding between the inputs of a Concat."""
    limit = 0  # every candidate divides this where padding is not allowed
    for name in names:
        layer = made_by.get(name)
        if isinstance(layer, Conv) and layer.groups > 1 and not layer.depthwise:
            limit = math.gcd(limit, len(layer.weights) // layer.groups)
        if plain_only and isinstance(layer, Concat):
            for part in layer.inputs[:-1]:
                limit = math.gcd(limit, graph.tensors[part].channels)
    channels = max(graph.tensors[name].channels for name in names)
    sizes = [q for q in BLOCK_SIZES if limit % q == 0 and (q <= channels or q == 1)]
    if channels not in sizes and channels <= BLOCK_SIZES[-1] and limit % channels == 0:
        sizes.append(channels)
    return sizes


def _slots(
    graph: Graph, made_by: dict[str, Layer], name: str, q: int, slots: dict[str, np.ndarray]
) -> np.ndarray:
    if name in slots:
        return slots[name]
    layer = made_by.get(name)
    if isinstance(layer, Concat):
        parts, at = [], 0
        for part in layer.inputs:
            # a part with padding of its own keeps it: block sizes inside a root are equal
            own = _slots(graph, made_by, part, q, slots)
            parts.append(at + own)
            at += (int(own[-1]) // q + 1) * q
        slots[name] = np.concatenate(parts)
    else:
        slots[name] = np.arange(graph.tensors[name].channels)
    return slots[name]


def _place(
    graph: Graph,
    made_by: dict[str, Layer],
    into: dict[str, str],
    name: str,
    first: int,
    storage: Storage,
    slots: dict[str, np.ndarray],
    views: dict[str, View],
) -> None:
    views[name] = View(storage, first, slots[name])
    layer = made_by.get(name)
    if isinstance(layer, Concat):
        at = first
        for part in layer.inputs:
            if into.get(part) == name:
                _place(graph, made_by, into, part, at, storage, slots, views)
            at += int(slots[part][-1]) // storage.block + 1


def concat_parts(graph: Graph, layer: Concat, views: dict[str, View]) -> list[View]:
    """The view of each input of a Concat inside its output."""
    whole = views[layer.output]
    parts, channel = [], 0
    for name in layer.inputs:
        count = graph.tensors[name].channels
        slots = whole.slots[channel : channel + count]
        block = int(slots[0]) // whole.storage.block
        parts.append(
            View(whole.storage, whole.first_block + block, slots - block * whole.storage.block)
        )
        channel += count
    return parts
