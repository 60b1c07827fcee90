"""Ports of the global buffer."""

from amaranth.hdl import Const, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import LANES, WORD_BITS, Config, bits_for
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
PROMPT_READ_SIGNATURE = wiring.Signature(  # of a client that takes every word as it comes
    {
        "request": Out(stream.Signature(unsigned(WORD_ADDR))),
        "response": In(stream.Signature(unsigned(2 * WORD_BITS), always_ready=True)),
    }
)
WRITE_SIGNATURE = stream.Signature(GlbWrite)


def place_layout(config: Config) -> data.StructLayout:
    """Where two words that follow each other are: of the even banks and of the odd ones a pair's
    number and a row; swap: the first word is in the odd one."""
    pair, row = bits_for(config.glb_pairs - 1), bits_for(config.glb_depth - 1)
    return data.StructLayout(
        {"swap": 1, "even_pair": pair, "even_row": row, "odd_pair": pair, "odd_row": row}
    )


def place_of(config: Config, word: Value) -> dict[str, Value]:
    """The fields of place_layout for words `word` and `word` + 1. Pairs follow each other, each
    with glb_depth rows of two words."""
    row = bits_for(config.glb_depth - 1)
    even, odd = ((word + 1) >> 1)[: WORD_ADDR - 1], word[1:]
    return {
        "swap": word[0],
        "even_pair": even[row:] if config.glb_pairs > 1 else Const(0, 1),
        "even_row": even[:row],
        "odd_pair": odd[row:] if config.glb_pairs > 1 else Const(0, 1),
        "odd_row": odd[:row],
    }


def bank_read(config: Config) -> wiring.Signature:
    """A read of a bank: the row, and its word BlockRam.LATENCY cycles later."""
    return wiring.Signature(
        {"en": Out(1), "row": Out(bits_for(config.glb_depth - 1)), "data": In(WORD_BITS)}
    )


def bank_address(config: Config) -> wiring.Signature:
    """The same without the word."""
    return wiring.Signature({"en": Out(1), "row": Out(bits_for(config.glb_depth - 1))})


def bank_part(config: Config) -> data.StructLayout:
    """What of a write goes to a bank: lanes of 16 bits, none if it has no mask."""
    pair, row = bits_for(config.glb_pairs - 1), bits_for(config.glb_depth - 1)
    return data.StructLayout({"mask": LANES, "pair": pair, "row": row, "data": WORD_BITS})


def bank_write(config: Config) -> wiring.Signature:
    """A write of a bank, of some lanes of 16 bits."""
    return wiring.Signature(
        {"mask": Out(LANES), "row": Out(bits_for(config.glb_depth - 1)), "data": Out(WORD_BITS)}
    )
