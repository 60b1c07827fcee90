"""OFMAP: stores psums, or scales them into an ofmap tile."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.array.words import ofmap_bus_word
from hdl.buffer.words import PROMPT_READ_SIGNATURE, WRITE_SIGNATURE
from hdl.config import Config
from hdl.isa import WORD_ADDR, OfmapCommand
from hdl.lib.engine import engine_ports
from hdl.lib.stream.register_slice import RegisterSlice
from hdl.sequencers.ofmap.commands import OfmapCommands
from hdl.sequencers.ofmap.fill import ScaleFill
from hdl.sequencers.ofmap.gather import OfmapGather
from hdl.sequencers.ofmap.intake import PsumIntake, WordIntake
from hdl.sequencers.ofmap.place import OfmapPlace
from hdl.sequencers.ofmap.scaling import OfmapScaling
from hdl.sequencers.ofmap.table import ScaleTable
from hdl.sequencers.ofmap.walk import OfmapWalk
from hdl.sequencers.words import ofmap_psums


class OfmapSequencer(wiring.Component):
    """OFMAP: output network -> the ring, or scaled -> an ofmap tile (isa.OfmapBody); SCALE: global
    buffer -> the table of scales (isa.ScaleBody).

    Members: `command`, `done`; `input`, what the output network carries; `glb` write port; `scales`
    read port; `ring_word`, the ring's write pointer, `ring_room`, it has room, `reserve`, a place
    there is taken, `push`, a word entered it; `taken`, a word of up to four psums has come in;
    `starved`, a pass is open and nothing there.

    What the network carries in a cycle, two cycles lost between commands; latency from word to
    write LATENCY, with one psum lane a cycle more. A place in the ring is taken when a word for it
    comes, so that it never waits there.
    """

    LATENCY = 2 + OfmapScaling.LATENCY  # a slice's and the table's too

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            engine_ports(OfmapCommand)
            | {
                "input": In(stream.Signature(ofmap_bus_word(config))),
                "glb": Out(WRITE_SIGNATURE),
                "scales": Out(PROMPT_READ_SIGNATURE),
                "ring_word": In(WORD_ADDR),
                "ring_room": In(1),
                "reserve": Out(1),
                "push": Out(1),
                "taken": Out(1),
                "starved": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c = self.config
        intake_of, writer_of = (
            (PsumIntake, OfmapGather) if c.psum_lanes == 1 else (WordIntake, OfmapPlace)
        )
        m.submodules.commands = commands = OfmapCommands()
        m.submodules.walk = walk = OfmapWalk(c)
        m.submodules.fill = fill = ScaleFill()
        m.submodules.intake = intake = intake_of(c)
        m.submodules.table = table = ScaleTable(c)
        m.submodules.scaling = scaling = OfmapScaling(c)
        m.submodules.writer = writer = writer_of(c)
        wiring.connect(m, wiring.flipped(self.command), commands.command)
        wiring.connect(m, commands.ofmaps, walk.command)
        wiring.connect(m, commands.scales, fill.command)
        wiring.connect(m, fill.glb, wiring.flipped(self.scales))
        wiring.connect(m, wiring.flipped(self.input), intake.input)
        wiring.connect(m, walk.places, intake.places)

        # What comes, with a place in the ring if it goes there.
        m.submodules.word = word = RegisterSlice(ofmap_psums(c))
        came = intake.output
        room = ~came.p.place.to_ring | self.ring_room
        m.d.comb += [
            word.input.valid.eq(came.valid & room),
            word.input.payload.eq(came.payload),
            came.ready.eq(word.input.ready & room),
            self.taken.eq(came.valid & came.ready & came.p.whole),
            self.starved.eq(walk.places.valid & ~self.input.valid),
            self.reserve.eq(self.taken & came.p.place.to_ring),
        ]

        # It waits for what the table holds of it, then goes through the scaling; psums for the ring
        # go beside it, so that all stay in order.
        item, head = word.output, Signal(ofmap_psums(c), reset_less=True)
        waits, advance = Signal(), Signal()
        m.d.comb += [
            item.ready.eq(advance),
            table.enable.eq(advance),
            table.row.eq(item.p.place.row),
            table.lane.eq(item.p.lane),
            scaling.enable.eq(advance),
            scaling.valid.eq(waits),
            scaling.psums.eq(head),
            scaling.words.eq(table.words),
        ]
        with m.If(advance):
            m.d.sync += [waits.eq(item.valid), head.eq(item.payload)]

        # Whole words are written.
        wants = Signal()
        m.d.comb += [
            writer.valid.eq(scaling.comes),
            writer.psums.eq(scaling.placed),
            writer.entries.eq(scaling.entries),
            writer.advance.eq(advance),
            writer.ring_word.eq(self.ring_word),
            wants.eq(writer.whole & ~writer.drop),
            self.glb.valid.eq(wants),
            self.glb.payload.eq(writer.write),
            advance.eq(~wants | self.glb.ready),
            self.push.eq(wants & self.glb.ready & writer.to_ring),
            self.done.eq(writer.whole & writer.last & advance | fill.done),
        ]

        # A SCALE waits until nothing reads the table, or is bounded by what it changes.
        m.d.comb += [
            commands.filled.eq(fill.idle),
            commands.quiet.eq(
                walk.command.ready & ~item.valid & ~waits & scaling.empty & ~writer.whole
            ),
            table.write.eq(fill.write),
            table.channel.eq(fill.channel),
            table.word.eq(fill.word),
            scaling.rounding.eq(fill.rounding),
            scaling.lo.eq(fill.lo),
            scaling.hi.eq(fill.hi),
        ]
        return m
