"""A large memory of one port: the SPRAM of an UP5K, or a twin that acts the same in every cycle."""

from amaranth.hdl import ClockSignal, Const, Instance, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.lib.technology import on_up5k

BLOCK = 1 << 14  # words of 16 bits of an SB_SPRAM256KA
WORD = 64
BLOCKS = WORD // 16


class SinglePort(wiring.Component):
    """Up to BLOCK words of 64 bits, 128 KiB, without initial contents; one read or write a cycle.

    Members: `address`; `read`, asks for the word there; `write`, bytes of `data` that are stored,
    not together with `read`; `word`, what was read last, until the next read.

    Latency: a cycle. On an UP5K: all four SB_SPRAM256KA. Raises ValueError for a depth that they do
    not have.
    """

    def __init__(self, depth: int):
        if not 2 <= depth <= BLOCK:
            raise ValueError(f"a single-port RAM of {depth} words: must be 2..{BLOCK}")
        self.depth = depth
        super().__init__(
            {
                "address": In((depth - 1).bit_length()),
                "read": In(1),
                "write": In(WORD // 8),
                "data": In(WORD),
                "word": Out(WORD),
            }
        )

    def elaborate(self, platform):
        m = Module()
        out = Signal(WORD)
        if on_up5k(platform):
            # Only the cycle after a read shows its word.
            fresh, kept = Signal(), Signal(WORD, reset_less=True)
            m.d.sync += fresh.eq(self.read)
            with m.If(fresh):
                m.d.sync += kept.eq(out)
            m.d.comb += self.word.eq(Mux(fresh, out, kept))
            for n in range(BLOCKS):
                low, high = (self.write[2 * n + half].replicate(2) for half in (0, 1))
                address = Signal(14, name=f"address_{n}")
                m.d.comb += address.eq(self.address)
                m.submodules[f"block_{n}"] = Instance(
                    "SB_SPRAM256KA",
                    i_CLOCK=ClockSignal(),
                    i_ADDRESS=address,
                    i_DATAIN=self.data.word_select(n, 16),
                    i_MASKWREN=low | high << 2,
                    i_WREN=self.write.any(),
                    i_CHIPSELECT=self.read | self.write.any(),
                    i_STANDBY=Const(0),
                    i_SLEEP=Const(0),
                    i_POWEROFF=Const(1),
                    o_DATAOUT=out.word_select(n, 16),
                )
        else:
            m.submodules.array = array = Memory(shape=WORD, depth=self.depth, init=[])
            load, store = array.read_port(), array.write_port(granularity=8)
            m.d.comb += [
                load.addr.eq(self.address),
                load.en.eq(self.read),
                self.word.eq(load.data),
                store.addr.eq(self.address),
                store.en.eq(self.write),
                store.data.eq(self.data),
            ]
        return m
