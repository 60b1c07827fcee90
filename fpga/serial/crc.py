"""The checksum of frames, bit by bit."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

POLYNOMIAL = 0xEDB88320  # of Ethernet and zlib, the lowest bit first
RESIDUE = 0xDEBB20E3  # what is left behind a message and its CRC


class Crc32(wiring.Component):
    """The CRC-32 of fpga/serial/protocol.py, in a tenth of the LUTs that whole bytes take.

    Members: `start` forgets; `enable` adds `bit`, bytes begin with their lowest; `drain` shifts the
    register by a bit, so that `byte`, the CRC's next, is the one above eight cycles later; `match`,
    a cycle late: what was added ends with its own CRC. Latency and throughput: a bit a cycle.
    """

    start: In(1)
    enable: In(1)
    drain: In(1)
    bit: In(1)
    byte: Out(8)
    match: Out(1)

    def elaborate(self, platform):
        m = Module()
        rest = Signal(32, init=0xFFFFFFFF)
        mixed = Signal()
        m.d.comb += [mixed.eq((rest[0] ^ self.bit) & ~self.drain), self.byte.eq(~rest[:8])]
        m.d.sync += self.match.eq(rest == RESIDUE)
        with m.If(self.start):
            m.d.sync += rest.eq(0xFFFFFFFF)
        with m.Elif(self.enable | self.drain):
            m.d.sync += rest.eq((rest >> 1) ^ (mixed.replicate(32) & POLYNOMIAL))
        return m
