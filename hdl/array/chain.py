"""The row-stationary array: one chain of PEs behind three GINs and the GON.

Eyeriss fixes PE sets to the columns of its 12 x 14 array and leaves up to 20 % of it idle
(JSSC 2017, fig. 5); here the psum link runs through all rows as one chain, and a logical
column is any run of consecutive PEs (with config.segment one within a segment, as on the chip).
"""

from amaranth.hdl import Cat, Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.array.config_walk import ConfigWalk
from hdl.array.gon import OutputBus
from hdl.array.lanes import Splitter
from hdl.array.row import NETWORKS, PeRow
from hdl.array.words import EVENTS, filter_word, ifmap_word, ofmap_bus_word, psum_word
from hdl.config import Config
from hdl.isa import ConfigBody
from hdl.lib.stream.fork import Fork
from hdl.lib.stream.skid_buffer import SkidBuffer
from hdl.lib.stream.through import through

# What the sequencers send and the networks inside the array may carry one by one.
NETWORK_WORDS = {"ifmap": ifmap_word, "filter": filter_word, "psum": psum_word}


class ProcessingArray(wiring.Component):
    """rows x columns PEs as one chain.

    Members
    -------
    config     stream of ConfigBody: accepted after the tags have been shifted in, one PE
               in two cycles; to be offered only while the array is drained
    config_error  the ConfigBody being accepted asks for more PEs than there are
    ifmap, filter, psum   word streams in (one word a cycle each; with one lane an entry or a psum a
                          cycle)
    ofmap      word stream out, in the order position, logical column, filter (with one psum lane
               psums)
    events_<name>  PEs with the event of pe.EVENTS, two cycles late
    """

    def __init__(self, config: Config):
        self.config = config
        ports = {net: In(stream.Signature(layout(config))) for net, layout in NETWORK_WORDS.items()}
        ports |= {
            "ofmap": Out(stream.Signature(ofmap_bus_word(config))),
            "config_": In(stream.Signature(ConfigBody)),
            "config_error": Out(1),
        }
        ports |= {f"events_{e}": Out(range(config.pes + 1)) for e in EVENTS}
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        c = self.config
        rows = [PeRow(c, n * c.columns) for n in range(c.rows)]
        for n, row in enumerate(rows):
            m.submodules[f"row_{n}"] = row

        # The chain, whose foot is a tail or unused.
        for one, other in zip(rows, rows[1:]):
            wiring.connect(m, one.chain_out, other.chain_in)
            m.d.comb += one.held.eq(other.resetting)
        m.d.comb += rows[-1].chain_out.ready.eq(1)

        # The input networks.
        for net, layout in NETWORKS:
            m.submodules[f"{net}_y_bus"] = bus = Fork(layout(c), c.rows)
            source = self._narrowed(m, net, layout(c), wiring.flipped(getattr(self, net)))
            wiring.connect(m, source, bus.input)
            for n, row in enumerate(rows):
                wiring.connect(m, getattr(bus, f"output_{n}"), getattr(row, net))

        # The output network.
        m.submodules.output_bus = output = OutputBus(ofmap_bus_word(c), c.rows)
        for n, row in enumerate(rows):
            wiring.connect(m, row.ofmap, getattr(output, f"source_{n}"))
            m.d.comb += output.members[n].eq(row.tails)
        wiring.connect(m, output.output, wiring.flipped(self.ofmap))

        # The configuration; rows shift one after the other, the last first.
        m.submodules.walk = walk = ConfigWalk(c)
        wiring.connect(m, wiring.flipped(self.config_), walk.config)
        shift, tags = walk.shift, walk.tags
        for row in reversed(rows):
            m.d.comb += [
                row.shift.eq(shift),
                row.tags_in.eq(tags),
                row.gate.eq(walk.gate),
                row.skip.eq(walk.skip),
            ]
            shift, tags = row.shift_out, row.tags_out
        m.d.comb += [
            walk.settled.eq(~Cat(row.shift_out for row in rows).any()),
            output.restart.eq(walk.shift | ~walk.settled),
            self.config_error.eq(walk.error),
        ]

        if c.counters:
            for event in EVENTS:
                total = sum(getattr(row, f"events_{event}") for row in rows)
                m.d.sync += getattr(self, f"events_{event}").eq(total)
        return m

    def _narrowed(
        self, m: Module, net: str, layout: data.StructLayout, source: stream.Interface
    ) -> stream.Interface:
        """The words of a network as it carries them inside."""
        words = NETWORK_WORDS[net](self.config)
        if words == layout:
            return source
        if net != "ifmap":  # IFMAP ends in a register slice
            source = through(m, f"{net}_words", SkidBuffer(words), source)
        singles = through(m, f"{net}_splitter", Splitter(words, layout), source)
        # The rows' agreement ends here.
        return through(m, f"{net}_skid", SkidBuffer(layout), singles)
