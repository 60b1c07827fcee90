"""A block RAM whose output goes through its own register, or a twin that acts the same in every
cycle."""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS
from hdl.lib.marks import on_instance
from hdl.lib.technology import on_ecp5

# A DP16KD by its words: bits of a word, those of them that are used here, bits of the address below
# the word's.
SHAPES = {
    1 << 9: (36, 32, 5),
    1 << 10: (18, 16, 4),
    1 << 11: (9, 8, 3),
    1 << 12: (4, 4, 2),
    1 << 13: (2, 2, 1),
    1 << 14: (1, 1, 0),
}


class BlockRam(wiring.Component):
    """`depth` words of 16 bits, or of 32 if `bits` says so, one read and one write a cycle.

    Members: `read` and `write`, each with `en`, `addr` and `data`, as a Memory's ports. Without
    `en` nothing moves, the output register apart.

    Read data come two cycles after the address. What is read of a word while it is written is not
    defined: on the twin the old word, in a DP16KD perhaps neither; whoever reads knows that it is
    not needed. On an ECP5: DP16KDs side by side, each as narrow as `depth` asks for; Yosys leaves
    their output registers unused. One with 32 bits is read through both ports at once; what their
    output registers do then is not documented, so there they are flip-flops. marks: attributes of
    the DP16KDs. Raises ValueError for more words than a DP16KD has of one bit, or of 32.
    """

    LATENCY = 2

    def __init__(self, depth: int, bits: int = ENTRY_BITS, marks: dict[str, int] | None = None):
        self._marks = marks or {}
        self.wide = bits > ENTRY_BITS
        most = min(SHAPES) if self.wide else max(SHAPES)
        if not 2 <= depth <= most:
            raise ValueError(f"a block RAM of {depth} words: must be 2..{most}")
        self.depth, self.bits = depth, bits
        address = (depth - 1).bit_length()
        super().__init__(
            {
                "read": Out(
                    wiring.Signature({"en": In(1), "addr": In(address), "data": Out(bits)})
                ),
                "write": Out(
                    wiring.Signature({"en": In(1), "addr": In(address), "data": In(bits)})
                ),
            }
        )

    def elaborate(self, platform):
        return self._dp16kd() if on_ecp5(platform) else self._array()

    def _array(self) -> Module:
        m = Module()
        m.submodules.array = array = Memory(shape=self.bits, depth=self.depth, init=[])
        read, write = array.read_port(), array.write_port()
        m.d.comb += [
            read.addr.eq(self.read.addr),
            read.en.eq(self.read.en),
            write.en.eq(self.write.en),
            write.addr.eq(self.write.addr),
            write.data.eq(self.write.data),
        ]
        out = Signal(self.bits, reset_less=True)
        m.d.sync += out.eq(read.data)
        m.d.comb += self.read.data.eq(out)
        return m

    def _dp16kd(self) -> Module:
        m = Module()
        width, used, below = SHAPES[
            min(n for n in SHAPES if n >= self.depth and (self.wide or n > min(SHAPES)))
        ]
        for low in range(0, self.bits, used):
            out = Signal(36 if self.wide else 18, name=f"out_{low}")
            data = self.write.data[low : low + used]
            ports = {
                f"i_DI{'AB'[n // 18]}{n % 18}": data[n] if n < used else Const(0)
                for n in range(len(out))
            }
            for port, address in (("A", self.write.addr), ("B", self.read.addr)):
                # the lowest bits of a wide word's address: byte enables of a write, here all
                enables = Const((1 << width // 9) - 1 if port == "A" and width >= 18 else 0, below)
                wide = Signal(14, name=f"address_{port.lower()}_{low}")
                m.d.comb += wide.eq(Cat(enables, address))
                ports |= {f"i_AD{port}{n}": wide[n] for n in range(14)}
                ports |= {
                    f"p_DATA_WIDTH_{port}": width,
                    f"p_CSDECODE_{port}": "0b000",
                    f"p_CLK{port}MUX": f"CLK{port}",
                    f"i_CLK{port}": ClockSignal(),
                    f"i_RST{port}": Const(0),
                    f"i_OCE{port}": Const(1),
                }
            m.submodules[f"block_{low}"] = Instance(
                "DP16KD",
                **on_instance(self._marks),
                **ports,
                **{
                    f"o_DO{'AB'[n // 18] if self.wide else 'B'}{n % 18}": out[n]
                    for n in range(len(out))
                },
                p_REGMODE_A="NOREG",
                p_REGMODE_B="NOREG" if self.wide else "OUTREG",
                p_RESETMODE="SYNC",
                p_GSR="DISABLED",
                p_WRITEMODE_A="NORMAL",
                p_WRITEMODE_B="NORMAL",
                i_CEA=self.write.en,
                i_WEA=self.write.en,
                i_CEB=self.read.en,
                i_WEB=Const(0),
            )
            if self.wide:
                shown = Signal(used, reset_less=True)
                m.d.sync += shown.eq(out)
                out = shown
            m.d.comb += self.read.data[low : low + used].eq(out[:used])
        return m
