"""Filters and biases of a convolution in the order in which the array reads them."""

from __future__ import annotations

import numpy as np

from compiler.lowering.emission.buffer import Blob
from compiler.lowering.emission.conv_passes import Convolution, FilterUnit
from compiler.numbers import ceil
from golden.integer.requantise import Requantiser


def scale_words(bias: np.ndarray, out: Requantiser) -> np.ndarray:
    """int32 [M, 4], an isa.ScaleWord each."""
    columns = [np.broadcast_to(a, len(bias)).tolist() for a in (bias, out.multiplier, out.shift)]
    words = [b & 0xFFFFFFFF | m << 32 | (s & 63) << 63 for b, m, s in zip(*columns)]
    raw = b"".join(word.to_bytes(16, "little") for word in words)
    return np.frombuffer(raw, np.int32).reshape(len(bias), 4)


class Constants:
    """Filters and biases of a layer, in the order of the passes that read them."""

    def __init__(self, blob: Blob, conv: Convolution, simd: int):
        self.blob, self.conv, self.simd = blob, conv, simd
        self.shape, self.m, self.each = conv.shape, conv.mapping, conv.filters
        self.blocks = ceil(self.each, self.m.block_filters)
        self.lowest_block: list[int] = []  # of each group: its first block of the input
        self._placed: list[np.ndarray] = []  # weights in the slots of their channels
        self.bias_blocks = self.m.bias_blocks or self.blocks
        self.bias_parts = ceil(self.blocks, self.bias_blocks)
        # Of each group, by so many filter blocks: DRAM address, words.
        self.bias: list[tuple[int, int]] = []
        # Of each group: the word of each filter block in its part.
        self.bias_at: list[list[int]] = []
        self._filters: dict[FilterUnit, tuple[int, int]] = {}
        for group in range(conv.groups):
            self._place(group)
            self._biases(group)

    def _place(self, group: int) -> None:
        """Weights of a group, [filters, slots, R, S], filled up with zeros to whole passes."""
        shape, m, q_in = self.shape, self.m, self.shape.block
        slots = self.conv.source.slots[group * shape.C : (group + 1) * shape.C]
        lowest = int(slots.min()) // q_in
        self.lowest_block.append(lowest)
        weights = self.conv.numbers.weights[group * self.each : (group + 1) * self.each]
        if m.depthwise:  # [channel, filter of it, R, S]
            deep = np.zeros(
                (shape.C, m.depthwise, ceil(shape.R, m.height) * m.height, shape.S), np.int16
            )
            deep[: len(slots), : m.p, : shape.R] = weights.reshape(-1, m.p, shape.R, shape.S)
            self._placed.append(deep)
            return
        full = np.zeros(
            (
                self.blocks * m.p * m.t,
                ceil(shape.blocks, m.channel_blocks) * m.channel_blocks * q_in,
                ceil(shape.R, m.height) * m.height,
                shape.S,
            ),
            np.int16,
        )
        full[: self.each, slots - lowest * q_in, : shape.R] = weights
        self._placed.append(full)

    def _biases(self, group: int) -> None:
        """Two to a word, or with their scales two words each; p of a set after those of the one
        before, rounded up to four, by filter blocks."""
        m = self.m
        values = self.conv.numbers.bias[:, None]
        if self.conv.numbers.out is not None:
            values = scale_words(self.conv.numbers.bias, self.conv.numbers.out)
        values = values[group * self.each : (group + 1) * self.each]
        table = []
        for fb in range(self.blocks):
            p = self.psums_of(fb)
            own = np.zeros((m.sets, ceil(p, 4) * 4, values.shape[1]), np.int32)
            flat = np.zeros((m.sets * p, values.shape[1]), np.int32)
            part = values[fb * m.block_filters :][: m.sets * p]
            flat[: len(part)] = part
            own[:, :p] = flat.reshape(m.sets, p, -1)
            table.append(own.reshape(-1))

        self.bias_at.append([])
        for first in range(0, self.blocks, self.bias_blocks):
            part = table[first : first + self.bias_blocks]
            at = np.cumsum([0] + [len(own) // 2 for own in part]).tolist()
            self.bias_at[-1] += at[:-1]
            self.bias.append((self.blob.add(np.concatenate(part).tobytes()), at[-1]))

    def bias_of(self, group: int, fb: int) -> int:
        """Index in `bias` of the part that holds a filter block's."""
        return group * self.bias_parts + fb // self.bias_blocks

    def psums_of(self, fb: int) -> int:
        """Psums of a PE's window."""
        return self.m.psums if self.m.depthwise else self.filters_of(fb)

    def entry_filters(self, fb: int) -> int:
        """Filters of an entry in a PE's spad, with what fills up."""
        return self.m.depthwise or self.filters_of(fb)

    def filters_of(self, fb: int) -> int:
        """p of a filter block: the last spreads what is left over its t sets. A multiple of
        `simd`; what fills up is zero. Of a depthwise layer the filters of a channel."""
        if self.m.depthwise:
            return self.m.p
        return min(
            self.m.p, ceil(self.each - fb * self.m.p * self.m.t, self.m.t * self.simd) * self.simd
        )

    def filters(self, unit: FilterUnit) -> tuple[int, int]:
        """(DRAM address, words of a tag) of a pass's filters."""
        if unit not in self._filters:
            data = self._streamed(unit)
            address = self.blob.add(np.ascontiguousarray(data).tobytes())
            self._filters[unit] = address, data.shape[0]
        return self._filters[unit]

    def _streamed(self, unit: FilterUnit) -> np.ndarray:
        """A pass's filters as FILTER reads them: [word, tag (set, group, filter row), 4]."""
        m, q_in, p = self.m, self.shape.block, self.filters_of(unit.fb)
        (block, offset), (row, column, wide) = unit.channel, unit.fold
        if m.depthwise:
            part = self._placed[unit.group][:, :, row : row + m.height, column : column + wide]
            part = part.reshape(m.r, m.q, m.depthwise, m.height, wide)
            # Entry (column, channel, filter) of a tag.
            return _words(part.transpose(0, 3, 4, 1, 2).reshape(m.r * m.height, -1))
        first = unit.fb * m.p * m.t
        part = self._placed[unit.group][
            first : first + p * m.t,
            block * q_in : (block + m.channel_blocks) * q_in,
            row : row + m.height,
            column : column + wide,
        ]
        part = part.reshape(m.t, p, m.channel_blocks, q_in, m.height, wide)
        part = part[:, :, :, offset : offset + m.q * m.split]
        part = part.reshape(m.t, p, m.r, m.q, m.height, wide)
        # Entry (column, channel, filter) of a tag.
        return _words(part.transpose(0, 2, 4, 5, 3, 1).reshape(m.t * m.r * m.height, -1))


def _words(part: np.ndarray) -> np.ndarray:
    """[tag, entry] as FILTER reads them, [word, tag, 4]."""
    words = ceil(part.shape[1], 4)
    padded = np.zeros((len(part), words * 4), np.int16)
    padded[:, : part.shape[1]] = part
    return padded.reshape(len(part), words, 4).transpose(1, 0, 2)
