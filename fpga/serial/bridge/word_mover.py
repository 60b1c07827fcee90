"""Data of a request, word by word, between the frame's buffer and memory or registers."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fpga.serial.bridge.words import PLACES, WordPort
from fpga.serial.protocol import WORD
from hdl.lib.axi import ADDRESS


class WordMover(wiring.Component):
    """Moves all data of a request while `go` is set, from place 0 on, until its pulse `done`.

    Members: `address`, of the request; `of_memory`, a word is eight bytes there, not the four of a
    register; `carries`, out of the buffer, not into it. `memory` and `registers`, what is asked.
    Of the FrameBuffer: `place`, `step`, `value`, `store`, `byte`, `whole`. `failed`, with `done`:
    a word was answered with an error.

    Cycles a word, one of them for the other side: 13 to read from memory, 15 to write; of a
    register nine and eleven. It waits for an answer for ever.
    """

    go: In(1)
    done: Out(1)
    failed: Out(1)

    address: In(ADDRESS)
    of_memory: In(1)
    carries: In(1)

    place: In(range(PLACES))
    step: Out(1)
    value: In(8)
    store: Out(1)
    byte: Out(8)
    whole: In(1)

    memory: Out(WordPort)
    registers: Out(WordPort)

    def elaborate(self, platform):
        m = Module()
        word = Signal(64)  # a shift register, filled and emptied by bytes
        left = Signal(range(WORD))  # bytes of it to be moved
        here = Signal(ADDRESS)  # the address of the word at `place`
        arrives = Signal(2)  # a byte is on its way into `word`
        ask, answered = Signal(), Signal()

        m.d.comb += self.byte.eq(word[:8])
        m.d.sync += arrives.eq(arrives << 1)
        with m.If(arrives[1]):
            m.d.sync += word.eq(Cat(word[8:], self.value))

        # Who is asked; who is not has no answer either.
        for port, chosen in ((self.memory, self.of_memory), (self.registers, ~self.of_memory)):
            m.d.comb += [
                port.address.eq(here),
                port.word.eq(word),
                port.get.eq(ask & chosen & ~self.carries),
                port.put.eq(ask & chosen & self.carries),
            ]
        answers = (self.memory.answer, self.registers.answer)
        m.d.comb += answered.eq(Cat(answer.valid for answer in answers).any())

        with m.FSM():
            with m.State("Address"):
                m.d.sync += [
                    here.eq(self.address + self.place),
                    left.eq(Mux(self.of_memory, WORD - 1, 3)),
                ]
                with m.If(~self.go):
                    m.d.sync += self.failed.eq(0)
                with m.Elif(self.carries):
                    m.next = "Gather"
                with m.Else():
                    m.next = "Ask"
            with m.State("Gather"):
                m.d.comb += self.step.eq(1)
                m.d.sync += [left.eq(left - 1), arrives[0].eq(1)]
                with m.If(left == 0):
                    m.next = "Ask"
            with m.State("Ask"):
                with m.If(arrives == 0):
                    m.d.comb += ask.eq(1)
                    m.next = "Await"
            with m.State("Await"):
                m.d.comb += [answer.ready.eq(1) for answer in answers]
                with m.If(~self.carries):
                    m.d.sync += word.eq(self.memory.answer.p.word)
                    with m.If(~self.of_memory):
                        m.d.sync += word[:32].eq(self.registers.answer.p.word)
                with m.If(Cat(answer.valid & answer.p.failed for answer in answers).any()):
                    m.d.sync += self.failed.eq(1)
                with m.If(answered):
                    m.next = "Scatter"
                    with m.If(self.carries):
                        m.next = "Look at end"
            with m.State("Scatter"):
                m.d.comb += [self.store.eq(1), self.step.eq(1)]
                m.d.sync += [word.eq(word >> 8), left.eq(left - 1)]
                with m.If(left == 0):
                    m.next = "Look at end"
            with m.State("Look at end"):
                m.next = "Go on"
            with m.State("Go on"):
                m.d.comb += self.done.eq(self.whole)
                m.next = "Address"
        return m
