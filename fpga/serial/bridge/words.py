"""What passes between the parts of the bridge."""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.serial.protocol import HEADER, MAX_DATA
from hdl.lib.axi import ADDRESS

# of bytes: a frame's data from 0; its header is at the end, and not stored
PLACES = 2 * MAX_DATA
BEGIN = PLACES - HEADER.size
REASON = range(16)


class Header(data.Struct):
    """As HEADER has it."""

    opcode: 8
    sequence: 8
    length: 16
    address: ADDRESS


class Kind(data.Struct):
    """Of a request, a flag for each Opcode; none of an unknown one."""

    hello: 1
    read: 1
    write: 1
    read_registers: 1
    write_register: 1
    reset: 1


class WordAnswer(data.Struct):
    word: 64  # of what was read
    failed: 1


# One access at a time, begun by a pulse: `get` reads, `put` writes. `address`, and `word` if it is
# written, stay until the answer is taken.
WordPort = wiring.Signature(
    {
        "address": Out(ADDRESS),
        "word": Out(64),
        "get": Out(1),
        "put": Out(1),
        "answer": In(stream.Signature(WordAnswer)),
    }
)
