"""Memory on the chip."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In

from hdl.axi import ADDRESS, OKAY, ReadMaster, WriteMaster

DECERR = 3


class Ram(wiring.Component):
    """Block RAM of `size` bytes at address 0 behind an AXI port.

    Members: `read` and `write`. Bursts are served in order, one at a time each way. One that reaches
    beyond the memory is answered with DECERR; it reads as 0 and writes nothing.

    Latency: two cycles from an address to its first word, one from the last word to its response.
    Throughput: a word a cycle each way, and one cycle more a burst.
    Raises ValueError for a size that is not a multiple of 8.
    """

    read: In(ReadMaster)
    write: In(WriteMaster)

    def __init__(self, size: int):
        if size < 8 or size % 8 or size >= 1 << ADDRESS:
            raise ValueError(f"a RAM of {size} bytes: must be a multiple of 8 below 2**32")
        self.size = size
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        depth = self.size // 8
        m.submodules.array = array = memory.Memory(shape=64, depth=depth, init=[])
        load, store = array.read_port(), array.write_port(granularity=8)

        def beyond(burst):
            return (burst.address[3:] + burst.length) >= depth

        # ---- reads ----------------------------------------------------------------------
        at, left, bad, advance = Signal(ADDRESS - 3), Signal(9), Signal(), Signal()
        answered_bad = Signal()
        address, out = self.read.address, self.read.data
        m.d.comb += [
            address.ready.eq(left == 0), advance.eq(~out.valid | out.ready),
            load.addr.eq(at), load.en.eq(advance & (left != 0)),
            out.p.data.eq(Mux(answered_bad, 0, load.data)), out.p.resp.eq(Mux(answered_bad, DECERR, OKAY)),
        ]
        with m.If(advance):
            m.d.sync += [out.valid.eq(left != 0), out.p.last.eq(left == 1), answered_bad.eq(bad)]
            with m.If(left != 0):
                m.d.sync += [at.eq(at + 1), left.eq(left - 1)]
        with m.If(address.valid & address.ready):
            m.d.sync += [at.eq(address.p.address[3:]), left.eq(address.p.length + 1), bad.eq(beyond(address.p))]

        # ---- writes ---------------------------------------------------------------------
        to, busy, wrong = Signal(ADDRESS - 3), Signal(), Signal()
        address, word, answer = self.write.address, self.write.data, self.write.response
        m.d.comb += [
            address.ready.eq(~busy), word.ready.eq(busy & (~answer.valid | answer.ready)),
            store.addr.eq(to), store.data.eq(word.p.data),
        ]
        with m.If(answer.ready):
            m.d.sync += answer.valid.eq(0)
        with m.If(word.valid & word.ready):
            m.d.comb += store.en.eq(Mux(wrong, 0, word.p.strobe))
            m.d.sync += to.eq(to + 1)
            with m.If(word.p.last):
                m.d.sync += [busy.eq(0), answer.valid.eq(1), answer.payload.eq(Mux(wrong, DECERR, OKAY))]
        with m.If(address.valid & address.ready):
            m.d.sync += [to.eq(address.p.address[3:]), busy.eq(1), wrong.eq(beyond(address.p))]
        return m
