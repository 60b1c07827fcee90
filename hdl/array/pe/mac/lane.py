"""One multiplier of a PE with its psums."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, Config
from hdl.lib.arithmetic.multiplier import Multiplier
from hdl.lib.marks import MULTIPLIER


class MacLane(wiring.Component):
    """total = (0 if first else psums[read_index]) + entry * weight; psums[write_index] = total.

    Members, by stage, each in the cycle after the one before it:
    -------
    entry, weight, load    operands; without `load` those before stay
    advance                the product is computed, else stays
    clear, first, read_index   it is zero instead; the psum it is added to
    (sum)
    total, write, write_index  the sum; it is written

    Latency from operands to `total` four cycles, of which the multiplier takes three; a MAC a cycle
    if none comes within hdl.timing.HAZARD cycles of another on the same psum: a sum is written two
    cycles after its psum was read. place: marks the multiplier (hdl/lib/marks.py).
    """

    def __init__(self, config: Config, place: int = 0):
        self.config, self._place = config, place
        self.depth = config.psum_spad // config.simd
        super().__init__(
            {
                "entry": In(signed(ENTRY_BITS)),
                "weight": In(signed(ENTRY_BITS)),
                "load": In(1),
                "advance": In(1),
                "clear": In(1),
                "first": In(1),
                "read_index": In(range(self.depth)),
                "total": Out(signed(config.psum_bits)),
                "write": In(1),
                "write_index": In(range(self.depth)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = self.config.psum_bits
        m.submodules.multiplier = multiplier = Multiplier(marks={MULTIPLIER: self._place})
        m.submodules.psum_spad = psum_spad = Memory(shape=signed(bits), depth=self.depth, init=[])
        read, write = psum_spad.read_port(domain="comb"), psum_spad.write_port()
        m.d.comb += [
            multiplier.a.eq(self.entry),
            multiplier.w.eq(self.weight),
            multiplier.load.eq(self.load),
            multiplier.advance.eq(self.advance),
            multiplier.clear.eq(self.clear),
            read.addr.eq(self.read_index),
            write.addr.eq(self.write_index),
            write.data.eq(self.total),
            write.en.eq(self.write),
        ]
        psum = Signal(signed(bits), reset_less=True)
        total = Signal(signed(bits), reset_less=True)
        m.d.sync += [
            psum.eq(Mux(self.first, 0, read.data)),
            total.eq(psum + multiplier.product),
        ]
        m.d.comb += self.total.eq(total)
        return m
