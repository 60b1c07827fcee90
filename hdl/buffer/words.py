"""Ports of the global buffer."""

from amaranth.hdl import unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import WORD_BITS
from hdl.isa import WORD_ADDR


class GlbWrite(data.Struct):
    """Words `word` (lanes 0-3 of the mask) and `word`+1 (lanes 4-7)."""

    word: WORD_ADDR
    data: 2 * WORD_BITS
    mask: 8


READ_SIGNATURE = wiring.Signature(
    {
        "request": Out(stream.Signature(unsigned(WORD_ADDR))),
        "response": In(stream.Signature(unsigned(2 * WORD_BITS))),
    }
)
WRITE_SIGNATURE = stream.Signature(GlbWrite)
