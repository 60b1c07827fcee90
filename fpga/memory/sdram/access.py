"""Chooses the next word and gives the commands that move it."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fpga.memory.sdram.sdram_timing import SdramPart
from fpga.memory.sdram.words import ACTIVE, NOP, PRECHARGE, READ, WRITE, Place, word_address


class Access(wiring.Component):
    """A word at a time: choose it, look whether its row is open, weigh, give a command.

    Members, of the bursts under way: `read_busy`, `read_at`, `read_last`, `read_bad`, and of the
    write alike (BurstTracker); `can_read`, what is read has room; `word_there`, and `answer_free`,
    what is written has its word, and its answer room. Of the part: `may_open`, `may_close`,
    `may_move`, `may_write` (CommandTimers); `is_open`, `hit`, of the word, a cycle after `look`
    (OpenRows). `owed`, a refresh is: `begin`, a pulse, nothing is done until `over`.

    `issue`, the command given in this cycle, or NOP; `at`, `place`, of the word that it is for,
    stable from a cycle before `look` on; `look`, `opens`, `closes`, what OpenRows learns; `reads`
    and `writes`, the word is moved, a pulse each.

    A word every four cycles with its row open, where nothing else has to be waited for. The
    direction changes when a burst ends or has to wait.
    """

    def __init__(self, part: SdramPart):
        self.where = word_address(part)
        bits = self.where.size
        tracked = {"busy": In(1), "at": In(bits), "last": In(1), "bad": In(1)}
        super().__init__(
            {
                **{f"read_{name}": member for name, member in tracked.items()},
                **{f"write_{name}": member for name, member in tracked.items()},
                "can_read": In(1),
                "word_there": In(1),
                "answer_free": In(1),
                **{name: In(1) for name in ("may_open", "may_close", "may_move", "may_write")},
                "is_open": In(1),
                "hit": In(1),
                "owed": In(1),
                "begin": Out(1),
                "over": In(1),
                "issue": Out(3, init=NOP),
                "at": Out(self.where),
                "place": Out(Place),
                **{name: Out(1) for name in ("look", "opens", "closes", "reads", "writes")},
            }
        )

    def elaborate(self, platform):
        m = Module()
        readable, writable, choose_write = Signal(), Signal(), Signal()
        is_write = Signal()
        writing = Signal()  # the burst under way goes on, if it can
        m.d.comb += [
            readable.eq(self.read_busy & self.can_read),
            writable.eq(self.write_busy & self.word_there),
            choose_write.eq(writable & (writing | ~readable)),
        ]

        with m.FSM():
            with m.State("Upkeep"):
                with m.If(self.over):
                    m.next = "Choose"
            with m.State("Choose"):
                m.d.sync += [
                    self.at.eq(Mux(choose_write, self.write_at, self.read_at)),
                    self.place.bad.eq(Mux(choose_write, self.write_bad, self.read_bad)),
                    is_write.eq(choose_write),
                ]
                with m.If(self.owed):
                    m.d.comb += self.begin.eq(1)
                    m.next = "Upkeep"
                with m.Elif(readable | writable):
                    m.next = "Look"
            with m.State("Look"):
                m.d.comb += self.look.eq(1)
                m.d.sync += self.place.last.eq(Mux(is_write, self.write_last, self.read_last))
                m.next = "Weigh"
            # which command is next, and can be given in the cycle after this
            with m.State("Weigh"):
                with m.If(~self.is_open):
                    with m.If(self.may_open):
                        m.next = "Open"
                with m.Elif(~self.hit):
                    with m.If(self.may_close):
                        m.next = "Close"
                with m.Elif(self.may_move):
                    with m.If(~is_write):
                        m.next = "Read"
                    with m.Elif(self.may_write):
                        m.next = "Write"
            with m.State("Open"):
                m.d.comb += [self.issue.eq(ACTIVE), self.opens.eq(1)]
                m.next = "Weigh"
            with m.State("Close"):
                m.d.comb += [self.issue.eq(PRECHARGE), self.closes.eq(1)]
                m.next = "Weigh"
            with m.State("Read"):
                m.d.comb += [self.issue.eq(READ), self.reads.eq(1)]
                m.d.sync += writing.eq(self.place.last)
                m.next = "Choose"
            with m.State("Write"):
                # The word that was there when it was chosen may have been the one before.
                with m.If(self.word_there & (~self.place.last | self.answer_free)):
                    m.d.comb += [self.issue.eq(WRITE), self.writes.eq(1)]
                m.d.sync += writing.eq(self.writes & ~self.place.last)
                m.next = "Choose"
        return m
