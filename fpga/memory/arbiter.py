"""Host and accelerator share one memory."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.axi import Burst, ReadMaster, WriteData, WriteMaster
from hdl.lib.round_robin_arbiter import RoundRobinArbiter
from hdl.lib.stream.forward_slice import ForwardSlice
from hdl.lib.stream.shift_fifo import ShiftFifo
from hdl.lib.stream.through import into
from hdl.memory.words import TaggedBurst, TaggedData

OUTSTANDING = 4  # bursts under way each way


class Arbiter(wiring.Component):
    """Bursts of host and accelerator by turns; one that is alone never waits for the other.

    Members: `host_read` and `host_write`; `address` and `data`, the accelerator's read channels
    with their ID, which comes back in order whatever it is, and `write`; to the memory
    `memory_read` and `memory_write`. The memory answers in order. OUTSTANDING bursts each way; who
    does not take its data or does not bring it holds up the other.

    Latency one cycle for addresses and what is written, none for what is read and for responses,
    which the memory and the clients have in registers; throughput one of each a cycle.
    """

    host_read: In(ReadMaster)
    host_write: In(WriteMaster)
    address: In(stream.Signature(TaggedBurst))
    data: Out(stream.Signature(TaggedData))
    write: In(WriteMaster)
    memory_read: Out(ReadMaster)
    memory_write: Out(WriteMaster)

    def _merge(self, m, name, ports, target, orders):
        """Moves addresses of the two `ports` (stream, burst, ID) to `target` by turns, noting (ID,
        whose) in every FIFO of `orders`."""
        m.submodules[f"{name}_turns"] = turns = RoundRobinArbiter(len(ports))
        address = into(m, f"{name}_address", ForwardSlice(Burst), wiring.flipped(target))
        room = Signal(name=f"{name}_room")
        m.d.comb += [
            room.eq(address.ready & Cat(fifo.input.ready for fifo in orders).all()),
            turns.requests.eq(Cat(port.valid for port, *_ in ports)),
            turns.take.eq(room & turns.requests.any()),
        ]

        for who, (port, burst, ident) in enumerate(ports):
            m.d.comb += port.ready.eq(room & turns.free[who])
            with m.If(port.valid & port.ready):
                m.d.comb += [address.valid.eq(1), address.payload.eq(burst)]
                for fifo in orders:
                    m.d.comb += [fifo.input.valid.eq(1), fifo.input.payload.eq(Cat(who, ident))]

    def elaborate(self, platform):
        m = Module()

        # Whose data comes next, with its ID; whose is written next; whose response comes next.
        m.submodules.reads = reads = ShiftFifo(2, OUTSTANDING)
        m.submodules.writes = writes = ShiftFifo(1, OUTSTANDING)
        m.submodules.answers = answers = ShiftFifo(1, 2 * OUTSTANDING)
        host, ours = self.host_read.address, self.address
        self._merge(
            m,
            "read",
            ((host, host.payload, 0), (ours, ours.p.burst, ours.p.id)),
            self.memory_read.address,
            (reads,),
        )
        host, ours = self.host_write.address, self.write.address
        self._merge(
            m,
            "write",
            ((host, host.payload, 0), (ours, ours.payload, 0)),
            self.memory_write.address,
            (writes, answers),
        )

        # What is read.
        beat = self.memory_read.data
        m.d.comb += [
            self.host_read.data.payload.eq(beat.payload),
            self.data.p.beat.eq(beat.payload),
            self.data.p.id.eq(reads.output.payload[1]),
            reads.output.ready.eq(beat.valid & beat.ready & beat.p.last),
        ]
        for who, port in enumerate((self.host_read.data, self.data)):
            with m.If(reads.output.valid & (reads.output.payload[0] == who)):
                m.d.comb += [port.valid.eq(beat.valid), beat.ready.eq(port.ready)]

        # What is written, and its responses.
        word = into(
            m, "write_word", ForwardSlice(WriteData), wiring.flipped(self.memory_write.data)
        )
        answer = self.memory_write.response
        m.d.comb += [
            writes.output.ready.eq(word.valid & word.ready & word.p.last),
            answers.output.ready.eq(answer.valid & answer.ready),
        ]
        for who, port in enumerate((self.host_write, self.write)):
            with m.If(writes.output.valid & (writes.output.payload == who)):
                m.d.comb += [
                    word.valid.eq(port.data.valid),
                    word.payload.eq(port.data.payload),
                    port.data.ready.eq(word.ready),
                ]
            m.d.comb += port.response.payload.eq(answer.payload)
            with m.If(answers.output.valid & (answers.output.payload == who)):
                m.d.comb += [
                    port.response.valid.eq(answer.valid),
                    answer.ready.eq(port.response.ready),
                ]
        return m
