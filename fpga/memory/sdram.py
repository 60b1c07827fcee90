"""A controller of single data rate SDRAM."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from fpga.memory.ram import DECERR
from fpga.memory.sdram_timing import SdramPart
from hdl.lib.axi import OKAY, ReadMaster, WriteMaster

BURST = 4  # 16-bit words of a command: one 64-bit word
SETTLE = 16  # cycles after a reset in which what was under way ends
INIT_REFRESHES = 8
AHEAD = 4  # words that are read before they are taken
PAGE = 9  # bits of a word's address in 4 KiB, which no burst leaves
# (ras_n, cas_n, we_n), the first the highest bit
NOP, ACTIVE, READ, WRITE, PRECHARGE, REFRESH, MODE = 0b111, 0b011, 0b101, 0b100, 0b010, 0b001, 0b000
BANK_AT, ROW_AT = 10, 12  # in a byte address: a row of 1 KiB, then the banks


def pins(part: SdramPart) -> dict:
    """The part's pins, its clock apart; dq as two directions and an output enable."""
    return {
        "sdram_cke": Out(1),
        "sdram_cs_n": Out(1),
        "sdram_ras_n": Out(1),
        "sdram_cas_n": Out(1),
        "sdram_we_n": Out(1),
        "sdram_ba": Out(2),
        "sdram_a": Out(part.row_bits),
        "sdram_dqm": Out(2),
        "sdram_dq_o": Out(16),
        "sdram_dq_oe": Out(1),
        "sdram_dq_i": In(16),
    }


