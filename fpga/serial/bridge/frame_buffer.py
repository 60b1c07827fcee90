"""The bytes of a frame's data."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from fpga.serial.bridge.words import BEGIN, PLACES
from fpga.serial.protocol import CRC_BYTES, MAX_DATA

IDENTITY_AT = PLACES * 3 // 4  # place 0 with two bits set


class FrameBuffer(wiring.Component):
    """Bytes of a frame's data and, never written, the identity, at a place that moves.

    Members: `place`, at BEGIN after reset; `in_header`, it is one of the header's; `step` moves it
    to the next one, `rewind` to 0, `restart` to BEGIN. `store` writes `byte` at it; `value` is the
    byte there two cycles before, with `telling` one of the identity.

    `sized` takes `size`, of the data. A cycle late: `whole`, the place is `size`, and `fits`, it is
    that after as many data and a CRC; for `size`, two cycles. A byte a cycle each way.
    """

    step: In(1)
    rewind: In(1)
    restart: In(1)
    place: Out(range(PLACES), init=BEGIN)
    in_header: Out(1)

    store: In(1)
    byte: In(8)
    telling: In(1)
    value: Out(8)

    sized: In(1)
    size: In(range(MAX_DATA + 1))
    whole: Out(1)
    fits: Out(1)

    def __init__(self, identity: bytes):
        if len(identity) > PLACES - IDENTITY_AT:
            raise ValueError(f"an identity of {len(identity)} bytes: too long")
        self.identity = identity
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.bytes = held = memory.Memory(
            shape=8, depth=PLACES, init=[0] * IDENTITY_AT + list(self.identity)
        )
        store, load = held.write_port(), held.read_port()
        size = Signal.like(self.size)

        m.d.comb += [
            store.addr.eq(self.place),
            store.data.eq(self.byte),
            store.en.eq(self.store),
            load.addr.eq(self.place | Mux(self.telling, IDENTITY_AT, 0)),
            load.en.eq(1),
            self.in_header.eq(self.place[-2:].all()),
        ]
        m.d.sync += self.value.eq(load.data)

        with m.If(self.step):
            m.d.sync += self.place.eq(self.place + 1)
        with m.If(self.rewind):
            m.d.sync += self.place.eq(0)
        with m.If(self.restart):
            m.d.sync += self.place.eq(BEGIN)

        with m.If(self.sized):
            m.d.sync += size.eq(self.size)
        m.d.sync += [
            self.whole.eq(self.place == size),
            self.fits.eq((self.place[2:] == (size >> 2) + CRC_BYTES // 4) & ~self.place[:2].any()),
        ]
        return m
