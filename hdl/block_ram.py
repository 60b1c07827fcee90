"""A block RAM whose output goes through its own register, or a twin that acts the same in every cycle."""

from amaranth.hdl import ClockSignal, Const, Instance, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .config import ENTRY_BITS
from .multiplier import on_ecp5

BLOCK = 1024     # words of a DP16KD of 18 bits


class BlockRam(wiring.Component):
    """`depth` words of 16 bits, one read and one write a cycle.

    Members: `read` and `write`, each with `en`, `addr` and `data`, as a Memory's ports. Without `en` nothing moves,
    the output register apart.

    Read data come two cycles after the address. What is read of a word while it is written is not defined: on the
    twin the old word, in a DP16KD perhaps neither; whoever reads knows that it is not needed.
    On an ECP5: a DP16KD for every BLOCK words, of which Yosys leaves the output register unused.
    Raises ValueError for more than two blocks.
    """

    LATENCY = 2

    def __init__(self, depth: int):
        if not 2 <= depth <= 2 * BLOCK:
            raise ValueError(f"a block RAM of {depth} words: must be 2..{2 * BLOCK}")
        self.depth = depth
        bits = (depth - 1).bit_length()
        super().__init__({
            "read": Out(wiring.Signature({"en": In(1), "addr": In(bits), "data": Out(ENTRY_BITS)})),
            "write": Out(wiring.Signature({"en": In(1), "addr": In(bits), "data": In(ENTRY_BITS)}))})

    def elaborate(self, platform):
        return self._dp16kd() if on_ecp5(platform) else self._array()

    def _array(self):
        m = Module()
        m.submodules.array = array = Memory(shape=ENTRY_BITS, depth=self.depth, init=[])
        read, write = array.read_port(), array.write_port()
        m.d.comb += [read.addr.eq(self.read.addr), read.en.eq(self.read.en), write.en.eq(self.write.en),
                     write.addr.eq(self.write.addr), write.data.eq(self.write.data)]
        out = Signal(ENTRY_BITS, reset_less=True)
        m.d.sync += out.eq(read.data)
        m.d.comb += self.read.data.eq(out)
        return m

    def _dp16kd(self):
        m = Module()
        outs = []
        for block in range(-(-self.depth // BLOCK)):
            out = Signal(18, name=f"out_{block}")
            write = Signal(name=f"write_{block}")
            ours = self.write.addr >= BLOCK if block else self.write.addr < BLOCK
            m.d.comb += write.eq(self.write.en & ours)
            ports = {f"i_DIA{n}": self.write.data[n] if n < ENTRY_BITS else Const(0) for n in range(18)}
            for port, address in (("A", self.write.addr), ("B", self.read.addr)):
                # the lowest four bits: byte enables of a write, here both, and nothing
                low = [1, 1, 0, 0] if port == "A" else [0, 0, 0, 0]
                wide = Signal(10, name=f"address_{port.lower()}_{block}")
                m.d.comb += wide.eq(address)
                ports |= {f"i_AD{port}{n}": Const(low[n]) if n < 4 else wide[n - 4] for n in range(14)}
                ports |= {f"p_DATA_WIDTH_{port}": 18, f"p_CSDECODE_{port}": "0b000", f"p_CLK{port}MUX": f"CLK{port}",
                          f"i_CLK{port}": ClockSignal(), f"i_RST{port}": Const(0), f"i_OCE{port}": Const(1)}
            m.submodules[f"block_{block}"] = Instance(
                "DP16KD", **ports, **{f"o_DOB{n}": out[n] for n in range(18)},
                p_REGMODE_A="NOREG", p_REGMODE_B="OUTREG", p_RESETMODE="SYNC", p_GSR="DISABLED",
                p_WRITEMODE_A="NORMAL", p_WRITEMODE_B="NORMAL",
                i_CEA=write, i_WEA=write, i_CEB=self.read.en, i_WEB=Const(0))
            outs.append(out[:ENTRY_BITS])
        if len(outs) == 1:
            m.d.comb += self.read.data.eq(outs[0])
        else:
            asked, shown = Signal(), Signal()     # the second block, now and in the output register
            m.d.sync += shown.eq(asked)
            with m.If(self.read.en):
                m.d.sync += asked.eq(self.read.addr >= BLOCK)
            m.d.comb += self.read.data.eq(Mux(shown, outs[1], outs[0]))
        return m
