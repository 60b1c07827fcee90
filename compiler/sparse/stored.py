"""Memory images as files hold them: the sparse engine's weights and pointers Huffman-coded
(compiler.sparse.huffman).

A file is "EYRH", then parts, each u32 kind, u32 bytes of the image, u32 bytes of a PE, u32 stored
bytes and its data, in the order of the image; then the u32 CRC-32 of all before it. All integers
little endian. The data of a part is its bytes (PLAIN), the coded v and z nibbles of its entries,
each behind its u32 size (ENTRIES), or the coded differences of every PE's u32 pointers (POINTERS).
The host decodes it before or at load.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from compiler.sparse.huffman import HuffmanError, decode, encode

MAGIC = b"EYRH"
PART = 16  # bytes of a part's header


class StoredError(ValueError):
    """A file that cannot be decoded; names the place."""


class Kind(IntEnum):
    PLAIN = 0
    ENTRIES = 1
    POINTERS = 2


@dataclass(frozen=True)
class Table:
    """Streams of the sparse engine in a memory image: `size` bytes from `start` on, `each` of a
    PE."""

    kind: Kind
    start: int
    size: int
    each: int


def _ints(*values: int) -> bytes:
    return np.array(values, "<u4").tobytes()


def _coded(kind: Kind, raw: bytes, each: int) -> bytes:
    if kind is Kind.POINTERS:
        return encode(
            np.diff(
                np.frombuffer(raw, "<u4").reshape(-1, each // 4).astype(np.int64), prepend=0
            ).reshape(-1)
        )
    entries = np.frombuffer(raw, np.uint8)
    streams = encode(entries & 15), encode(entries >> 4)
    return b"".join(_ints(len(stream)) + stream for stream in streams)


def pack(image: bytes, tables: list[Table]) -> bytes:
    """The file of an image. A table that its code does not shrink stays plain."""
    parts, at = [MAGIC], 0

    def add(kind, raw, each, data):
        if raw:
            parts.append(_ints(kind, len(raw), each, len(data)) + data)

    for table in sorted(tables, key=lambda table: table.start):
        raw = image[table.start : table.start + table.size]
        coded = _coded(table.kind, raw, table.each)
        if len(coded) >= len(raw):
            continue
        plain = image[at : table.start]
        add(Kind.PLAIN, plain, 0, plain)
        add(table.kind, raw, table.each, coded)
        at = table.start + table.size
    add(Kind.PLAIN, image[at:], 0, image[at:])
    data = b"".join(parts)
    return data + _ints(zlib.crc32(data))


def _parts(data: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """(kind, bytes of the image, bytes of a PE, first, end) of each part."""
    at, end = len(MAGIC), len(data) - 4
    while at < end:
        if end - at < PART:
            raise StoredError(f"byte {at}: a part ends in its header")
        kind, size, each, stored = (int(n) for n in np.frombuffer(data, "<u4", 4, at))
        at += PART
        if stored > end - at:
            raise StoredError(f"byte {at}: a part of {stored} bytes exceeds the file")
        yield kind, size, each, at, at + stored
        at += stored


def _decoded(data: bytes, kind: int, each: int, first: int, end: int) -> bytes:
    match kind:
        case Kind.PLAIN:
            return data[first:end]
        case Kind.ENTRIES:
            nibbles = []
            for _ in range(2):
                size = int.from_bytes(data[first : first + 4], "little")
                nibbles.append(decode(data[first + 4 : min(first + 4 + size, end)]))
                first += 4 + size
            v, z = nibbles
            if len(v) == len(z) and first == end and max(v.max(initial=0), z.max(initial=0)) < 16:
                return (z << 4 | v).astype(np.uint8).tobytes()
        case Kind.POINTERS:
            differences = decode(data[first:end])
            if each and each % 4 == 0 and len(differences) % (each // 4) == 0:
                return np.cumsum(differences.reshape(-1, each // 4), axis=1).astype("<u4").tobytes()
    raise StoredError(f"byte {first}: not a part of kind {kind}")


def unpack(data: bytes) -> bytes:
    """The image of a file. Raises StoredError, naming the place."""
    if data[:4] != MAGIC or len(data) < len(MAGIC) + 4:
        raise StoredError("byte 0: not a stored memory image")
    stored, actual = int.from_bytes(data[-4:], "little"), zlib.crc32(data[:-4])
    if stored != actual:
        raise StoredError(
            f"byte {len(data) - 4}: checksum {stored:#010x}: that of the file before it is "
            f"{actual:#010x}"
        )
    image = []
    for kind, size, each, first, end in _parts(data):
        try:
            image.append(_decoded(data, kind, each, first, end))
        except HuffmanError as e:
            raise StoredError(f"the part at byte {first}: {e}") from None
        if len(image[-1]) != size:
            raise StoredError(f"byte {first}: a part of {len(image[-1])} bytes, {size} announced")
    return b"".join(image)
