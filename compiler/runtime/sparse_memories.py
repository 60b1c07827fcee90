"""The sparse engine without time: the memories of its PEs and what its commands do to them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from golden.fixed import requantise, wrap
from hdl.config import LANES, Config, record_head
from hdl.isa import Target


class StreamError(ValueError):
    """A pointer or a row outside a PE's memories, or counts that do not add up
    (isa.Error.SPARSE_STREAM)."""


class SparseMemories:
    """Memories of `sparse_pes` PEs and the SPARSE_* commands on them (hdl/isa.py)."""

    def __init__(self, config: Config):
        self.config, k = config, config.sparse_pes
        self.entries = np.zeros((k, 8 * config.sparse_words), np.uint8)
        self.pointers = np.zeros((k, config.sparse_pointers), np.int64)
        self.codebook = np.zeros(16, np.int64)
        self.sums = np.zeros((k, config.sparse_rows), np.int64)
        self.activations = np.zeros((2, k, config.sparse_activations), np.int16)

    def fill(self, v: dict[str, int], glb: np.ndarray) -> None:
        """SPARSE_FILL from int16 entries of the global buffer."""
        first, count, k = v["address"], v["count"], self.config.sparse_pes

        def words(n):
            return glb[4 * v["word"] : 4 * (v["word"] + n)].copy()

        where = slice(first, first + count)
        pes = slice(v["pe"], v["pe"] + v["pes"])
        match v["target"]:
            case Target.WEIGHTS:
                self.entries[pes, 8 * first : 8 * (first + count)] = (
                    words(count * v["pes"]).view(np.uint8).reshape(v["pes"], -1)
                )
            case Target.POINTERS:
                mask = (1 << self.config.sparse_pointer_bits) - 1
                self.pointers[pes, 2 * first : 2 * (first + count)] = (
                    words(count * v["pes"]).view(np.uint32).reshape(v["pes"], -1) & mask
                )
            case Target.CODEBOOK:
                self.codebook[4 * first : 4 * (first + count)] = words(count)
            case Target.ACCUMULATORS:
                self.sums[:, where] = (
                    words(count * k // LANES * 2).view(np.int32).reshape(count, k).T
                )
            case Target.ACTIVATIONS:
                self.activations[v["half"], :, where] = (
                    words(count * k // LANES).reshape(count, k).T
                )

    def run(self, v: dict[str, int]) -> tuple[int, int, int]:
        """SPARSE_RUN; (columns broadcast, multiply-accumulates, padding entries met).

        Raises StreamError.
        """
        c = self.config
        part = self.activations[v["half"], :, v["address"] : v["address"] + v["count"]].T.reshape(
            -1
        )
        columns = np.flatnonzero(part)
        values = part[columns].astype(np.int64)
        columns = columns + v["base"]
        if len(columns) and columns.max() + 1 >= c.sparse_pointers:
            raise StreamError(f"column {columns.max()}: {c.sparse_pointers} pointers are there")
        macs = padding = 0
        for pe in range(c.sparse_pes):
            begin, end = self.pointers[pe][columns], self.pointers[pe][columns + 1]
            if (begin > end).any() or (end > self.entries.shape[1]).any():
                raise StreamError(f"PE {pe}: a pointer out of range")
            size = end - begin
            at = np.repeat(end - np.cumsum(size), size) + np.arange(size.sum())
            real = self._add(pe, self.entries[pe][at], size, values)
            macs, padding = macs + real, padding + len(at) - real
        self.sums = wrap(self.sums, c.psum_bits)
        return len(columns), macs, padding

    def _add(self, pe: int, entry: np.ndarray, size: np.ndarray, values: np.ndarray) -> int:
        """Entries of columns, `size` of each, times the columns' values; multiply-accumulates."""
        walked = np.cumsum((entry >> 4).astype(np.int64) + 1)
        before = np.concatenate(([0], walked))[np.cumsum(size) - size]  # of each column
        row = walked - np.repeat(before, size) - 1
        if (row >= self.config.sparse_rows).any():
            raise StreamError(f"PE {pe}: a row out of range")
        real = entry & 15 != 0
        np.add.at(
            self.sums[pe],
            row[real],
            self.codebook[entry[real] & 15] * np.repeat(values, size)[real],
        )
        return int(real.sum())

    def stream(
        self, v: dict[str, int], glb: np.ndarray, read: Callable[[int, int], bytes]
    ) -> tuple[int, int, int, int]:
        """SPARSE_STREAM: (columns found, multiply-accumulates, padding entries met, bytes read).

        read(address, bytes) is the memory. Raises StreamError.
        """
        c, k, bits = self.config, self.config.sparse_pes, self.config.sparse_length_bits
        part = self.activations[v["half"], :, v["address"] : v["address"] + v["count"]].T.reshape(
            -1
        )
        columns = np.flatnonzero(part)
        table = glb[4 * v["word"] : 4 * v["word"] + len(part)].copy().view(np.uint64)
        lengths = np.stack(
            [table >> np.uint64(20 + 11 * n) & np.uint64(0x7FF) for n in range(4)], axis=1
        )
        place = (
            (table & np.uint64(0xFFFFF))[:, None]
            + np.cumsum(lengths, axis=1, dtype=np.uint64)
            - lengths
        )
        lengths, place = lengths.reshape(-1).astype(int), place.reshape(-1).astype(int)
        each, final, head = record_head(k, bits)
        sizes, entries = [], [[] for _ in range(k)]
        fetched = columns[lengths[columns] != 0]
        for column in fetched:
            at = v["dram"] + 8 * int(place[column]) & 0xFFFFFFFF
            raw = np.frombuffer(read(at, 8 * int(lengths[column])), np.uint8)
            counts = [0] * k
            if final < lengths[column]:
                words = raw[: 8 * final + 8].view(np.uint64)
                counts = [
                    int(words[n // each]) >> n % each * bits & (1 << bits) - 1 for n in range(k)
                ]
            ends = head + np.cumsum(counts)
            if -(-int(ends[-1]) // 8) != lengths[column]:
                raise StreamError(f"column {column}: its counts do not add up")
            sizes.append(counts)
            for pe, (end, count) in enumerate(zip(ends, counts)):
                entries[pe].append(raw[end - count : end])
        macs = total = 0
        if sizes:
            for pe, (own, size) in enumerate(zip(entries, np.array(sizes).T)):
                entry = np.concatenate(own)
                macs, total = (
                    macs + self._add(pe, entry, size, part[fetched].astype(np.int64)),
                    total + len(entry),
                )
        self.sums = wrap(self.sums, c.psum_bits)
        return len(columns), macs, total - macs, 8 * int(lengths[fetched].sum())

    def output(self, v: dict[str, int]) -> None:
        """SPARSE_OUTPUT."""
        done = requantise(self.sums[:, : v["rows"]], v["shift"], bool(v["relu"]))
        self.activations[v["half"], :, v["address"] : v["address"] + v["rows"]] = done
        self.sums[:, : v["rows"]] = 0

    def dump(self, v: dict[str, int]) -> np.ndarray:
        """SPARSE_DUMP: int16 entries to be written from v['word'] on."""
        return self.activations[v["half"], :, v["address"] : v["address"] + v["count"]].T.reshape(
            -1
        )
