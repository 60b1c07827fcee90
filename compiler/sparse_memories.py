"""The sparse engine without time: the memories of its PEs and what its commands do to them."""

from __future__ import annotations

import numpy as np

from golden.fixed import requantise, wrap
from hdl.config import LANES, Config
from hdl.isa import Target


class StreamError(ValueError):
    """A pointer or a row outside a PE's memories (isa.Error.SPARSE_STREAM)."""


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
            return glb[4 * v["word"]:4 * (v["word"] + n)].copy()
        where = slice(first, first + count)
        pes = slice(v["pe"], v["pe"] + v["pes"])
        match v["target"]:
            case Target.WEIGHTS:
                self.entries[pes, 8 * first:8 * (first + count)] = \
                    words(count * v["pes"]).view(np.uint8).reshape(v["pes"], -1)
            case Target.POINTERS:
                mask = (1 << self.config.sparse_pointer_bits) - 1
                self.pointers[pes, 2 * first:2 * (first + count)] = \
                    words(count * v["pes"]).view(np.uint32).reshape(v["pes"], -1) & mask
            case Target.CODEBOOK:
                self.codebook[4 * first:4 * (first + count)] = words(count)
            case Target.ACCUMULATORS:
                self.sums[:, where] = words(count * k // LANES * 2).view(np.int32).reshape(count, k).T
            case Target.ACTIVATIONS:
                self.activations[v["half"], :, where] = words(count * k // LANES).reshape(count, k).T

    def run(self, v: dict[str, int]) -> tuple[int, int, int]:
        """SPARSE_RUN; (columns broadcast, multiply-accumulates, padding entries met).

        Raises StreamError.
        """
        c = self.config
        part = self.activations[v["half"], :, v["address"]:v["address"] + v["count"]].T.reshape(-1)
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
            entry = self.entries[pe][at]
            step = (entry >> 4).astype(np.int64) + 1
            walked = np.cumsum(step)
            before = np.concatenate(([0], walked))[np.cumsum(size) - size]  # of each column
            row = walked - np.repeat(before, size) - 1
            if (row >= c.sparse_rows).any():
                raise StreamError(f"PE {pe}: a row out of range")
            real = entry & 15 != 0
            np.add.at(self.sums[pe], row[real],
                      self.codebook[entry[real] & 15] * np.repeat(values, size)[real])
            macs, padding = macs + int(real.sum()), padding + int((~real).sum())
        self.sums = wrap(self.sums, c.psum_bits)
        return len(columns), macs, padding

    def output(self, v: dict[str, int]) -> None:
        """SPARSE_OUTPUT."""
        done = requantise(self.sums[:, :v["rows"]], v["shift"], bool(v["relu"]))
        self.activations[v["half"], :, v["address"]:v["address"] + v["rows"]] = done
        self.sums[:, :v["rows"]] = 0

    def dump(self, v: dict[str, int]) -> np.ndarray:
        """SPARSE_DUMP: int16 entries to be written from v['word'] on."""
        return self.activations[v["half"], :, v["address"]:v["address"] + v["count"]].T.reshape(-1)
