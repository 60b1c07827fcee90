"""A block RAM whose output goes through its own register, or a twin that acts the same in every
cycle."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory

from hdl.config import ENTRY_BITS
from hdl.lib.dp16kd import NARROW, WIDE, Dp16kd, Shape, WideDp16kd, narrow, ram_ports
from hdl.lib.technology import on_ecp5


class BlockRam(wiring.Component):
    """`depth` words of 16 bits, one read and one write a cycle.

    Members: `read` and `write`, each with `en`, `addr` and `data`, as a Memory's ports. Without
    `en` nothing moves, the output register apart.

    Read data come two cycles after the address. What is read of a word while it is written is not
    defined: on the twin the old word, in a DP16KD perhaps neither; whoever reads knows that it is
    not needed. On an ECP5: DP16KDs side by side, each as narrow as `depth` asks for; Yosys leaves
    their output registers unused. marks: attributes of the DP16KDs. Raises ValueError for more
    words than a DP16KD has of one bit.
    """

    LATENCY = 2
    BITS, MOST = ENTRY_BITS, NARROW[-1].words
    BLOCK: type[Dp16kd | WideDp16kd] = Dp16kd

    def __init__(self, depth: int, marks: dict[str, int] | None = None):
        if not 2 <= depth <= self.MOST:
            raise ValueError(f"a block RAM of {depth} words: must be 2..{self.MOST}")
        self.depth, self.marks = depth, marks or {}
        self.address = (depth - 1).bit_length()
        super().__init__(ram_ports(self.address, self.BITS))

    def elaborate(self, platform):
        return self._blocks() if on_ecp5(platform) else self._array()

    @property
    def shape(self) -> Shape:
        """Of a DP16KD."""
        return narrow(self.depth)

    def _blocks(self) -> Module:
        m = Module()
        used = self.shape.used
        for low in range(0, self.BITS, used):
            block = self.BLOCK(self.shape, self.address, self.marks)
            m.submodules[f"block_{low}"] = block
            m.d.comb += [
                block.read.en.eq(self.read.en),
                block.read.addr.eq(self.read.addr),
                self.read.data[low : low + used].eq(block.read.data),
                block.write.en.eq(self.write.en),
                block.write.addr.eq(self.write.addr),
                block.write.data.eq(self.write.data[low : low + used]),
            ]
        return m

    def _array(self) -> Module:
        m = Module()
        m.submodules.array = array = Memory(shape=self.BITS, depth=self.depth, init=[])
        read, write = array.read_port(), array.write_port()
        m.d.comb += [
            read.addr.eq(self.read.addr),
            read.en.eq(self.read.en),
            write.en.eq(self.write.en),
            write.addr.eq(self.write.addr),
            write.data.eq(self.write.data),
        ]
        out = Signal(self.BITS, reset_less=True)
        m.d.sync += out.eq(read.data)
        m.d.comb += self.read.data.eq(out)
        return m


class WideBlockRam(BlockRam):
    """The same of 32 bits a word, of at most as many words as a DP16KD has."""

    BITS, MOST = WIDE.used, WIDE.words
    BLOCK, shape = WideDp16kd, WIDE
