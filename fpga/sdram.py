"""A controller of single data rate SDRAM."""

from amaranth.hdl import Array, C, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from hdl.axi import ADDRESS, OKAY, ReadMaster, WriteMaster

from .ram import DECERR
from .sdram_timing import SdramPart

BURST = 4           # 16-bit words of a command: one 64-bit word
SETTLE = 16         # cycles after a reset in which what was under way ends
INIT_REFRESHES = 8
READ_FIFO = 16
# (ras_n, cas_n, we_n), the first the highest bit
NOP, ACTIVE, READ, WRITE, PRECHARGE, REFRESH, MODE = 0b111, 0b011, 0b101, 0b100, 0b010, 0b001, 0b000
BANK_AT, ROW_AT = 10, 12     # in a byte address: a row of 1 KiB, then the banks


def pins(part: SdramPart) -> dict:
    """The part's pins, its clock apart; dq as two directions and an output enable."""
    return {"sdram_cke": Out(1), "sdram_cs_n": Out(1), "sdram_ras_n": Out(1), "sdram_cas_n": Out(1),
            "sdram_we_n": Out(1), "sdram_ba": Out(2), "sdram_a": Out(part.row_bits), "sdram_dqm": Out(2),
            "sdram_dq_o": Out(16), "sdram_dq_oe": Out(1), "sdram_dq_i": In(16)}


class ReadBeat(data.Struct):
    data: 64
    last: 1
    bad: 1


