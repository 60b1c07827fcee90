"""Canonical Huffman coding of the stored streams (Deep Compression, ICLR 2016, section 4).

Entries' v and z nibbles and the pointers' differences are coded apart. A coded stream is
self-contained: u32 symbols, u32 alphabet size, a code length (u8, 0 unused) for each symbol of
the alphabet, then the codes, most significant bit first, filled up with zeros to a byte, then
the u32 CRC-32 (zlib's) of all before it. All integers little endian. The host decodes at load;
the engine stores the plain entries.
"""

from __future__ import annotations

import heapq
import zlib

import numpy as np

from golden.csc import Compressed

LONGEST = 48  # bits of a code; 57 of a word are left behind the bits of a byte
ALPHABET = 1 << 20
HEAD, CHECK = 8, 4  # bytes
_CHUNK = 1 << 17  # bytes of codes that are looked up at a time


class HuffmanError(ValueError):
    """A coded stream that cannot be decoded; `byte` is its place."""

    def __init__(self, message: str, byte: int):
        self.byte = int(byte)
        super().__init__(f"byte {self.byte}: {message}")


def code_lengths(counts: np.ndarray) -> np.ndarray:
    """uint8 code length of each symbol, 0 where its count is 0; a single symbol takes one bit."""
    heap: list[tuple[int, int, tuple[int, ...]]]
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
    words = np.zeros(int(each.sum()) // 64 + 1, np.uint64)
    if size:
        # No code is as long as a word: one begins in every word, and one at most crosses into the
        # next.
        word, code = (end - each) >> 6, codes[symbols]
        # bits free behind the code, negative where it crosses
        left = 64 - ((end - each) & 63) - each
        inside = np.where(
            left < 0,
            code >> np.maximum(-left, 0).astype(np.uint64),
            code << np.maximum(left, 0).astype(np.uint64),
        )
        words[: word[-1] + 1] = np.add.reduceat(inside, np.flatnonzero(np.diff(word, prepend=-1)))
        crosses = np.flatnonzero(left < 0)
        words[word[crosses] + 1] += code[crosses] << (64 + left[crosses]).astype(np.uint64)
    data = (
        np.array([len(symbols), size], "<u4").tobytes()
        + lengths.tobytes()
        + words.astype(">u8").tobytes()[: -(-int(each.sum()) // 8)]
    )
    return data + zlib.crc32(data).to_bytes(CHECK, "little")


def _lookup(payload: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Which of the ascending codes, moved up to bit 63, begins at each bit of uint8 payload:
    int32 [bits]."""
    first = np.arange(1 << 16, dtype=np.uint64) << np.uint64(48)
    table, last = (
        np.searchsorted(codes, x, "right").astype(np.int32) - 1
        for x in (first, first | np.uint64((1 << 48) - 1))
    )
    table[table != last] = -1  # 16 bits do not tell
    padded = np.concatenate((payload, np.zeros(8, np.uint8)))
    out = np.empty((len(payload), 8), np.int32)
    for first in range(0, len(payload), _CHUNK):
        n = min(_CHUNK, len(payload) - first)
        rows = np.lib.stride_tricks.sliding_window_view(padded[first : first + n + 7], 8)
        words = np.ascontiguousarray(rows).view(">u8").astype(np.uint64) << np.arange(
            8, dtype=np.uint64
        )
        found = table[words >> np.uint64(48)]
        longer = np.nonzero(found < 0)
        found[longer] = np.searchsorted(codes, words[longer], "right") - 1
        out[first : first + n] = found
    return out.reshape(-1)


def decode(data: bytes) -> np.ndarray:
    """int64 symbols of a coded stream. Raises HuffmanError with the place of a fault."""
    start, end = HEAD, len(data) - CHECK
    if end < start:
        raise HuffmanError("the stream ends in its header", len(data))
    stored, actual = int.from_bytes(data[end:], "little"), zlib.crc32(data[:end])
    if stored != actual:
        raise HuffmanError(
            f"checksum {stored:#010x}: that of the stream before it is {actual:#010x}", end
        )
    count, size = (int(n) for n in np.frombuffer(data, "<u4", 2))
    if size > ALPHABET or end < start + size:
        raise HuffmanError(f"the stream ends in its table of {size} code lengths", end)
    lengths = np.frombuffer(data, np.uint8, size, start)
    used = np.flatnonzero(lengths)
    if size and lengths.max() > LONGEST:
        raise HuffmanError(f"a code of {lengths.max()} bits", start + int(lengths.argmax()))
    room = sum(1 << LONGEST - int(lengths[s]) for s in used)
    if len(used) > 1 and room != 1 << LONGEST or (count and not len(used)):
        raise HuffmanError("the code lengths are of no complete code", start)
    start += size
    payload = np.frombuffer(data, np.uint8, end - start, start)
    bits = 8 * len(payload)
    if count > bits:
        raise HuffmanError(f"{bits} bits for {count} symbols", end)
    symbols = used[np.argsort(lengths[used], kind="stable")]
    codes = _codes(lengths)[symbols] << (64 - lengths[symbols]).astype(np.uint64)
    found = _lookup(payload, codes)
    each, starts, at = lengths[symbols][found].tobytes(), [], 0
    for _ in range(count):
        if at >= bits:
            break
        starts.append(at)
        at += each[at]
    if at > bits or len(starts) < count:
        raise HuffmanError(f"the stream ends in symbol {len(starts) - (at > bits)} of {count}", end)
    if bits - at >= 8 or at % 8 and payload[-1] & 255 >> at % 8:
        raise HuffmanError("something follows the last symbol", start + at // 8)
    if len(used) == 1 and payload.any():
        raise HuffmanError("no such code", start + int((payload > 0).argmax()))
    return symbols[found[starts]] if count else np.zeros(0, np.int64)


def encode_streams(c: Compressed) -> dict[str, bytes]:
    """Coded 'v', 'z' and 'pointers' (differences, PE after PE) of a matrix."""
    entries = np.concatenate(c.entries)
    differences = np.concatenate([np.diff(p.astype(np.int64)) for p in c.pointers])
    return {"v": encode(entries & 15), "z": encode(entries >> 4), "pointers": encode(differences)}


def decode_streams(
    coded: dict[str, bytes],
    rows: int,
    columns: int,
    pes: int,
    codebook: np.ndarray,
    pe: np.ndarray,
    local: np.ndarray,
) -> Compressed:
    """The matrix of coded streams and its placement, to be checked by golden.csc.

    Raises HuffmanError on a damaged stream, ValueError where the streams do not fit together.
    """
    v, z, differences = (decode(coded[name]) for name in ("v", "z", "pointers"))
    if len(v) != len(z) or (len(v) and max(v.max(), z.max()) > 15):
        raise ValueError(
            f"{len(v)} codebook indices and {len(z)} runs of 4 bits do not make entries"
        )
    if len(differences) != pes * columns or differences.sum() != len(v):
        raise ValueError(
            f"{len(differences)} columns of {differences.sum()} entries for {pes} x {columns} "
            f"columns and {len(v)} entries"
        )
    entries = (z << 4 | v).astype(np.uint8)
    ends = np.cumsum(differences.reshape(pes, columns), axis=1)
    pointers = [np.concatenate(([0], end)).astype(np.uint32) for end in ends]
    return Compressed(
        rows,
        columns,
        pes,
        codebook,
        pe,
        local,
        np.split(entries, np.cumsum(ends[:, -1])[:-1]),
        pointers,
    )
