"""The way out of a PE: its sums, to which it adds its predecessor's psums (JSSC 2017, fig. 12)."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.array.pe.sums.bus_head import BusHead
from hdl.array.pe.sums.drain_buffer import DrainBuffer
from hdl.array.pe.sums.fifo_head import FifoHead
from hdl.array.pe.sums.sum_output import SumOutput
from hdl.array.pe.sums.word_output import WordOutput
from hdl.array.words import ofmap_bus_word, psum_bus_word
from hdl.config import Config
from hdl.lib.arithmetic.select_adder import SelectAdder


class Drain(wiring.Component):
    """Sums wait in a buffer until their psums are there, which a head gets from the psum network,
    any other PE from the one before it in the chain.

    Members
    -------
    take, room              a place in the buffer is taken, only while there is one
    write, sums, last, single   config.simd sums for the oldest place taken, or the first of them;
                            the last of a position
    head, tail              what the PE is in its logical column
    word, match, fire, accept   the psum network's bus
    chain_in, chain_out     psums of the PE before, for the one after; two are held after the adder
    ofmap                   a tail's sums

    A sum a cycle; latency two cycles from `write` to `chain_out` or, with one psum lane, `ofmap`.
    """

    def __init__(self, config: Config):
        self.config = config
        psum = stream.Signature(signed(config.psum_bits))
        super().__init__(
            {
                "take": In(1),
                "room": Out(1),
                "write": In(1),
                "sums": In(config.psum_bits * config.simd),
                "last": In(1),
                "single": In(1),
                "head": In(1),
                "tail": In(1),
                "word": In(psum_bus_word(config)),
                "match": In(1),
                "fire": In(1),
                "accept": Out(1),
                "chain_in": In(psum),
                "chain_out": Out(psum),
                "ofmap": Out(stream.Signature(ofmap_bus_word(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c = self.config
        single = c.psum_lanes == 1
        m.submodules.buffer = buffer = DrainBuffer(c)
        m.submodules.head = head = (BusHead if single else FifoHead)(c)
        m.submodules.output = output = (SumOutput if single else WordOutput)(c)
        m.submodules.adder = adder = SelectAdder(c.psum_bits)
        m.d.comb += [
            buffer.take.eq(self.take),
            self.room.eq(buffer.room),
            buffer.write.eq(self.write),
            buffer.psums.eq(self.sums),
            buffer.last.eq(self.last),
            buffer.single.eq(self.single),
            head.word.eq(self.word),
            head.match.eq(self.match),
            head.fire.eq(self.fire),
            self.accept.eq(head.accept),
            output.tail.eq(self.tail),
        ]
        wiring.connect(m, output.chain_out, wiring.flipped(self.chain_out))
        wiring.connect(m, output.ofmap, wiring.flipped(self.ofmap))

        # A sum leaves when its psum is there.
        due, leaves = Signal(), Signal()
        m.d.comb += [
            due.eq(buffer.valid & output.room),
            leaves.eq(due & Mux(self.head, head.there, self.chain_in.valid)),
            buffer.next.eq(leaves),
            head.due.eq(due),
            head.take.eq(leaves & self.head),
            self.chain_in.ready.eq(due & ~self.head),
            output.push.eq(leaves),
        ]
        m.d.comb += [
            adder.own.eq(buffer.out),
            adder.one.eq(head.psum),
            adder.other.eq(self.chain_in.payload),
            adder.select.eq(self.head),
            output.sum.psum.eq(adder.total),
            output.sum.last.eq(buffer.out_last),
        ]
        return m