class Sdram(wiring.Component):
    """`part` at `clock_hz` behind an AXI port.

    Members: `read` and `write`; the pins `sdram_*`, from registers, `sdram_dq_i` into one. The part takes a
    command at the end of the cycle in which it is on the pins; its words are taken CAS latency + `delay` cycles
    later (delay: 1 where board and clock phase need it).

    Each 64-bit word is a burst of four. A row stays open until another one of its bank is wanted or
    a refresh is due. A read and a write burst can be under way; the direction changes when one ends
    or has to wait. A burst beyond the memory is answered with DECERR and writes nothing. After a reset what
    is stored stays; only the first one after power-up waits for the part.

    Latency of a read with its row open: 10 + CAS latency + delay cycles from the address to the word; rp + rcd more
    if another row is open. Throughput within a row: one word every four cycles; a row's change costs
    about rp + rcd, from writes to reads nothing, from reads to writes CAS latency + 1; a refresh rp + rfc + rcd.
    Raises ValueError if the part is too slow for the clock.
    """

    def __init__(self, part: SdramPart, clock_hz: int, delay: int = 0):
        self.part, self.timing, self.delay = part, part.cycles(clock_hz), delay
        self.size = part.size
        super().__init__({"read": In(ReadMaster), "write": In(WriteMaster), **pins(part)})

    def elaborate(self, platform):
        m = Module()
        t, part = self.timing, self.part

        # ---- timers: 0 when the command that they guard may be issued --------------------
        def timer(name, most):
            value = Signal(range(most + 1), name=name)
            with m.If(value != 0):
                m.d.sync += value.eq(value - 1)

            def start(cycles):
                m.d.sync += value.eq(cycles - 1)
            return value, start
        # A precharge ends what rc asks for too, so that an ACTIVE needs to look at rp only.
        ras = max(t.ras, t.rc - t.rp)
        opened, set_opened = timer("opened", max(t.rp, t.rrd, t.rfc, t.mrd))
        columns, set_columns = timer("columns", t.rcd)
        row_kept, set_row_kept = timer("row_kept", ras)
        written, set_written = timer("written", BURST - 1 + t.wr)
        slot, set_slot = timer("slot", BURST)
        turned, set_turned = timer("turned", t.cas + self.delay + BURST + 1)
        precharge = Signal()
        m.d.comb += precharge.eq((row_kept == 0) & (written == 0) & (slot == 0))

        # ---- what is asked for -----------------------------------------------------------
        def tracker(channel, name):
            at, left = Signal(ADDRESS - 3, name=f"{name}_at"), Signal(9, name=f"{name}_left")
            bad = Signal(name=f"{name}_bad")
            m.d.comb += channel.ready.eq(left == 0)
            with m.If(channel.valid & channel.ready):
                m.d.sync += [at.eq(channel.p.address[3:]), left.eq(channel.p.length + 1),
                             bad.eq((channel.p.address[3:] + channel.p.length) >= self.size // 8)]
            return at, left, bad
        read_at, read_left, read_bad = tracker(self.read.address, "read")
        write_at, write_left, write_bad = tracker(self.write.address, "write")
        word, answer = self.write.data, self.write.response
        m.submodules.beats = beats = SyncFIFOBuffered(width=ReadBeat.as_shape().size, depth=READ_FIFO)
        credit = Signal(range(READ_FIFO + 1), init=READ_FIFO)
        can_read, can_write, writing, choose_write = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            can_read.eq((read_left != 0) & (credit != 0)),
            can_write.eq((write_left != 0) & word.valid & ((write_left != 1) | ~answer.valid)),
            choose_write.eq(can_write & (writing | ~can_read)),
        ]
        at = Signal(ADDRESS - 3)
        bank, row, column = at[BANK_AT - 3:][:2], at[ROW_AT - 3:][:part.row_bits], at[:BANK_AT - 3]
        m.d.comb += at.eq(Mux(choose_write, write_at, read_at))
        open_banks = Signal(4)
        rows = Array(Signal(part.row_bits, name=f"row_{i}") for i in range(4))
        is_open, hit = Signal(), Signal()
        m.d.comb += [is_open.eq(open_banks.bit_select(bank, 1)), hit.eq(is_open & (rows[bank] == row))]

        # ---- pins ------------------------------------------------------------------------
        command = Signal(3, init=NOP)
        masks = Signal(2, init=3)
        rest, rest_mask, rest_left = Signal(48), Signal(6), Signal(2)
        m.d.comb += [self.sdram_cke.eq(1), self.sdram_cs_n.eq(0), self.sdram_dqm.eq(masks),
                     Cat(self.sdram_we_n, self.sdram_cas_n, self.sdram_ras_n).eq(command)]
        m.d.sync += [command.eq(NOP), self.sdram_dq_oe.eq(rest_left != 0), masks.eq(rest_mask[:2]),
                     self.sdram_dq_o.eq(rest[:16]), rest.eq(rest >> 16), rest_mask.eq(rest_mask >> 2),
                     rest_left.eq(Mux(rest_left == 0, 0, rest_left - 1))]

        def issue(code, *, a=0, ba=0):
            m.d.sync += [command.eq(code), self.sdram_a.eq(a), self.sdram_ba.eq(ba)]

        # ---- refresh ---------------------------------------------------------------------
        until_due = Signal(range(t.refresh), init=t.refresh - 1)
        due = Signal(range(9))     # refreshes that are owed
        refreshed = Signal()
        m.d.sync += [until_due.eq(Mux(until_due == 0, t.refresh - 1, until_due - 1)),
                     due.eq(due + ((until_due == 0) & (due != 8)) - refreshed)]

        # ---- commands --------------------------------------------------------------------
        warm = Signal(reset_less=True)      # powered up before: only a reset has come between
        waiting = Signal(range(max(t.init, SETTLE) + 1))
        left = Signal(range(INIT_REFRESHES + 1))
        reading = Signal()
        all_banks = C(1 << 10, part.row_bits)
        with m.FSM():
            with m.State("Wait for part"):
                m.d.sync += [waiting.eq(waiting + 1), masks.eq(3)]
                with m.If(waiting == Mux(warm, SETTLE, t.init)):
                    m.next = "Precharge"
            with m.State("Precharge"):
                issue(PRECHARGE, a=all_banks)
                set_opened(t.rp)
                m.d.sync += [left.eq(INIT_REFRESHES), masks.eq(3)]
                m.next = "Refresh"
            with m.State("Refresh"):
                m.d.sync += masks.eq(3)
                with m.If(opened == 0):
                    with m.If(left == 0):
                        issue(MODE, a=2 | t.cas << 4)      # bursts of four, in order
                        set_opened(t.mrd)
                        m.d.sync += warm.eq(1)
                        m.next = "Run"
                    with m.Else():
                        issue(REFRESH)
                        set_opened(t.rfc)
                        m.d.sync += left.eq(left - 1)
            with m.State("Run"):
                with m.If(due != 0):
                    with m.If(open_banks != 0):
                        with m.If(precharge):
                            issue(PRECHARGE, a=all_banks)
                            set_opened(t.rp)
                            m.d.sync += open_banks.eq(0)
                    with m.Elif(opened == 0):
                        issue(REFRESH)
                        set_opened(t.rfc)
                        m.d.comb += refreshed.eq(1)
                with m.Elif(can_read | can_write):
                    with m.If(~is_open):
                        with m.If(opened == 0):
                            issue(ACTIVE, a=row, ba=bank)
                            set_opened(t.rrd)
                            set_columns(t.rcd)
                            set_row_kept(ras)
                            m.d.sync += [rows[bank].eq(row), open_banks.bit_select(bank, 1).eq(1)]
                    with m.Elif(~hit):
                        with m.If(precharge):
                            issue(PRECHARGE, ba=bank)
                            set_opened(t.rp)
                            m.d.sync += open_banks.bit_select(bank, 1).eq(0)
                    with m.Elif((columns == 0) & (slot == 0) & choose_write & (turned == 0)):
                        issue(WRITE, a=Cat(C(0, 2), column), ba=bank)
                        set_slot(BURST)
                        set_written(BURST - 1 + t.wr)
                        strobe = Mux(write_bad, 0, word.p.strobe)
                        m.d.comb += word.ready.eq(1)
                        m.d.sync += [
                            self.sdram_dq_oe.eq(1), self.sdram_dq_o.eq(word.p.data[:16]), rest.eq(word.p.data[16:]),
                            masks.eq(~strobe[:2]), rest_mask.eq(~strobe[2:]), rest_left.eq(BURST - 1),
                            write_at.eq(write_at + 1), write_left.eq(write_left - 1), writing.eq(write_left != 1)]
                    with m.Elif((columns == 0) & (slot == 0) & ~choose_write):
                        issue(READ, a=Cat(C(0, 2), column), ba=bank)
                        set_slot(BURST)
                        set_turned(t.cas + self.delay + BURST + 1)
                        m.d.comb += reading.eq(1)
                        m.d.sync += [read_at.eq(read_at + 1), read_left.eq(read_left - 1), writing.eq(read_left == 1)]
        with m.If(answer.ready):
            m.d.sync += answer.valid.eq(0)
        with m.If(word.ready & (write_left == 1)):
            m.d.sync += [answer.valid.eq(1), answer.payload.eq(Mux(write_bad, DECERR, OKAY))]

        # ---- what comes back -------------------------------------------------------------
        # A mark travels with every READ: on the pins a cycle later, its last word in `taken` this many after that.
        latency = 1 + t.cas + self.delay + BURST
        marks, lasts, bads = Signal(latency), Signal(latency), Signal(latency)
        taken = Signal(64)
        beat = Signal(ReadBeat)
        m.d.sync += [marks.eq(Cat(reading, marks)), lasts.eq(Cat(read_left == 1, lasts)), bads.eq(Cat(read_bad, bads)),
                     taken.eq(Cat(taken[16:], self.sdram_dq_i))]
        m.d.comb += [
            beats.w_en.eq(marks[-1]), beats.w_data.eq(Cat(taken, lasts[-1], bads[-1])),
            beat.eq(beats.r_data), self.read.data.valid.eq(beats.r_rdy), beats.r_en.eq(self.read.data.ready),
            self.read.data.p.data.eq(Mux(beat.bad, 0, beat.data)), self.read.data.p.last.eq(beat.last),
            self.read.data.p.resp.eq(Mux(beat.bad, DECERR, OKAY)),
        ]
        m.d.sync += credit.eq(credit - reading + (beats.r_rdy & beats.r_en))
        return m
