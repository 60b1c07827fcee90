"""Carries out the host's requests: memory, registers, identity, reset."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.serial.deframer import FrameByte
from fpga.serial.framer import SentByte
from fpga.serial.protocol import (
    CRC_BYTES,
    HEADER,
    MAX_DATA,
    NAK,
    REPLY,
    WORD,
    Identity,
    Opcode,
    Reason,
)
from hdl.lib.axi import ReadMaster, WriteMaster, lite_ports

RESET_CYCLES = 16
# of bytes: the data from 0; the header is at the end, and not stored
PLACES = 2 * MAX_DATA
BEGIN = PLACES - HEADER.size
IDENTITY_AT = PLACES * 3 // 4  # place 0 with two bits set


class Bridge(wiring.Component):
    """One request at a time: received whole, checked, carried out, answered (docs/board.md).

    Members: `received` and `send`, streams of the Link; `read` and `write`, AXI masters of memory,
    a burst for every word; `m_lite_*`, AXI4-Lite master of the accelerator's registers;
    `system_reset`, RESET_CYCLES long, for accelerator, arbiter and memory; `session`, a HELLO has
    come since the reset. identity: what HELLO answers.

    A request is carried out only when its last byte and its CRC are there. One with a side effect
    that comes again, nothing else having been carried out in between, gets its reply once more and
    nothing happens. A memory or register that never answers blocks the bridge.

    Data pass through it byte by byte, which on the line take some hundreds of cycles each, so that
    nothing here is wide but a word and the header. Latency, from a request's end to the reply's
    first byte: nine cycles, and for reading 13 a word, for writing 16, for a register nine and
    eleven, RESET_CYCLES for a reset, each with the stalls and latency of the other side.
    Throughput: a byte a cycle in, a byte every four cycles out.
    """

    def __init__(self, identity: Identity):
        self.identity = identity.pack()
        super().__init__(
            {
                "received": In(stream.Signature(FrameByte)),
                "send": Out(stream.Signature(SentByte)),
                "read": Out(ReadMaster),
                "write": Out(WriteMaster),
                **{name: member.flip() for name, member in lite_ports("m_lite_").items()},
                "system_reset": Out(1),
                "session": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # Bytes of a frame's data, and behind them, never written, the identity.
        m.submodules.buffer = buffer = memory.Memory(
            shape=8, depth=PLACES, init=[0] * IDENTITY_AT + list(self.identity)
        )
        store, load = buffer.write_port(), buffer.read_port()
        place = Signal(range(PLACES), init=BEGIN)
        in_header = Signal()
        # A shift register, filled and emptied by bytes.
        opcode, sequence, length, address = Signal(8), Signal(8), Signal(16), Signal(32)
        header = Cat(opcode, sequence, length, address)
        word = Signal(64)  # one too
        left = Signal(3)  # bytes of it to be moved
        here = Signal(32)  # the address of the word at `place`
        size = Signal(range(MAX_DATA + 1))  # of the data that are carried, asked for, sent
        value = Signal(8)  # a byte of the buffer, two cycles after its place
        arrives = Signal(2)  # one is on its way into `word`
        failed, refused, again = Signal(), Signal(), Signal()
        # the reply's data are the identity; its byte is the header's
        telling, heading = Signal(), Signal()
        reason = Signal(range(16))
        remembered, last_reset, last_sequence = Signal(), Signal(), Signal(8)
        whole = Signal()  # `place` is `size`, a cycle late
        m.d.comb += [
            in_header.eq(place[-2:].all()),
            load.en.eq(1),
            load.addr.eq(place | Mux(telling, IDENTITY_AT, 0)),
            store.addr.eq(place),
            self.read.address.p.address.eq(here),
            self.read.address.p.last.eq(1),
            self.write.address.p.address.eq(here),
            self.write.address.p.last.eq(1),
            self.write.data.p.data.eq(word),
            self.write.data.p.strobe.eq(0xFF),
            self.write.data.p.last.eq(1),
            self.m_lite_awaddr.eq(here),
            self.m_lite_araddr.eq(here),
            self.m_lite_wstrb.eq(0xF),
            self.m_lite_wdata.eq(word[32:]),
        ]
        m.d.sync += [value.eq(load.data), whole.eq(place == size), arrives.eq(arrives << 1)]
        for taken in (
            (self.read.address.valid, self.read.address.ready),
            (self.write.address.valid, self.write.address.ready),
            (self.write.data.valid, self.write.data.ready),
            (self.m_lite_arvalid, self.m_lite_arready),
            (self.m_lite_awvalid, self.m_lite_awready),
            (self.m_lite_wvalid, self.m_lite_wready),
        ):
            with m.If(taken[1]):
                m.d.sync += taken[0].eq(0)
        with m.If(arrives[1]):
            m.d.sync += word.eq(Cat(word[8:], value))

        # What a request is and must look like, in registers: nothing is in a hurry here.
        kind = {code: Signal(name=f"is_{code.name.lower()}") for code in Opcode}
        m.d.sync += [flag.eq(opcode == code) for code, flag in kind.items()]
        of_memory, of_registers = Signal(), Signal()
        carries = Signal()
        none, over, right_data, right_length, aligned, same = (
            Signal(name=n)
            for n in ("none", "over", "right_data", "right_length", "aligned", "same")
        )
        m.d.comb += [
            of_memory.eq(kind[Opcode.READ] | kind[Opcode.WRITE]),
            of_registers.eq(kind[Opcode.READ_REGISTERS] | kind[Opcode.WRITE_REGISTER]),
        ]
        m.d.sync += [
            carries.eq(kind[Opcode.WRITE] | kind[Opcode.WRITE_REGISTER]),
            none.eq(length == 0),
            over.eq(length > MAX_DATA),
            right_data.eq((place[2:] == (size >> 2) + CRC_BYTES // 4) & ~place[:2].any()),
            aligned.eq(~address[:2].any() & (~address[2] | ~of_memory)),
            right_length.eq(
                Mux(
                    of_memory | of_registers,
                    ~none
                    & ~over
                    & ~length[:2].any()
                    & (~length[2] | ~of_memory)
                    & ((length[2:11] == 1) | ~kind[Opcode.WRITE_REGISTER]),
                    none,
                )
            ),
            same.eq(
                remembered
                & (last_reset == kind[Opcode.RESET])
                & (last_sequence == sequence)
                & (kind[Opcode.RESET] | kind[Opcode.WRITE_REGISTER])
            ),
        ]

        def refuse(why):
            m.d.sync += [refused.eq(1), reason.eq(why)]

        with m.FSM():
            with m.State("Receive"):
                m.d.comb += [
                    self.received.ready.eq(1),
                    store.data.eq(self.received.p.data),
                    store.en.eq(self.received.valid & ~self.received.p.end & ~in_header),
                ]
                m.d.sync += [failed.eq(0), refused.eq(0), telling.eq(0), left.eq(3)]
                with m.If(self.received.valid):
                    with m.If(self.received.p.end):
                        m.next = "Decode"
                        with m.If(self.received.p.data != 0):
                            m.d.sync += sequence.eq(0)
                            refuse(self.received.p.data[:4])
                            m.next = "Reply"
                    with m.Else():
                        m.d.sync += place.eq(place + 1)
                        with m.If(in_header):
                            m.d.sync += header.eq(Cat(header[8:], self.received.p.data))
            with m.State("Decode"):  # until all that is known of it is in registers
                m.d.sync += [size.eq(Mux(carries, length, 0)), left.eq(left - 1)]
                with m.If(left == 0):
                    m.next = "Check"
            with m.State("Check"):
                # The first of these that holds is what the host is told: the last assignment wins.
                for bad, why in (
                    (~aligned, Reason.ADDRESS),
                    (~right_length | ~right_data, Reason.LENGTH),
                    (~self.session & ~kind[Opcode.HELLO], Reason.NO_SESSION),
                    (~Cat(*kind.values()).any(), Reason.OPCODE),
                ):
                    with m.If(bad):
                        refuse(why)
                m.d.sync += [size.eq(length), place.eq(0), again.eq(same)]
                m.next = "Begin"
            with m.State("Begin"):
                m.next = "Reply"
                with m.If(~refused):
                    m.d.sync += [
                        remembered.eq(kind[Opcode.WRITE_REGISTER] | kind[Opcode.RESET]),
                        last_reset.eq(kind[Opcode.RESET]),
                        last_sequence.eq(sequence),
                    ]
                    with m.If(kind[Opcode.HELLO]):
                        m.d.sync += [
                            self.session.eq(1),
                            telling.eq(1),
                            length.eq(len(self.identity)),
                        ]
                    with m.Elif(kind[Opcode.RESET] & ~again):
                        m.next = "Reset"
                    with m.Elif((of_memory | of_registers) & ~again):
                        m.next = "Address"
            with m.State("Reset"):
                m.d.comb += self.system_reset.eq(1)
                m.d.sync += place.eq(place + 1)
                with m.If(place == RESET_CYCLES - 1):
                    m.next = "Reply"

            # ---- memory and registers, a word each time --------------------------------------
            with m.State("Address"):
                m.d.sync += [here.eq(address + place), left.eq(Mux(of_memory, WORD - 1, 3))]
                m.next = "Ask"
                with m.If(carries):
                    m.next = "Gather"
            with m.State("Ask"):
                m.d.sync += [
                    self.read.address.valid.eq(of_memory),
                    self.m_lite_arvalid.eq(~of_memory),
                ]
                m.next = "Await"
            with m.State("Gather"):
                m.d.sync += [place.eq(place + 1), left.eq(left - 1), arrives[0].eq(1)]
                with m.If(left == 0):
                    m.next = "Gathered"
            with m.State("Gathered"):
                with m.If(arrives == 0):
                    m.d.sync += [
                        self.write.address.valid.eq(of_memory),
                        self.write.data.valid.eq(of_memory),
                        self.m_lite_awvalid.eq(~of_memory),
                        self.m_lite_wvalid.eq(~of_memory),
                    ]
                    m.next = "Await"
            with m.State("Await"):
                # Whatever it is that has been asked.
                m.d.comb += [
                    self.read.data.ready.eq(1),
                    self.write.response.ready.eq(1),
                    self.m_lite_rready.eq(1),
                    self.m_lite_bready.eq(1),
                ]
                with m.If(~carries):
                    m.d.sync += word.eq(self.read.data.p.data)
                    with m.If(~of_memory):
                        m.d.sync += word[:32].eq(self.m_lite_rdata)
                bad = [
                    valid & resp.any()
                    for valid, resp in (
                        (self.read.data.valid, self.read.data.p.resp),
                        (self.write.response.valid, self.write.response.payload),
                        (self.m_lite_rvalid, self.m_lite_rresp),
                        (self.m_lite_bvalid, self.m_lite_bresp),
                    )
                ]
                with m.If(Cat(bad).any()):
                    m.d.sync += failed.eq(1)
                with m.If(self.read.data.valid | self.m_lite_rvalid):
                    m.next = "Scatter"
                with m.Elif(self.write.response.valid | self.m_lite_bvalid):
                    m.next = "Look at end"
            with m.State("Scatter"):
                m.d.comb += [store.data.eq(word[:8]), store.en.eq(1)]
                m.d.sync += [word.eq(word >> 8), place.eq(place + 1), left.eq(left - 1)]
                with m.If(left == 0):
                    m.next = "Look at end"
            with m.State("Look at end"):
                m.next = "Go on"
            with m.State("Go on"):
                m.next = "Address"
                with m.If(whole):
                    m.next = "Reply"
                    with m.If(failed):
                        refuse(Reason.BUS)

            # ---- replies --------------------------------------------------------------------
            with m.State("Reply"):
                m.d.sync += [place.eq(BEGIN), opcode.eq(opcode | REPLY)]
                with m.If(carries | refused):
                    m.d.sync += length.eq(0)
                with m.If(refused):
                    m.d.sync += [opcode.eq(NAK), address.eq(reason)]
                m.next = "Size"
            with m.State("Size"):
                m.d.sync += size.eq(length)
                m.next = "Fetch"
            with m.State("Fetch"):
                m.d.sync += [place.eq(place + 1), heading.eq(in_header)]
                m.next = "Fetched"
            with m.State("Fetched"):
                m.next = "Form"
            with m.State("Form"):
                m.d.sync += [
                    self.send.valid.eq(1),
                    self.send.p.last.eq(whole),
                    self.send.p.data.eq(Mux(heading, opcode, value)),
                ]
                with m.If(heading):
                    m.d.sync += header.eq(Cat(header[8:], Const(0, 8)))
                m.next = "Send"
            with m.State("Send"):
                with m.If(self.send.ready):
                    m.d.sync += self.send.valid.eq(0)
                    m.next = "Fetch"
                    with m.If(self.send.p.last):
                        m.d.sync += place.eq(BEGIN)
                        m.next = "Receive"
        return m
