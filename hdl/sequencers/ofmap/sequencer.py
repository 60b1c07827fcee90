"""OFMAP: stores psums, or requantises them into an ofmap tile."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.array.words import ofmap_bus_word
from hdl.buffer.words import WRITE_SIGNATURE
from hdl.config import Config
from hdl.isa import WORD_ADDR, OfmapBody
from hdl.lib.arithmetic.requantise import Requantise
from hdl.lib.engine import engine_ports
from hdl.sequencers.ofmap.gather import OfmapGather
from hdl.sequencers.ofmap.intake import PsumIntake, WordIntake
from hdl.sequencers.ofmap.place import OfmapPlace
from hdl.sequencers.ofmap.walk import OfmapWalk
from hdl.sequencers.words import ofmap_psums


class OfmapSequencer(wiring.Component):
    """OFMAP: output network -> the ring, or requantised -> an ofmap tile (isa.OfmapBody).

    Members: `command`, `done`; `input`, what the output network carries; `glb` write port;
    `ring_word`, the ring's write pointer, `ring_room`, it has room, `reserve`, a place there is
    taken, `push`, a word entered it; `taken`, a word of up to four psums has come in; `starved`, a
    pass is open and nothing there.

    What the network carries in a cycle, two cycles lost between commands; latency
    Requantise.LATENCY from word to write, with one psum lane a cycle more. A place in the ring is
    taken before the requantiser, so that a word for it never waits there.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            engine_ports(OfmapBody)
            | {
                "input": In(stream.Signature(ofmap_bus_word(config))),
                "glb": Out(WRITE_SIGNATURE),
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
        m.submodules.walk = walk = OfmapWalk(c)
        m.submodules.intake = intake = intake_of(c)
        m.submodules.requantise = requantise = Requantise(c, c.psum_lanes)
        m.submodules.writer = writer = writer_of(c)
        wiring.connect(m, wiring.flipped(self.command), walk.command)
        wiring.connect(m, wiring.flipped(self.input), intake.input)
        wiring.connect(m, walk.places, intake.places)

        # What comes goes beside the requantiser.
        advance, moves = Signal(), Signal()
        came, stages = intake.output, range(Requantise.LATENCY)
        pipe = [Signal(ofmap_psums(c), name=f"psums_{n}", reset_less=True) for n in stages]
        valid = Signal(Requantise.LATENCY)
        m.d.comb += [
            came.ready.eq(advance & (~came.p.place.to_ring | self.ring_room)),
            moves.eq(came.valid & came.ready),
            requantise.enable.eq(advance),
            Value.cast(requantise.psums).eq(came.p.psums),
            requantise.shift.eq(walk.shift),
            requantise.relu.eq(walk.relu),
            self.taken.eq(moves & came.p.whole),
            self.starved.eq(walk.places.valid & ~self.input.valid),
            self.reserve.eq(self.taken & came.p.place.to_ring),
        ]
        with m.If(advance):
            m.d.sync += valid.eq(Value.cast(valid) << 1 | moves)
            for before, after in zip([came.payload, *pipe], pipe):
                m.d.sync += after.eq(before)

        # Whole words are written.
        wants = Signal()
        m.d.comb += [
            writer.valid.eq(valid[-1]),
            writer.psums.eq(pipe[-1]),
            writer.entries.eq(requantise.entries),
            writer.advance.eq(advance),
            writer.ring_word.eq(self.ring_word),
            wants.eq(writer.whole & ~writer.drop),
            self.glb.valid.eq(wants),
            self.glb.payload.eq(writer.write),
            advance.eq(~wants | self.glb.ready),
            self.push.eq(wants & self.glb.ready & writer.to_ring),
            self.done.eq(writer.whole & writer.last & advance),
        ]
        return m
