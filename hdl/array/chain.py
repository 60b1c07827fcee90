"""The row-stationary array: one chain of PEs behind three GINs and the GON.

Eyeriss fixes PE sets to the columns of its 12 x 14 array and leaves up to 20 % of it idle
(JSSC 2017, fig. 5); here the psum link runs through all rows as one chain, and a logical
column is any run of consecutive PEs (with config.segment one within a segment, as on the chip).
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.array.gin import YBus
from hdl.array.gon import OutputBus
from hdl.array.lanes import Splitter
from hdl.array.row import NETWORKS, PeRow
from hdl.array.words import EVENTS, filter_word, ifmap_word, ofmap_bus_word, psum_word
from hdl.config import Config
from hdl.isa import ConfigBody, Mode
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
        for one, other in zip(rows, rows[1:]):
            wiring.connect(m, one.chain_out, other.chain_in)
            m.d.comb += [one.tags_in.eq(other.tags_out), one.held.eq(other.resetting)]
        m.d.comb += rows[-1].chain_out.ready.eq(1)  # the chain's foot is a tail or unused
        for net, layout in NETWORKS:
            m.submodules[f"{net}_y_bus"] = bus = YBus(layout(c), c.rows)
            source = wiring.flipped(getattr(self, net))
            if (c.psum_lanes if net == "psum" else c.input_lanes) == 1:
                m.submodules[f"{net}_splitter"] = splitter = Splitter(
                    NETWORK_WORDS[net](c), layout(c)
                )
                if net != "ifmap":  # IFMAP ends in a register slice
                    source = through(m, f"{net}_words", SkidBuffer(NETWORK_WORDS[net](c)), source)
                wiring.connect(m, source, splitter.input)
                # The rows' agreement ends here.
                source = through(m, f"{net}_skid", SkidBuffer(layout(c)), splitter.output)
            wiring.connect(m, source, bus.input)
            for n, row in enumerate(rows):
                wiring.connect(m, getattr(bus, f"row_{n}"), getattr(row, net))
        m.submodules.output_bus = output = OutputBus(ofmap_bus_word(c), c.rows)
        for n, row in enumerate(rows):
            wiring.connect(m, row.ofmap, getattr(output, f"source_{n}"))
            m.d.comb += output.members[n].eq(row.tails)
        wiring.connect(m, output.output, wiring.flipped(self.ofmap))
        if c.counters:
            for event in EVENTS:
                m.d.sync += getattr(self, f"events_{event}").eq(
                    sum(getattr(row, f"events_{event}") for row in rows)
                )

        # ---- configuration: walk i, g, k, j along the chain and shift the tags in -------
        body = self.config_.payload
        gate, skip, shift, shifting = Signal(), Signal(), Signal(), Signal()
        left = Signal(range(c.pes + 1))
        i, g, k, j = (Signal(8, name=f"config_{n}") for n in "igkj")
        column_base = Signal(c.ifmap_tag_bits)  # U*i*r
        row_base = Signal(c.ifmap_tag_bits)  # (U*i + j)*r
        filter_tag, psum_tag = Signal(c.pe_tag_bits), Signal(c.pe_tag_bits)
        placed = Signal()  # all logical columns are in
        last_j, last_k, last_g, last_i = (Signal(name=f"config_last_{n}") for n in "jkgi")
        found = Signal()  # they are there
        slide = Signal(c.ifmap_tag_bits)
        m.d.sync += slide.eq(body.stride * body.groups)
        used = ~placed  # the PE belongs to a logical column
        if c.segment:
            need, room = Signal(16), Signal(range(c.segment + 1))
            m.d.sync += need.eq(body.height * body.groups)
            used &= (j != 0) | (k != 0) | (room >= need)
            with m.If(shift):
                m.d.sync += room.eq(Mux(room == 1, c.segment, room - 1))
            with m.Elif(~shifting):
                m.d.sync += room.eq(c.segment)
        m.d.sync += found.eq(~found)
        m.d.sync += [
            last_j.eq(j + 1 == body.height),
            last_k.eq(k + 1 == body.groups),
            last_g.eq(g + 1 == body.sets),
            last_i.eq(i + 1 == body.rows),
        ]
        tags = rows[-1].tags_in
        m.d.comb += [
            tags.enable.eq(used),
            tags.head.eq((j == 0) & (k == 0)),
            tags.tail.eq(last_j & last_k),
            tags.ifmap.eq(row_base + k),
            tags.filter.eq(filter_tag),
            tags.psum.eq(psum_tag),
        ]
        # Rows shift one after the other, the last first.
        for row, after in zip(rows, [*rows[1:], None]):
            m.d.comb += [
                row.shift.eq(after.shift_out if after else shift),
                row.gate.eq(gate),
                row.skip.eq(skip),
            ]
        settled = Signal()
        m.d.comb += [
            settled.eq(~Cat(row.shift_out for row in rows).any()),
            output.restart.eq(shift | ~settled),
        ]
        with m.FSM(name="config_state"):
            with m.State("idle"):
                with m.If(self.config_.valid):
                    m.d.sync += [
                        sig.eq(0)
                        for sig in (i, g, k, j, column_base, row_base, filter_tag, psum_tag, placed)
                    ]
                    m.d.sync += [left.eq(c.pes), found.eq(0)]
                    m.next = "shift"
            with m.State("shift"):
                m.d.comb += [shift.eq(found), shifting.eq(1)]
                with m.If(shift):
                    m.d.sync += left.eq(left - 1)
                with m.If(shift & used):
                    m.d.sync += [
                        j.eq(j + 1),
                        row_base.eq(row_base + body.groups),
                        filter_tag.eq(filter_tag + 1),
                    ]
                    with m.If(last_j):
                        m.d.sync += [j.eq(0), k.eq(k + 1), row_base.eq(column_base)]
                        with m.If(last_k):
                            m.d.sync += [k.eq(0), g.eq(g + 1), psum_tag.eq(psum_tag + 1)]
                            with m.If(last_g):
                                m.d.sync += [
                                    g.eq(0),
                                    i.eq(i + 1),
                                    filter_tag.eq(0),
                                    column_base.eq(column_base + slide),
                                    row_base.eq(column_base + slide),
                                ]
                                with m.If(last_i):
                                    m.d.sync += placed.eq(1)
                with m.If(shift & (left == 1)):
                    m.next = "settle"
            with m.State("settle"):
                with m.If(settled):
                    m.next = "accept"
            with m.State("accept"):
                m.d.comb += [self.config_.ready.eq(1), self.config_error.eq(~placed)]
                if c.gating:
                    m.d.sync += gate.eq(body.mode == Mode.GATE)
                if c.skip:
                    m.d.sync += skip.eq(body.mode == Mode.SKIP)
                m.next = "idle"
        return m
