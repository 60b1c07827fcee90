"""Canonical Huffman coding of the stored streams (Deep Compression, ICLR 2016, section 4).

Entries' v and z nibbles and the pointers' differences are coded apart. A coded stream is
self-contained: u32 symbols, u32 alphabet size, a code length (u8, 0 unused) for each symbol of
the alphabet, then the codes, most significant bit first, filled up with zeros to a byte. All
integers little endian. The host decodes at load; the engine stores the plain entries.
"""

from __future__ import annotations

import heapq

import numpy as np

from golden.csc import Compressed

LONGEST = 48     # bits of a code
ALPHABET = 1 << 20


class HuffmanError(ValueError):
    """A coded stream that cannot be decoded; `bit` is its place."""

    def __init__(self, message: str, bit: int):
        self.bit = int(bit)
        super().__init__(f"bit {self.bit}: {message}")


def code_lengths(counts: np.ndarray) -> np.ndarray:
    """uint8 code length of each symbol, 0 where its count is 0; a single symbol takes one bit."""
    heap = [(int(n), int(s), (int(s),)) for s, n in enumerate(counts) if n]
    lengths = np.zeros(len(counts), np.uint8)
    if len(heap) == 1:
        lengths[heap[0][1]] = 1
    heapq.heapify(heap)
    while len(heap) > 1:
        (a, first, left), (b, _, right) = heapq.heappop(heap), heapq.heappop(heap)
        lengths[list(left + right)] += 1
        heapq.heappush(heap, (a + b, first, left + right))
    return lengths


def _codes(lengths: np.ndarray) -> np.ndarray:
    """Canonical codes, uint64: by length, then by symbol."""
    codes, code, last = np.zeros(len(lengths), np.uint64), 0, 0
    for symbol in sorted(np.flatnonzero(lengths).tolist(), key=lambda s: (int(lengths[s]), s)):
        code <<= int(lengths[symbol]) - last
        last = int(lengths[symbol])
        codes[symbol] = code
        code += 1
    return codes


def encode(symbols: np.ndarray) -> bytes:
    """The coded stream of non-negative integers below ALPHABET. Raises ValueError for others."""
    symbols = np.asarray(symbols, np.int64)
    if symbols.size and (symbols.min() < 0 or symbols.max() >= ALPHABET):
        raise ValueError(f"symbols {symbols.min()}..{symbols.max()}: outside 0..{ALPHABET - 1}")
    size = int(symbols.max()) + 1 if symbols.size else 0
    lengths = code_lengths(np.bincount(symbols, minlength=size))
    codes = _codes(lengths)
    each = lengths[symbols].astype(np.int64)
    end = np.cumsum(each)
    total = int(end[-1]) if len(end) else 0
    # bit k of the stream: which symbol it belongs to, and how far from the end of its code
    owner = np.repeat(np.arange(len(symbols)), each)
    left = end[owner] - 1 - np.arange(total)
    bits = (codes[symbols[owner]] >> left.astype(np.uint64) & np.uint64(1)).astype(np.uint8)
    head = np.array([len(symbols), size], "<u4").tobytes() + lengths.tobytes()
    return head + np.packbits(bits).tobytes()


def decode(data: bytes) -> np.ndarray:
    """int64 symbols of a coded stream. Raises HuffmanError with the place of a fault."""
    if len(data) < 8:
        raise HuffmanError("the stream ends in its header", 8 * len(data))
    count, size = (int(n) for n in np.frombuffer(data, "<u4", 2))
    if size > ALPHABET or len(data) < 8 + size:
        raise HuffmanError(f"the stream ends in its table of {size} code lengths", 8 * len(data))
    lengths = np.frombuffer(data, np.uint8, size, 8)
    used = np.flatnonzero(lengths)
    if size and lengths.max() > LONGEST:
        raise HuffmanError(f"a code of {lengths.max()} bits", 8 * (8 + int(lengths.argmax())))
    room = sum(1 << LONGEST - int(lengths[s]) for s in used)
    if len(used) > 1 and room != 1 << LONGEST or (count and not len(used)):
        raise HuffmanError("the code lengths are of no complete code", 64)
    table = {(int(lengths[s]), int(code)): int(s) for s, code in zip(used, _codes(lengths)[used])}
    start = 8 + size
    bits = np.unpackbits(np.frombuffer(data, np.uint8, offset=start)).tolist()
    out, at, here = np.zeros(count, np.int64), 0, len(bits)
    for n in range(count):
        code = length = 0
        while True:
            if at == here:
                raise HuffmanError(f"the stream ends in symbol {n} of {count}", 8 * start + at)
            code, length, at = code << 1 | bits[at], length + 1, at + 1
            symbol = table.get((length, code))
            if symbol is not None:
                out[n] = symbol
                break
            if length >= LONGEST or len(used) == 1:
                raise HuffmanError("no such code", 8 * start + at - 1)
    if here - at >= 8 or any(bits[at:]):
        raise HuffmanError("something follows the last symbol", 8 * start + at)
    return out


def encode_streams(c: Compressed) -> dict[str, bytes]:
    """Coded 'v', 'z' and 'pointers' (differences, PE after PE) of a matrix."""
    entries = np.concatenate(c.entries)
    differences = np.concatenate([np.diff(p.astype(np.int64)) for p in c.pointers])
    return {"v": encode(entries & 15), "z": encode(entries >> 4), "pointers": encode(differences)}


def decode_streams(coded: dict[str, bytes], rows: int, columns: int, pes: int, codebook: np.ndarray,
                   pe: np.ndarray, local: np.ndarray) -> Compressed:
    """The matrix of coded streams and its placement, to be checked by golden.csc.

    Raises HuffmanError on a damaged stream, ValueError where the streams do not fit together.
    """
    v, z, differences = (decode(coded[name]) for name in ("v", "z", "pointers"))
    if len(v) != len(z) or (len(v) and max(v.max(), z.max()) > 15):
        raise ValueError(f"{len(v)} codebook indices and {len(z)} runs of 4 bits do not make entries")
    if len(differences) != pes * columns or differences.sum() != len(v):
        raise ValueError(f"{len(differences)} columns of {differences.sum()} entries for {pes} x {columns} "
                         f"columns and {len(v)} entries")
    entries = (z << 4 | v).astype(np.uint8)
    ends = np.cumsum(differences.reshape(pes, columns), axis=1)
    pointers = [np.concatenate(([0], end)).astype(np.uint32) for end in ends]
    return Compressed(rows, columns, pes, codebook, pe, local,
                      np.split(entries, np.cumsum(ends[:, -1])[:-1]), pointers)
