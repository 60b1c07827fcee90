"""OFMAP: stores psums, or requantises them into an ofmap tile."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.array.words import ofmap_bus_word
from hdl.buffer.words import WRITE_SIGNATURE
from hdl.config import ENTRY_BITS, PSUM_LANES, PSUM_SLOT_BITS, WORD_BITS, Config
from hdl.isa import WORD_ADDR, OfmapBody
from hdl.lib.arithmetic.requantise import Requantise
from hdl.lib.engine import engine_ports
from hdl.sequencers.nest import Nest


class OfmapSequencer(wiring.Component):
    """OFMAP: output network -> the ring, or requantised -> an ofmap tile (isa.OfmapBody).

    Members: `command`, `done`; `input`, what the output network carries; `glb` write port;
    `ring_word`, the ring's write pointer, `ring_room`, it has room, `reserve`, a place there is
    taken, `push`, a word entered it; `taken`, a word of up to four psums has come in; `starved`, a
    pass is open and nothing there. What the network carries in a cycle, two cycles lost between
    commands; latency Requantise.LATENCY from word to write.

    With one psum lane psums are requantised one by one and put side by side behind that, a cycle
    later. A place in the ring is taken before the requantiser, so that it never waits: the buffer
    grants OFMAP's writes at once.
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
        body = Signal(OfmapBody, reset_less=True)
        words = Signal(8, reset_less=True)  # of a column's p psums
        place = c.glb_entry_bits
        WORD, SET, ROW, POSITION, IMAGE = range(5)
        m.submodules.nest = nest = Nest(
            (8, 8, 8, 16, 16),
            {
                "address": (place, (WORD, SET, POSITION, IMAGE)),
                "left": (8, (WORD,)),
                "row": (8, (ROW,)),
            },
        )
        m.d.comb += [
            nest.count_0.eq(words),
            nest.count_1.eq(body.sets),
            nest.count_2.eq(body.rows),
            nest.count_3.eq(body.positions),
            nest.count_4.eq(body.images),
            nest.address_start.eq(body.base),
            nest.address_stride_0.eq(PSUM_LANES),
            nest.address_stride_1.eq(body.p),
            nest.address_stride_3.eq(body.position_stride),
            nest.address_stride_4.eq(body.image_stride),
            nest.left_start.eq(body.p),
            nest.left_stride_0.eq(-PSUM_LANES),
            nest.row_stride_2.eq(1),
        ]
        row_at, row_offset = Signal(17), Signal(place)  # ring row of the ofmap row
        # Registers: it is the ring's last, the row after the ring's first is, the command's first
        # is.
        row_last, second_last, first_last = Signal(), Signal(), Signal()
        m.d.sync += [second_last.eq(body.ring == 1), first_last.eq(body.row_first + 1 == body.ring)]

        single = c.psum_lanes == 1
        advance, whole = Signal(), Signal()  # whole: what comes in ends a word
        m.submodules.requantise = requantise = Requantise(c, c.psum_lanes)
        m.d.comb += [
            requantise.enable.eq(advance),
            Value.cast(requantise.psums).eq(self.input.payload.data),
            requantise.shift.eq(body.shift),
            requantise.relu.eq(body.relu),
        ]
        stage_layout = data.StructLayout(
            {
                "valid": 1,
                "to_ring": 1,
                "write": 1,
                "last": 1,
                "address": place,
                "count": 3,
                "psums": c.psum_bits * c.psum_lanes,
                "whole": 1,
                "lane": 2,
            }
        )
        pipe = [Signal(stage_layout, name=f"stage_{n}") for n in range(Requantise.LATENCY)]
        end = pipe[-1]
        lane = Signal(2)  # of a single psum in its word
        if single:
            m.d.comb += whole.eq(self.input.p.end | (lane == PSUM_LANES - 1))
        else:
            m.d.comb += whole.eq(1)
        moves = self.input.valid & self.input.ready
        m.d.comb += [nest.step.eq(moves & whole), self.taken.eq(nest.step)]
        with m.If(moves):
            m.d.sync += lane.eq(Mux(whole, 0, lane + 1))
        with m.If(advance):
            m.d.sync += [
                pipe[0].valid.eq(moves),
                pipe[0].to_ring.eq(body.to_ring),
                pipe[0].write.eq(nest.row < body.rows_valid),
                pipe[0].last.eq(nest.last),
                pipe[0].address.eq(nest.address + row_offset),
                pipe[0].count.eq(Mux(nest.left > PSUM_LANES, PSUM_LANES, nest.left)),
                pipe[0].psums.eq(self.input.payload.data),
                pipe[0].whole.eq(whole),
                pipe[0].lane.eq(lane),
            ]
            for before, after in zip(pipe, pipe[1:]):
                m.d.sync += after.eq(before)
        with m.FSM():
            with m.State("idle"):
                m.d.comb += self.command.ready.eq(1)
                m.d.sync += [
                    body.eq(self.command.payload),
                    words.eq((self.command.p.p + PSUM_LANES - 1) >> 2),
                ]
                with m.If(self.command.valid):
                    m.next = "start"
            with m.State("start"):
                m.d.comb += nest.load.eq(1)
                m.d.sync += [
                    row_at.eq(body.row_first),
                    row_offset.eq(body.row_start),
                    row_last.eq(body.row_first + 1 == body.ring),
                ]
                m.next = "words"
            with m.State("words"):
                m.d.comb += [
                    self.input.ready.eq(
                        advance & (~body.to_ring | self.ring_room if single else 1)
                    ),
                    self.starved.eq(~self.input.valid),
                ]
                with m.If(nest.step):
                    with m.If(nest.last_0 & nest.last_1):
                        with m.If(nest.last_2):
                            m.d.sync += [
                                row_at.eq(body.row_first),
                                row_offset.eq(body.row_start),
                                row_last.eq(first_last),
                            ]
                        with m.Elif(row_last):
                            m.d.sync += [row_at.eq(0), row_offset.eq(0), row_last.eq(second_last)]
                        with m.Else():
                            m.d.sync += [
                                row_at.eq(row_at + 1),
                                row_last.eq(row_at + 2 == body.ring),
                                row_offset.eq(row_offset + body.row_stride),
                            ]
                    with m.If(nest.last):
                        m.next = "idle"

        # ---- write: a word that is whole, `ready` behind the requantiser -----------------
        ready = Signal(data.StructLayout({"valid": 1, "to_ring": 1, "write": 1, "last": 1}))
        wants = Signal()
        m.d.comb += [
            wants.eq(ready.valid & (ready.to_ring | ready.write)),
            self.glb.valid.eq(wants & (1 if single else ~ready.to_ring | self.ring_room)),
            advance.eq(~wants | (self.glb.valid & self.glb.ready)),
            self.push.eq(self.glb.valid & self.glb.ready & ready.to_ring),
            self.reserve.eq(nest.step & body.to_ring if single else self.push),
            self.done.eq(ready.valid & ready.last & advance),
        ]
        self._gather(m, advance, end, requantise, ready) if single else self._place(
            m, end, requantise, ready
        )
        return m

    def _place(self, m: Module, end: data.View, requantise: Requantise, ready: data.View) -> None:
        """Four lanes: psums to their slots, entries to their place in two words."""
        c, lane, lanes = self.config, end.address[:2], Signal(4)
        slots = Cat(*(_extend(m, end.psums.word_select(n, c.psum_bits)) for n in range(PSUM_LANES)))
        with m.Switch(end.count):
            for n in range(1, 5):
                with m.Case(n):
                    m.d.comb += lanes.eq((1 << n) - 1)
        m.d.comb += [
            ready.valid.eq(end.valid),
            ready.to_ring.eq(end.to_ring),
            ready.write.eq(end.write),
            ready.last.eq(end.last),
        ]
        with m.If(end.to_ring):
            m.d.comb += [
                self.glb.payload.word.eq(self.ring_word),
                self.glb.payload.data.eq(slots),
                self.glb.payload.mask.eq(0xFF),
            ]
        with m.Else():
            m.d.comb += [
                self.glb.payload.word.eq(end.address[2:]),
                self.glb.payload.data.eq(requantise.entries.as_value() << (lane << 4)),
                self.glb.payload.mask.eq(lanes << lane),
            ]

    def _gather(
        self,
        m: Module,
        advance: Signal,
        end: data.View,
        requantise: Requantise,
        ready: data.View,
    ) -> None:
        """One lane: it goes into one of eight of 16 bits, or into two if it is a psum for the
        ring."""
        two, mask = Signal(2 * WORD_BITS, reset_less=True), Signal(8)
        word, at, psum = (
            Signal(self.glb.payload.word.shape(), reset_less=True),
            Signal(3),
            _extend(m, end.psums),
        )
        entry = Value.cast(requantise.entries)
        m.d.comb += [
            at.eq(end.address[:2] + end.lane),
            self.glb.payload.data.eq(two),
            self.glb.payload.mask.eq(mask),
            self.glb.payload.word.eq(Mux(ready.to_ring, self.ring_word, word)),
        ]
        with m.If(advance):
            m.d.sync += [
                ready.valid.eq(end.valid & end.whole),
                ready.to_ring.eq(end.to_ring),
                ready.write.eq(end.write),
                ready.last.eq(end.last),
                word.eq(end.address[2:]),
            ]
            with m.If(end.valid):
                m.d.sync += mask.eq(Mux(end.lane == 0, 0, mask) | Mux(end.to_ring, 0xFF, 1 << at))
                for n in range(2 * WORD_BITS // ENTRY_BITS):
                    with m.If(Mux(end.to_ring, end.lane == n // 2, at == n)):
                        value = psum.word_select(n % 2, ENTRY_BITS)
                        m.d.sync += two.word_select(n, ENTRY_BITS).eq(
                            Mux(end.to_ring, value, entry)
                        )


def _extend(m: Module, psum: Value) -> Signal:
    """A psum sign-extended to its slot."""
    slot = Signal(signed(PSUM_SLOT_BITS))
    m.d.comb += slot.eq(psum.as_signed())
    return slot