class Piece(data.Struct):
    """What the part gives in a cycle, and of the word that it ends: the last of its burst,
    beyond the memory."""

    data: 16
    last: 1
    bad: 1


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
        t, part = self.timing, self.part

        # ---- timers: 0 when the command that they guard may be issued --------------------
        def timer(name, most):
            value = Signal(range(most + 1), name=name)
            with m.If(value != 0):
                m.d.sync += value.eq(value - 1)

            def start(cycles):
                m.d.sync += value.eq(cycles - 1)

            return value, start

        def soon(value):
            return ~value[1:].any()  # 0 in the next cycle

        # A precharge ends what rc asks for too, so that an ACTIVE needs to look at rp only.
        ras = max(t.ras, t.rc - t.rp)
        opened, set_opened = timer("opened", max(t.rp, t.rrd, t.rfc, t.mrd))
        columns, set_columns = timer("columns", t.rcd)
        row_kept, set_row_kept = timer("row_kept", ras)
        written, set_written = timer("written", BURST - 1 + t.wr)
        slot, set_slot = timer("slot", BURST)
        turned, set_turned = timer("turned", t.cas + self.delay + BURST + 1)

        # ---- what is asked for -----------------------------------------------------------
        bits = (self.size // 8 - 1).bit_length()

        def tracker(channel, name):
            """A burst: the word it is at, whether that is its last (a cycle late), whether it is
            beyond; under way."""
            at, end = Signal(bits, name=f"{name}_at"), Signal(PAGE, name=f"{name}_end")
            busy, last, bad = (
                Signal(name=f"{name}_busy"),
                Signal(name=f"{name}_last"),
                Signal(name=f"{name}_bad"),
            )
            address, over = channel.p.address[3:], Signal()
            m.d.comb += channel.ready.eq(~busy)
            m.d.sync += last.eq(at[:PAGE] == end)
            with m.If(~busy):
                m.d.sync += [
                    at.eq(address),
                    busy.eq(channel.valid),
                    Cat(end, over).eq(address[:PAGE] + channel.p.length),
                    bad.eq(address[bits:].any()),
                ]
            return at, busy, last, bad | over

        read_at, read_busy, read_last, read_bad = tracker(self.read.address, "read")
        write_at, write_busy, write_last, write_bad = tracker(self.write.address, "write")
        word, answer = self.write.data, self.write.response
        credit = Signal(range(AHEAD + 1), init=AHEAD)
        can_read, can_write, writing, choose_write = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            can_read.eq(read_busy & (credit != 0)),
            can_write.eq(write_busy & word.valid),
            choose_write.eq(can_write & (writing | ~can_read)),
        ]
        at, is_write, last = Signal(bits), Signal(), Signal()  # of the word that is next
        bank, row, column = (
            at[BANK_AT - 3 :][:2],
            at[ROW_AT - 3 :][: part.row_bits],
            at[: BANK_AT - 3],
        )
        open_banks = Signal(4)
        # that are open
        m.submodules.rows = rows = memory.Memory(shape=part.row_bits, depth=4, init=[])
        opened_row, opens = rows.read_port(domain="comb"), rows.write_port()
        m.d.comb += [opened_row.addr.eq(bank), opens.addr.eq(bank), opens.data.eq(row)]
        is_open, hit, bad_word = Signal(), Signal(), Signal()

        # ---- pins ------------------------------------------------------------------------
        command = Signal(3, init=NOP)
        masks = Signal(2, init=3)
        initial = Signal(init=1)  # the part is not ready
        # of the word that is written: which is next; the first, any goes
        piece, sends, moving = Signal(2), Signal(), Signal()
        m.d.comb += [
            moving.eq(sends | (piece != 0)),
            self.sdram_cke.eq(1),
            self.sdram_cs_n.eq(0),
            self.sdram_dqm.eq(masks),
            Cat(self.sdram_we_n, self.sdram_cas_n, self.sdram_ras_n).eq(command),
        ]
        m.d.sync += [
            self.sdram_dq_oe.eq(moving),
            self.sdram_dq_o.eq(word.p.data.word_select(piece, 16)),
            masks.eq(
                (~word.p.strobe.word_select(piece, 2) | bad_word.replicate(2)) & moving.replicate(2)
                | initial.replicate(2)
            ),
            word.ready.eq(piece == BURST - 2),
        ]
        with m.If(moving):
            m.d.sync += piece.eq(piece + 1)

        def issue(code):
            m.d.sync += command.eq(code)

        issue(NOP)
        # What goes with a command follows from what the step before found, not from the command:
        # the mode (bursts of four, in order), a column, a row; bit 10 of a precharge says whether
        # it is of all banks.
        every_bank = Signal()
        m.d.sync += [
            self.sdram_ba.eq(Mux(initial, 0, bank)),
            self.sdram_a.eq(Mux(initial, 2 | t.cas << 4, Mux(is_open & hit, column << 2, row))),
            self.sdram_a[10].eq(every_bank | (row[10] & ~initial & ~is_open)),
        ]

        # ---- refresh ---------------------------------------------------------------------
        until_due = Signal(range(t.refresh), init=t.refresh - 1)
        due = Signal(range(9))  # refreshes that are owed
        beat, refreshed, owed = Signal(), Signal(), Signal()
        m.d.sync += [
            until_due.eq(Mux(beat, t.refresh - 1, until_due - 1)),
            beat.eq(until_due == 1),
            due.eq(due + (beat & ~due[3]) - refreshed),
            owed.eq(due != 0),
        ]

        # ---- commands --------------------------------------------------------------------
        warm = Signal(reset_less=True)  # powered up before: only a reset has come between
        # times between refreshes
        waiting = Signal(range(max(-(-t.init // t.refresh), -(-SETTLE // t.refresh)) + 2))
        left = Signal(range(INIT_REFRESHES + 1))
        reading = Signal()
        with m.FSM():
            with m.State("Wait for part"):
                m.d.sync += [waiting.eq(waiting + beat), left.eq(INIT_REFRESHES)]
                with m.If(waiting == Mux(warm, -(-SETTLE // t.refresh), -(-t.init // t.refresh))):
                    m.next = "Precharge"
            with m.State("Close"):
                m.d.sync += left.eq(1)
                with m.If(soon(row_kept) & soon(written) & soon(slot)):
                    m.next = "Precharge"
            with m.State("Precharge"):
                issue(PRECHARGE)
                m.d.comb += every_bank.eq(1)
                set_opened(t.rp)
                m.d.sync += open_banks.eq(0)
                m.next = "Settle"
            with m.State("Settle"):
                with m.If(soon(opened)):
                    m.next = "Choose"
                    with m.If(left != 0):
                        m.next = "Refresh"
                    with m.Elif(initial):
                        m.next = "Set mode"
            with m.State("Refresh"):
                issue(REFRESH)
                set_opened(t.rfc)
                m.d.sync += left.eq(left - 1)
                m.d.comb += refreshed.eq(~initial)
                m.next = "Settle"
            with m.State("Set mode"):
                issue(MODE)
                set_opened(t.mrd)
                m.d.sync += [initial.eq(0), warm.eq(1)]
                m.next = "Settle"
            with m.State("Choose"):
                m.d.sync += [
                    at.eq(Mux(choose_write, write_at, read_at)),
                    is_write.eq(choose_write),
                    bad_word.eq(Mux(choose_write, write_bad, read_bad)),
                ]
                with m.If(owed):
                    m.next = "Close"
                with m.Elif(can_read | can_write):
                    m.next = "Look"
            with m.State("Look"):
                m.d.sync += [
                    is_open.eq(open_banks.bit_select(bank, 1)),
                    hit.eq(opened_row.data == row),
                    last.eq(Mux(is_write, write_last, read_last)),
                ]
                m.next = "Weigh"
            # which command is next, and can be given in the cycle behind this
            with m.State("Weigh"):
                with m.If(~is_open):
                    with m.If(soon(opened)):
                        m.next = "Open"
                with m.Elif(~hit):
                    with m.If(soon(row_kept) & soon(written) & soon(slot)):
                        m.next = "Close one"
                with m.Elif(soon(columns) & soon(slot)):
                    with m.If(~is_write):
                        m.next = "Read"
                    with m.Elif(soon(turned)):
                        m.next = "Write"
            with m.State("Open"):
                issue(ACTIVE)
                set_opened(t.rrd)
                set_columns(t.rcd)
                set_row_kept(ras)
                m.d.comb += opens.en.eq(1)
                m.d.sync += [open_banks.bit_select(bank, 1).eq(1), is_open.eq(1), hit.eq(1)]
                m.next = "Weigh"
            with m.State("Close one"):
                issue(PRECHARGE)
                set_opened(t.rp)
                m.d.sync += [open_banks.bit_select(bank, 1).eq(0), is_open.eq(0)]
                m.next = "Weigh"
            with m.State("Read"):
                issue(READ)
                set_slot(BURST)
                set_turned(t.cas + self.delay + BURST + 1)
                m.d.comb += reading.eq(1)
                m.d.sync += [
                    writing.eq(last),
                    read_at[:PAGE].eq(read_at[:PAGE] + 1),
                    read_busy.eq(~last),
                ]
                m.next = "Choose"
            with m.State("Write"):
                # The word that was there when it was chosen may have been the one before.
                m.d.sync += writing.eq(0)
                m.next = "Choose"
                with m.If(word.valid & (~last | ~answer.valid)):
                    issue(WRITE)
                    set_slot(BURST)
                    set_written(BURST - 1 + t.wr)
                    m.d.comb += sends.eq(1)
                    m.d.sync += [
                        writing.eq(~last),
                        write_at[:PAGE].eq(write_at[:PAGE] + 1),
                        write_busy.eq(~last),
                    ]
        with m.If(answer.ready):
            m.d.sync += answer.valid.eq(0)
        with m.If(sends & last):
            m.d.sync += [answer.valid.eq(1), answer.payload.eq(Mux(bad_word, DECERR, OKAY))]

        # ---- what comes back -------------------------------------------------------------
        # A mark travels with every READ: on the pins a cycle later, its first piece at ours `first`
        # after that.
        first = t.cas + self.delay
        marks, lasts, bads = (Signal(first + BURST, name=n) for n in ("marks", "lasts", "bads"))
        m.submodules.pieces = pieces = SyncFIFO(width=Piece.as_shape().size, depth=AHEAD * BURST)
        some, now = Signal(Piece), Signal(Piece)
        pull, index, ended = Signal(), Signal(2), Signal()
        taken, out = Signal(64, reset_less=True), self.read.data
        m.d.sync += [
            marks.eq(Cat(reading, marks)),
            lasts.eq(Cat(last, lasts)),
            bads.eq(Cat(bad_word, bads)),
            ended.eq(pull & (index == BURST - 1)),
            credit.eq(credit - reading + ended),
        ]
        m.d.comb += [
            # Only a word's fourth piece has its flags. One beyond the memory reads as 0.
            some.data.eq(self.sdram_dq_i & ~(marks & bads)[first:].any().replicate(16)),
            some.last.eq(lasts[-1]),
            some.bad.eq(bads[-1]),
            pieces.w_en.eq(marks[first:].any()),
            pieces.w_data.eq(some),
            now.eq(pieces.r_data),
            pull.eq(pieces.r_rdy & (~out.valid | out.ready)),
            pieces.r_en.eq(pull),
            out.p.data.eq(taken),
        ]
        with m.If(out.ready):
            m.d.sync += out.valid.eq(0)
        with m.If(pull):
            m.d.sync += [
                taken.eq(Cat(taken[16:], now.data)),
                index.eq(index + 1),
                out.valid.eq(index == BURST - 1),
                out.p.last.eq(now.last),
                out.p.resp.eq(Mux(now.bad, DECERR, OKAY)),
            ]
        return m
