"""A controller of single data rate SDRAM."""

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from fpga.memory.sdram.access import Access
from fpga.memory.sdram.burst_tracker import BurstTracker
from fpga.memory.sdram.command_pins import CommandPins
from fpga.memory.sdram.command_timers import CommandTimers
from fpga.memory.sdram.open_rows import OpenRows
from fpga.memory.sdram.read_path import ReadPath
from fpga.memory.sdram.refresh_counter import RefreshCounter
from fpga.memory.sdram.sdram_timing import SdramPart
from fpga.memory.sdram.upkeep import Upkeep
from fpga.memory.sdram.words import pins, word_address
from fpga.memory.sdram.write_path import WritePath
from hdl.lib.axi import ReadMaster, WriteMaster


class Sdram(wiring.Component):
    """`part` at `clock_hz` behind an AXI port.

    Members: `read` and `write`; the pins `sdram_*`, from registers, `sdram_dq_i` into one. The part
    takes a command at the end of the cycle in which it is on the pins; its words are taken CAS
    latency + `delay` cycles later (delay: 1 where board and clock phase need it).

    Each 64-bit word is a burst of four. A row stays open until another one of its bank is wanted or
    a refresh is due. A read and a write burst can be under way; the direction changes when one ends
    or has to wait. A burst beyond the memory, or across 4 KiB, is answered with DECERR and writes
    nothing. After a reset what is stored stays; only the first one after power-up waits for the
    part.

    Which word is next, whether its row is open, and the command are four steps of a cycle each,
    while the word before is moved. Latency of a read with its row open: 10 + CAS latency + delay
    cycles from the address to the word; rp + rcd more if another row is open. Throughput within a
    row: one word every four cycles; a row's change costs about rp + rcd + 4, from writes to reads
    nothing, from reads to writes CAS latency + 1; a refresh rp + rfc + rcd + 4. Raises ValueError
    if the part is too slow for the clock.
    """

    def __init__(self, part: SdramPart, clock_hz: int, delay: int = 0):
        self.part, self.timing, self.delay = part, part.cycles(clock_hz), delay
        self.size = part.size
        super().__init__({"read": In(ReadMaster), "write": In(WriteMaster), **pins(part)})

    def elaborate(self, platform):
        m = Module()
        timing, bits = self.timing, word_address(self.part).size
        m.submodules.timers = timers = CommandTimers(timing, self.delay)
        m.submodules.refresh = refresh = RefreshCounter(timing.refresh)
        m.submodules.upkeep = upkeep = Upkeep(timing)
        m.submodules.access = access = Access(self.part)
        m.submodules.row_table = rows = OpenRows(self.part.row_bits)
        m.submodules.pins = command = CommandPins(self.part, timing.cas)
        m.submodules.written = written = WritePath()
        m.submodules.returned = returned = ReadPath(timing.cas + self.delay)

        # ---- bursts ---------------------------------------------------------------------
        for name, moved in (("read", access.reads), ("write", access.writes)):
            m.submodules[name] = burst = BurstTracker(bits)
            wiring.connect(m, wiring.flipped(getattr(self, name).address), burst.address)
            m.d.comb += [burst.step.eq(moved), burst.ends.eq(access.place.last)]
            for what in ("busy", "at", "last", "bad"):
                m.d.comb += getattr(access, f"{name}_{what}").eq(getattr(burst, what))

        # ---- commands: of one or the other ----------------------------------------------
        issue = access.issue & upkeep.issue
        m.d.comb += [
            timers.issue.eq(issue),
            upkeep.begin.eq(access.begin),
            upkeep.beat.eq(refresh.beat),
            upkeep.may_open.eq(timers.may_open),
            upkeep.may_close.eq(timers.may_close),
            refresh.refreshed.eq(upkeep.refreshed),
            access.owed.eq(refresh.owed),
            access.over.eq(upkeep.over),
            access.can_read.eq(returned.room),
            access.word_there.eq(written.there),
            access.answer_free.eq(written.free),
            access.is_open.eq(rows.is_open),
            access.hit.eq(rows.hit),
            rows.bank.eq(access.at.bank),
            rows.row.eq(access.at.row),
            rows.closes_all.eq(upkeep.all_banks),
            *(
                getattr(rows, name).eq(getattr(access, name))
                for name in ("look", "opens", "closes")
            ),
        ]
        for name in ("may_open", "may_close", "may_move", "may_write"):
            m.d.comb += getattr(access, name).eq(getattr(timers, name))

        # ---- words ----------------------------------------------------------------------
        wiring.connect(m, wiring.flipped(self.write.data), written.data)
        wiring.connect(m, written.response, wiring.flipped(self.write.response))
        wiring.connect(m, returned.data, wiring.flipped(self.read.data))
        m.d.comb += [
            written.sends.eq(access.writes),
            written.place.eq(access.place),
            written.initial.eq(upkeep.initial),
            returned.reads.eq(access.reads),
            returned.place.eq(access.place),
            returned.dq_i.eq(self.sdram_dq_i),
        ]

        # ---- pins -----------------------------------------------------------------------
        m.d.comb += [
            command.issue.eq(issue),
            command.at.eq(access.at),
            command.is_open.eq(rows.is_open),
            command.hit.eq(rows.hit),
            command.all_banks.eq(upkeep.all_banks),
            command.initial.eq(upkeep.initial),
            self.sdram_cke.eq(1),
            self.sdram_cs_n.eq(0),
            Cat(self.sdram_we_n, self.sdram_cas_n, self.sdram_ras_n).eq(command.command),
            self.sdram_ba.eq(command.ba),
            self.sdram_a.eq(command.a),
            *(
                getattr(self, f"sdram_{n}").eq(getattr(written, n))
                for n in ("dqm", "dq_o", "dq_oe")
            ),
        ]
        return m
