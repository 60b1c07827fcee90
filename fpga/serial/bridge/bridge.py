"""Carries out the host's requests: memory, registers, identity, reset."""

from amaranth.hdl import Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.serial.bridge.controller import Controller
from fpga.serial.bridge.frame_buffer import FrameBuffer
from fpga.serial.bridge.frame_header import FrameHeader
from fpga.serial.bridge.memory_access import MemoryAccess
from fpga.serial.bridge.register_access import RegisterAccess
from fpga.serial.bridge.reply_sender import ReplySender
from fpga.serial.bridge.request_check import RequestCheck
from fpga.serial.bridge.session import Session
from fpga.serial.bridge.word_mover import WordMover
from fpga.serial.deframer import FrameByte
from fpga.serial.framer import SentByte
from fpga.serial.protocol import Identity
from hdl.lib.axi import ReadMaster, WriteMaster, lite_ports


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
    first byte: twelve cycles, and for reading 13 a word, for writing 15, for a register nine and
    eleven, one of them the other side's, which may take more; RESET_CYCLES for a reset.
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
        m.submodules.controller = controller = Controller()
        m.submodules.buffer = buffer = FrameBuffer(self.identity)
        m.submodules.frame_header = header = FrameHeader()
        m.submodules.request_check = check = RequestCheck()
        m.submodules.history = history = Session()
        m.submodules.mover = mover = WordMover()
        m.submodules.sender = sender = ReplySender()
        m.submodules.memory = memory = MemoryAccess()
        m.submodules.registers = registers = RegisterAccess()

        # ---- the frame ------------------------------------------------------------------
        wiring.connect(m, wiring.flipped(self.received), controller.received)
        m.d.comb += [
            buffer.step.eq(controller.take | controller.system_reset | mover.step | sender.step),
            buffer.rewind.eq(controller.judge),
            buffer.restart.eq(sender.restart),
            buffer.store.eq((controller.take & ~buffer.in_header) | mover.store),
            buffer.byte.eq(Mux(mover.store, mover.byte, self.received.p.data)),
            buffer.telling.eq(controller.telling),
            buffer.sized.eq(controller.decode | controller.judge | sender.sized),
            buffer.size.eq(Mux(controller.decode & ~check.carries, 0, header.header.length)),
            header.shift.eq((controller.take & buffer.in_header) | sender.shift),
            header.byte.eq(self.received.p.data),
            header.forget.eq(controller.broken),
            header.introduce.eq(controller.carried & check.kind.hello),
            header.answer.eq(sender.answer),
            header.empty.eq(check.carries),
            header.refused.eq(controller.refused),
            header.reason.eq(controller.reason),
        ]

        # ---- what is to be done ---------------------------------------------------------
        m.d.comb += [
            check.header.eq(header.header),
            check.fits.eq(buffer.fits),
            check.session.eq(history.active),
            history.kind.eq(check.kind),
            history.sequence.eq(header.header.sequence),
            history.carried.eq(controller.carried),
            controller.wrong.eq(check.refused),
            controller.why.eq(check.reason),
            controller.kind.eq(check.kind),
            controller.again.eq(history.again),
            controller.place.eq(buffer.place),
            self.system_reset.eq(controller.system_reset),
            self.session.eq(history.active),
        ]

        # ---- data -----------------------------------------------------------------------
        wiring.connect(m, mover.memory, memory.port)
        wiring.connect(m, mover.registers, registers.port)
        wiring.connect(m, memory.read, wiring.flipped(self.read))
        wiring.connect(m, memory.write, wiring.flipped(self.write))
        for name, member in lite_ports("m_lite_").items():
            ours, theirs = getattr(self, name), getattr(registers, name)
            m.d.comb += ours.eq(theirs) if member.flow is In else theirs.eq(ours)
        m.d.comb += [
            mover.go.eq(controller.move),
            controller.moved.eq(mover.done),
            controller.move_failed.eq(mover.failed),
            mover.address.eq(header.header.address),
            mover.of_memory.eq(check.of_memory),
            mover.carries.eq(check.carries),
            mover.place.eq(buffer.place),
        ]

        # ---- the reply ------------------------------------------------------------------
        wiring.connect(m, sender.send, wiring.flipped(self.send))
        m.d.comb += [
            sender.go.eq(controller.answer),
            controller.answered.eq(sender.done),
            sender.opcode.eq(header.header.opcode),
            sender.in_header.eq(buffer.in_header),
        ]

        for part in (mover, sender):
            m.d.comb += [part.value.eq(buffer.value), part.whole.eq(buffer.whole)]
        return m
