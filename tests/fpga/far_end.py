"""The board's end of the line in Python: the protocol over a pseudo-terminal, any Device behind
it."""

import os
import random
import select
import threading
import tty

from fpga.serial.protocol import (
    HEADER,
    LINE,
    MAX_DATA,
    NAK,
    RECEIVE_FIFO,
    REPLY,
    SIDE_EFFECTS,
    VERSION,
    WORD,
    Decoder,
    Frame,
    Identity,
    Opcode,
    Reason,
    configuration_hash,
    encode,
)

HEADER_SIZE = HEADER.size


class Executor:
    """What a board does with a frame. `executed` logs requests that had an effect or a value."""

    def __init__(self, device, memory):
        self.device, self.memory = device, memory
        self.session, self.remembered = False, None
        self.executed, self.resets = [], 0
        self.identity = Identity(
            VERSION,
            RECEIVE_FIFO,
            configuration_hash(device.config),
            memory,
            1_000_000,
            device.config.name,
        )

    def __call__(self, frame):
        def refuse(reason):
            return Frame(NAK, 0 if reason in LINE else frame.sequence, int(reason))

        if isinstance(frame, Reason):
            return refuse(frame)
        known = frame.opcode in list(Opcode)
        data = b""
        if not known:
            return refuse(Reason.OPCODE)
        opcode = Opcode(frame.opcode)
        if not self.session and opcode is not Opcode.HELLO:
            return refuse(Reason.NO_SESSION)
        carries = {Opcode.WRITE: frame.length, Opcode.WRITE_REGISTER: 4}.get(opcode, 0)
        unit = {Opcode.READ: WORD, Opcode.WRITE: WORD, Opcode.READ_REGISTERS: 4}.get(opcode)
        good = (
            frame.length == (4 if opcode is Opcode.WRITE_REGISTER else 0)
            if unit is None
            else 0 < frame.length <= MAX_DATA and frame.length % unit == 0
        )
        if not good or len(frame.data) != carries:
            return refuse(Reason.LENGTH)
        if frame.address % (WORD if opcode in (Opcode.READ, Opcode.WRITE) else 4):
            return refuse(Reason.ADDRESS)
        if opcode in SIDE_EFFECTS and self.remembered == (opcode, frame.sequence):
            return Frame(opcode | REPLY, frame.sequence, frame.address)
        self.remembered = (opcode, frame.sequence) if opcode in SIDE_EFFECTS else None
        self.executed.append(frame)
        try:
            match opcode:
                case Opcode.HELLO:
                    self.session, data = True, self.identity.pack()
                case Opcode.READ:
                    data = self.device.read(frame.address, frame.length)
                case Opcode.WRITE:
                    self.device.write(frame.address, frame.data)
                case Opcode.READ_REGISTERS:
                    data = b"".join(
                        self.device.read_register(frame.address + i).to_bytes(4, "little")
                        for i in range(0, frame.length, 4)
                    )
                case Opcode.WRITE_REGISTER:
                    self.device.write_register(frame.address, int.from_bytes(frame.data, "little"))
                case Opcode.RESET:
                    self.resets += 1
        except ValueError:
            return refuse(Reason.BUS)
        return Frame(opcode | REPLY, frame.sequence, frame.address, len(data), data)


class FarEnd:
    """`executor` behind a pseudo-terminal at `port`. spoil(bytes, direction) -> bytes damages
    the line."""

    def __init__(self, executor, spoil=lambda raw, direction: raw):
        self.executor, self.spoil = executor, spoil
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        self.port = os.ttyname(self._theirs)
        self._stop, self._end = os.pipe()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        decoder = Decoder()
        while True:
            ready, _, _ = select.select([self._ours, self._stop], [], [])
            if self._stop in ready:
                return
            for frame in decoder.feed(self.spoil(os.read(self._ours, 65536), "in")):
                raw = self.spoil(encode(self.executor(frame)), "out")
                while raw:
                    raw = raw[os.write(self._ours, raw) :]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._end)
        self.thread.join(5)
        for fd in (self._ours, self._theirs, self._stop):
            os.close(fd)


def noise(seed, flip=0.0, drop=0.0, double=0.0):
    """A `spoil` with these probabilities a byte."""
    rng = random.Random(seed)

    def spoil(raw, direction):
        out = bytearray()
        for byte in raw:
            if rng.random() < flip:
                byte ^= 1 << rng.randrange(8)
            if rng.random() < drop:
                continue
            out += bytes((byte,)) * (2 if rng.random() < double else 1)
        return bytes(out)

    return spoil
