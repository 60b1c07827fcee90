"""The framed protocol between host and board (docs/board.md), for both ends of the line.

Plain Python: nothing here knows of gateware or of serial ports.
"""

from __future__ import annotations

import enum
import hashlib
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from hdl.config import Config
from hdl.isa import VERSION_VALUE

VERSION = 1
# as in HDLC: a frame's end, the next byte is XORed with FLIP
FLAG, ESCAPE, FLIP = 0x7E, 0x7D, 0x20
HEADER = struct.Struct("<BBHI")  # opcode, sequence, length, address
CRC_BYTES = 4
MAX_DATA = 1024  # bytes behind a header
WORD = 8  # memory accesses are of whole words
MAX_FRAME = HEADER.size + MAX_DATA + CRC_BYTES
RECEIVE_FIFO = 512  # bytes the board holds while it executes
# requests under way: short ones of them fit the FIFO, escapes and all
WINDOW = 8
MAGIC = int.from_bytes(b"EYRB", "little")
# magic, version, FIFO bytes, configuration, memory bytes, clock Hz, name
IDENTITY = struct.Struct("<IHHQII16s")


class Opcode(enum.IntEnum):
    HELLO = 1  # opens a session; the reply's data is the board's IDENTITY
    READ = 2  # `length` bytes of memory from `address`
    WRITE = 3  # data to memory at `address`
    READ_REGISTERS = 4  # `length` / 4 registers from `address`
    WRITE_REGISTER = 5  # four bytes of data to the register at `address`
    RESET = 6  # accelerator and memory controller


REPLY = 0x80  # set in the opcode of a reply
NAK = 0xFF  # opcode of a refusal; `address` is the Reason


class Reason(enum.IntEnum):
    """Why a frame was refused. After one of LINE the host sends again; the others are final."""

    CRC = 1  # or shorter than a header
    TOO_LONG = 2
    TIMEOUT = 3  # silence inside a frame
    FRAMING = 4  # a stop bit that was none
    NO_SESSION = 5  # no HELLO since the board's reset
    OPCODE = 6
    LENGTH = 7  # of the data, or asked for
    ADDRESS = 8  # not aligned
    BUS = 9  # memory or register answered with an error


LINE = frozenset((Reason.CRC, Reason.TOO_LONG, Reason.TIMEOUT, Reason.FRAMING))
# a repetition is answered, not executed
SIDE_EFFECTS = frozenset((Opcode.WRITE_REGISTER, Opcode.RESET))


@dataclass(frozen=True)
class Frame:
    """A request, a reply or a NAK. length: of `data`, or the bytes that a READ or READ_REGISTERS
    asks for."""

    opcode: int
    sequence: int
    address: int = 0
    length: int = 0
    data: bytes = b""

    @property
    def is_nak(self) -> bool:
        return self.opcode == NAK


@dataclass(frozen=True)
class Identity:
    """What a board says of itself. configuration: `configuration_hash` of what was built into
    it."""

    version: int
    fifo: int
    configuration: int
    memory: int
    clock_hz: int
    name: str

    def pack(self) -> bytes:
        return IDENTITY.pack(
            MAGIC,
            self.version,
            self.fifo,
            self.configuration,
            self.memory,
            self.clock_hz,
            self.name.encode()[:16],
        )

    @classmethod
    def unpack(cls, raw: bytes) -> Identity:
        """Raises ValueError if these are not the bytes of an identity."""
        if len(raw) != IDENTITY.size:
            raise ValueError(f"an identity of {len(raw)} bytes, expected {IDENTITY.size}")
        magic, *values, name = IDENTITY.unpack(raw)
        if magic != MAGIC:
            raise ValueError(f"an identity that begins with {magic:#x}, expected {MAGIC:#x}")
        return cls(*values, name.rstrip(b"\0").decode(errors="replace"))


def configuration_hash(config: Config) -> int:
    """64 bits over every field that changes the hardware, and the version of its registers."""
    fields = config.to_dict()
    for model_only in ("name", "dram_bytes_per_cycle", "dram_latency"):
        del fields[model_only]
    text = json.dumps([VERSION_VALUE, fields], sort_keys=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def encode(frame: Frame) -> bytes:
    """The bytes of a frame on the line, flags included. Raises ValueError for data above
    MAX_DATA."""
    if len(frame.data) > MAX_DATA:
        raise ValueError(f"{len(frame.data)} bytes in a frame: at most {MAX_DATA}")
    raw = (
        HEADER.pack(frame.opcode, frame.sequence, frame.length or len(frame.data), frame.address)
        + frame.data
    )
    raw += zlib.crc32(raw).to_bytes(CRC_BYTES, "little")
    flag, escape = bytes((FLAG,)), bytes((ESCAPE,))
    for byte in (escape, flag):  # escapes first, or those of the flags would be escaped again
        raw = raw.replace(byte, escape + bytes((byte[0] ^ FLIP,)))
    return flag + raw + flag


def unescape(raw: bytes) -> bytes | None:
    """What lies between two flags without its escapes; None if it ends with one."""
    first, *others = raw.split(bytes((ESCAPE,)))
    if not all(others):
        return None
    return first + b"".join(bytes((part[0] ^ FLIP,)) + part[1:] for part in others)


def parse(raw: bytes) -> Frame | Reason:
    """The frame of unescaped bytes, CRC included, or why there is none."""
    if len(raw) > MAX_FRAME:
        return Reason.TOO_LONG
    if len(raw) < HEADER.size + CRC_BYTES or zlib.crc32(raw[:-CRC_BYTES]) != int.from_bytes(
        raw[-CRC_BYTES:], "little"
    ):
        return Reason.CRC
    opcode, sequence, length, address = HEADER.unpack_from(raw)
    return Frame(opcode, sequence, address, length, raw[HEADER.size : -CRC_BYTES])


class Decoder:
    """Frames out of a stream of bytes. Garbage costs no more than the frames it touches."""

    def __init__(self):
        self._open = bytearray()
        self._lost = False

    def feed(self, raw: bytes) -> Iterator[Frame | Reason]:
        """What the bytes complete, in order."""
        *ended, rest = bytes(raw).split(bytes((FLAG,)))
        for part in ended:
            whole, self._open = bytes(self._open) + part, bytearray()
            lost, self._lost = self._lost, False
            if lost:
                yield Reason.TOO_LONG
            elif whole:
                plain = unescape(whole)
                yield Reason.CRC if plain is None else parse(plain)
        self._open += rest
        if len(self._open) > 2 * MAX_FRAME:
            self._open.clear()
            self._lost = True
