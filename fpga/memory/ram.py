"""Memory on the chip."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In

from fpga.memory.single_port import SinglePort
from hdl.lib.axi import ADDRESS, DECERR, OKAY, ReadMaster, WriteMaster
from hdl.lib.stream.forward_slice import ForwardSlice
from hdl.lib.stream.through import into


class Ram(wiring.Component):
    """RAM of `size` bytes at address 0 behind an AXI port: block RAM, or with `single_port` a
    SinglePort.

    Members: `read` and `write`. Bursts are served in order, one at a time each way. One that
    reaches beyond the memory is answered with DECERR; it reads as 0 and writes nothing.

    Latency: two cycles from an address to its first word, one from the last word to its response.
    Throughput: a word a cycle each way, and one cycle more a burst; of a single port a word a
    cycle, writes first. Raises ValueError for a size that is not a multiple of 8, or more than a
    SinglePort has.
    """

    read: In(ReadMaster)
    write: In(WriteMaster)

    def __init__(self, size: int, single_port: bool = False):
        if size < 8 or size % 8 or size >= 1 << ADDRESS:
            raise ValueError(f"a RAM of {size} bytes: must be a multiple of 8 below 2**32")
        self.size, self.single_port = size, single_port
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        depth = self.size // 8
        at, to, fetch, word_in, store = (
            Signal(ADDRESS - 3),
            Signal(ADDRESS - 3),
            Signal(),
            Signal(64),
            Signal(8),
        )
        blocked = Signal()  # the port is taken by a write
        if self.single_port:
            m.submodules.array = array = SinglePort(depth)
            word_out = array.word
            m.d.comb += [
                blocked.eq(store.any()),
                array.address.eq(Mux(blocked, to, at)),
                array.read.eq(fetch),
                array.write.eq(store),
                array.data.eq(word_in),
            ]
        else:
            m.submodules.array = array = memory.Memory(shape=64, depth=depth, init=[])
            reader, writer = array.read_port(), array.write_port(granularity=8)
            word_out = reader.data
            m.d.comb += [
                reader.addr.eq(at),
                reader.en.eq(fetch),
                writer.addr.eq(to),
                writer.en.eq(store),
                writer.data.eq(word_in),
            ]

        def beyond(burst):
            return (burst.address[3:] + burst.length) >= depth

        # ---- reads ----------------------------------------------------------------------
        # The word stays in the RAM's output, so no slice holds it.
        left, bad, advance, answered_bad = Signal(9), Signal(), Signal(), Signal()
        address, out = self.read.address, self.read.data
        m.d.comb += [
            address.ready.eq(left == 0),
            advance.eq(~out.valid | out.ready),
            fetch.eq(advance & (left != 0) & ~blocked),
            out.p.data.eq(Mux(answered_bad, 0, word_out)),
            out.p.resp.eq(Mux(answered_bad, DECERR, OKAY)),
        ]
        with m.If(advance):
            m.d.sync += [out.valid.eq(fetch), out.p.last.eq(left == 1), answered_bad.eq(bad)]
        with m.If(fetch):
            m.d.sync += [at.eq(at + 1), left.eq(left - 1)]
        with m.If(address.valid & address.ready):
            m.d.sync += [
                at.eq(address.p.address[3:]),
                left.eq(address.p.length + 1),
                bad.eq(beyond(address.p)),
            ]

        # ---- writes ---------------------------------------------------------------------
        busy, wrong = Signal(), Signal()
        address, word = self.write.address, self.write.data
        slice_ = ForwardSlice(unsigned(2))
        answer = into(m, "answer", slice_, wiring.flipped(self.write.response))
        m.d.comb += [
            address.ready.eq(~busy),
            word.ready.eq(busy & answer.ready),
            word_in.eq(word.p.data),
            answer.valid.eq(busy & word.valid & word.p.last),
            answer.payload.eq(Mux(wrong, DECERR, OKAY)),
        ]
        with m.If(word.valid & word.ready):
            m.d.comb += store.eq(Mux(wrong, 0, word.p.strobe))
            m.d.sync += to.eq(to + 1)
            with m.If(word.p.last):
                m.d.sync += busy.eq(0)
        with m.If(address.valid & address.ready):
            m.d.sync += [to.eq(address.p.address[3:]), busy.eq(1), wrong.eq(beyond(address.p))]
        return m
