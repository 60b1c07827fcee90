"""Carries out the host's requests: memory, registers, identity, reset."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.axi import BurstSplitter, ReadMaster, WriteMaster, lite_ports

from .deframer import FrameByte
from .framer import SentByte
from .protocol import CRC_BYTES, HEADER, MAX_DATA, NAK, REPLY, WORD, Identity, Opcode, Reason

RESET_CYCLES = 16


def _codes(codes, value):
    return Cat(value == code for code in codes).any()


class Bridge(wiring.Component):
    """One request at a time: received whole, checked, carried out, answered (docs/board.md).

    Members: `received` and `send`, streams of the Link; `read` and `write`, AXI masters of memory, one
    burst or more for a request; `m_lite_*`, AXI4-Lite master of the accelerator's registers;
    `system_reset`, RESET_CYCLES long, for accelerator, arbiter and memory; `session`, a HELLO has come
    since the reset. identity: what HELLO answers.

    A request is carried out only when its last byte and its CRC are there. One with a side effect that
    comes again, nothing else having been carried out in between, gets its reply once more and nothing
    happens. A memory or register that never answers blocks the bridge.

    Latency, from a request's end to the reply's first byte: four cycles, and n + 4 for reading n words, 2n + 6 for
    writing them, nine for each register, RESET_CYCLES for a reset, each with the stalls and latency of the
    other side. Throughput: a byte a cycle in, a byte every two cycles out, a word a cycle read, every two
    cycles written.
    """

    def __init__(self, identity: Identity):
        self.identity = identity.pack()
        super().__init__({
            "received": In(stream.Signature(FrameByte)), "send": Out(stream.Signature(SentByte)),
            "read": Out(ReadMaster), "write": Out(WriteMaster),
            **{name: member.flip() for name, member in lite_ports("m_lite_").items()},
            "system_reset": Out(1), "session": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        words = MAX_DATA // WORD
        m.submodules.buffer = buffer = memory.Memory(shape=64, depth=words, init=[])
        store, load = buffer.write_port(granularity=8), buffer.read_port()
        m.submodules.splitter = splitter = BurstSplitter()
        count = Signal(range(HEADER.size + MAX_DATA + CRC_BYTES + 1))  # bytes received, of the reply sent
        opcode, sequence, length, address = Signal(8), Signal(8), Signal(16), Signal(32)
        header = Cat(opcode, sequence, length, address)
        done = Signal(range(MAX_DATA // 4 + 1))    # words or registers carried out
        failed = Signal()
        reason = Signal(range(16))
        remembered, last_opcode, last_sequence = Signal(), Signal(8), Signal(8)
        beats = Signal(7)
        place = Signal(range(words))
        m.d.comb += place.eq(done)
        m.d.comb += load.en.eq(1)

        def refuse(why):
            m.d.sync += reason.eq(why)
            m.next = "Refuse"

        def finish(bad):
            """Back with the reply or, after a bus error, a refusal."""
            m.d.sync += reason.eq(Reason.BUS)
            m.next = "Reply"
            with m.If(bad):
                m.next = "Refuse"

        # What a request must look like: bytes it asks for or carries, and a multiple of what.
        carries, asks = _codes((Opcode.WRITE, Opcode.WRITE_REGISTER), opcode), Signal()
        m.d.comb += asks.eq(_codes((Opcode.READ, Opcode.READ_REGISTERS), opcode))
        of_memory = _codes((Opcode.READ, Opcode.WRITE), opcode)
        right_data, right_length, aligned = Signal(), Signal(), Signal()
        m.d.comb += [
            right_data.eq(count == HEADER.size + CRC_BYTES + Mux(carries, length, 0)),
            aligned.eq(~address[:3].any() | (~of_memory & ~address[:2].any())),
        ]
        with m.Switch(opcode):
            with m.Case(Opcode.READ, Opcode.WRITE):
                m.d.comb += right_length.eq((length != 0) & (length <= MAX_DATA) & ~length[:3].any())
            with m.Case(Opcode.READ_REGISTERS):
                m.d.comb += right_length.eq((length != 0) & (length <= MAX_DATA) & ~length[:2].any())
            with m.Case(Opcode.WRITE_REGISTER):
                m.d.comb += right_length.eq(length == 4)
            with m.Default():
                m.d.comb += right_length.eq(length == 0)

        m.d.comb += [
            splitter.request.p.address.eq(address), splitter.request.p.words.eq(length[3:]),
            self.read.address.payload.eq(splitter.burst.payload),
            self.write.address.payload.eq(splitter.burst.payload),
            self.write.data.p.data.eq(load.data), self.write.data.p.strobe.eq(0xFF),
            self.write.data.p.last.eq(beats == 0),
            self.m_lite_awaddr.eq(address), self.m_lite_wstrb.eq(0xF), self.m_lite_wdata.eq(load.data[:32]),
            self.m_lite_araddr.eq(address + (done << 2)),
        ]

        with m.FSM():
            with m.State("Receive"):
                at = count - HEADER.size
                m.d.comb += [
                    self.received.ready.eq(1),
                    store.addr.eq(at[3:]), store.data.eq(self.received.p.data.replicate(8)),
                ]
                with m.If(self.received.valid):
                    m.d.sync += count.eq(count + ~self.received.p.end)
                    with m.If(self.received.p.end):
                        m.d.sync += [done.eq(0), failed.eq(0)]
                        m.next = "Check"
                        with m.If(self.received.p.data != 0):
                            m.d.sync += sequence.eq(0)
                            refuse(self.received.p.data[:4])
                    with m.Elif(count < HEADER.size):
                        m.d.sync += header.word_select(count[:3], 8).eq(self.received.p.data)
                    with m.Elif(at < MAX_DATA):
                        m.d.comb += store.en.eq(1 << at[:3])
            with m.State("Check"):
                m.d.sync += [remembered.eq(0), last_opcode.eq(opcode), last_sequence.eq(sequence)]
                with m.Switch(opcode):
                    for code, state in ((Opcode.HELLO, "Hello"), (Opcode.READ, "Split"), (Opcode.WRITE, "Split"),
                                        (Opcode.READ_REGISTERS, "Read register"),
                                        (Opcode.WRITE_REGISTER, "Fetch value"), (Opcode.RESET, "Reset")):
                        with m.Case(code):
                            m.next = state
                with m.If(_codes((Opcode.WRITE_REGISTER, Opcode.RESET), opcode)):
                    m.d.sync += remembered.eq(1)
                with m.If(remembered & (last_opcode == opcode) & (last_sequence == sequence)):
                    m.next = "Reply"
                # The first of these that holds is what the host is told: the last assignment wins.
                for bad, why in ((~aligned, Reason.ADDRESS), (~right_length | ~right_data, Reason.LENGTH),
                                 (~self.session & (opcode != Opcode.HELLO), Reason.NO_SESSION),
                                 (~_codes(list(Opcode), opcode), Reason.OPCODE)):
                    with m.If(bad):
                        m.d.sync += [remembered.eq(remembered), last_opcode.eq(last_opcode),
                                     last_sequence.eq(last_sequence)]
                        refuse(why)

            # ---- identity, reset ------------------------------------------------------------
            with m.State("Hello"):
                size = len(self.identity)
                m.d.comb += [store.addr.eq(place), store.en.eq(0xFF)]
                with m.Switch(done):
                    for i in range(size // WORD):
                        with m.Case(i):
                            m.d.comb += store.data.eq(int.from_bytes(self.identity[WORD * i:][:WORD], "little"))
                m.d.sync += [done.eq(done + 1), length.eq(size), self.session.eq(1)]
                with m.If(done == size // WORD - 1):
                    m.next = "Reply"
            with m.State("Reset"):
                m.d.comb += self.system_reset.eq(1)
                m.d.sync += done.eq(done + 1)
                with m.If(done == RESET_CYCLES - 1):
                    m.next = "Reply"

            # ---- memory ---------------------------------------------------------------------
            with m.State("Split"):
                m.d.comb += splitter.request.valid.eq(1)
                with m.If(splitter.request.ready):
                    m.next = "Write burst"
                    with m.If(opcode == Opcode.READ):
                        m.next = "Read"
            with m.State("Read"):
                m.d.comb += [
                    self.read.address.valid.eq(splitter.burst.valid), splitter.burst.ready.eq(self.read.address.ready),
                    self.read.data.ready.eq(1),
                    store.addr.eq(place), store.data.eq(self.read.data.p.data),
                ]
                with m.If(self.read.data.valid):
                    m.d.comb += store.en.eq(0xFF)
                    bad = failed | (self.read.data.p.resp != 0)
                    m.d.sync += [done.eq(done + 1), failed.eq(bad)]
                    with m.If(done == length[3:] - 1):
                        finish(bad)
            with m.State("Write burst"):
                m.d.comb += [self.write.address.valid.eq(splitter.burst.valid),
                             splitter.burst.ready.eq(self.write.address.ready), load.addr.eq(place)]
                m.d.sync += beats.eq(splitter.burst.p.length)
                with m.If(self.write.address.ready & splitter.burst.valid):
                    m.next = "Write word"
            with m.State("Fetch word"):
                m.d.comb += load.addr.eq(place)
                m.next = "Write word"
            with m.State("Write word"):
                m.d.comb += [self.write.data.valid.eq(1), load.en.eq(0)]
                with m.If(self.write.data.ready):
                    m.d.sync += [done.eq(done + 1), beats.eq(beats - 1)]
                    m.next = "Fetch word"
                    with m.If(beats == 0):
                        m.next = "Written"
            with m.State("Written"):
                m.d.comb += self.write.response.ready.eq(1)
                with m.If(self.write.response.valid):
                    bad = failed | (self.write.response.payload != 0)
                    m.d.sync += failed.eq(bad)
                    m.next = "Write burst"
                    with m.If(done == length[3:]):
                        finish(bad)

            # ---- registers ------------------------------------------------------------------
            with m.State("Read register"):
                m.d.comb += self.m_lite_arvalid.eq(1)
                with m.If(self.m_lite_arready):
                    m.next = "Register value"
            with m.State("Register value"):
                m.d.comb += [self.m_lite_rready.eq(1), store.addr.eq(done[1:]),
                             store.data.eq(self.m_lite_rdata.replicate(2))]
                with m.If(self.m_lite_rvalid):
                    m.d.comb += store.en.eq(Mux(done[0], 0xF0, 0x0F))
                    bad = failed | (self.m_lite_rresp != 0)
                    m.d.sync += [done.eq(done + 1), failed.eq(bad)]
                    m.next = "Read register"
                    with m.If(done == length[2:] - 1):
                        finish(bad)
            with m.State("Fetch value"):
                m.d.comb += load.addr.eq(0)
                m.next = "Write register"
            with m.State("Write register"):
                address_taken, value_taken = Signal(), Signal()
                m.d.comb += [self.m_lite_awvalid.eq(~address_taken), self.m_lite_wvalid.eq(~value_taken), load.en.eq(0),
                             self.m_lite_bready.eq(address_taken & value_taken)]
                with m.If(self.m_lite_awready):
                    m.d.sync += address_taken.eq(1)
                with m.If(self.m_lite_wready):
                    m.d.sync += value_taken.eq(1)
                with m.If(self.m_lite_bvalid & self.m_lite_bready):
                    m.d.sync += [address_taken.eq(0), value_taken.eq(0)]
                    finish(self.m_lite_bresp != 0)

            # ---- replies --------------------------------------------------------------------
            with m.State("Refuse"):
                m.d.sync += [opcode.eq(NAK), length.eq(0), address.eq(reason), count.eq(0)]
                m.next = "Fetch byte"
            with m.State("Reply"):
                m.d.sync += [opcode.eq(opcode | REPLY), count.eq(0)]
                with m.If(carries):
                    m.d.sync += length.eq(0)
                m.next = "Fetch byte"
            with m.State("Fetch byte"):
                m.d.comb += load.addr.eq((count - HEADER.size)[3:])
                m.next = "Send byte"
            with m.State("Send byte"):
                m.d.comb += [
                    load.en.eq(0), self.send.valid.eq(1),
                    self.send.p.data.eq(Mux(count < HEADER.size, header.word_select(count[:3], 8),
                                            load.data.word_select(count[:3], 8))),
                    self.send.p.last.eq(count == length + (HEADER.size - 1)),
                ]
                with m.If(self.send.ready):
                    m.d.sync += count.eq(count + 1)
                    m.next = "Fetch byte"
                    with m.If(self.send.p.last):
                        m.d.sync += count.eq(0)
                        m.next = "Receive"
        return m
