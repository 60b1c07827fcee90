"""Requests and replies over a serial port, with time-outs and retries."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from compiler.runtime.device import DeviceError
from fpga.serial.protocol import (
    FLAG,
    LINE,
    MAX_FRAME,
    REPLY,
    WINDOW,
    Decoder,
    Frame,
    Opcode,
    Reason,
    encode,
)

POLL = 0.02  # seconds that a read of the port waits at most
# bytes without a reply among them after which the line counts as silent
GARBAGE = 16 * MAX_FRAME


class LinkError(DeviceError):
    """A board that cannot be opened, does not answer, or refuses a request. One line."""


def open_port(port: str, baud: int):
    """The serial port. Raises LinkError, in one line, if it cannot be opened."""
    import serial

    try:
        opened = serial.Serial(port, baud, timeout=POLL, write_timeout=30, exclusive=True)
    except (serial.SerialException, OSError, ValueError) as e:
        why = getattr(e, "strerror", None) or str(e).splitlines()[0]
        hint = {
            2: "no such port; is the board plugged in?",
            13: "permission denied; is the user in its group?",
            11: "in use by another program",
        }.get(getattr(e, "errno", None) or 0, why)
        raise LinkError(f"port {port}: {hint}") from None
    # Else USB bridges hold short replies back for 16 ms. Ports that have no such mode raise one of
    # these.
    with suppress(ValueError, OSError, NotImplementedError, AttributeError):
        opened.set_low_latency_mode(True)
    return opened


class Link:
    """A board at the other end of a port, an object of `serial.Serial` with time-out POLL.

    timeout: seconds of silence after which what is unanswered is sent again; retries: how often.
    `retried`, `naks`, `sent` and `received` (bytes) count what happened.
    """

    def __init__(self, port, timeout: float = 1.0, retries: int = 5):
        self.port, self.timeout, self.retries = port, timeout, retries
        self.retried = self.naks = self.sent = self.received = 0
        self._decoder = Decoder()
        self._arrived: deque[Frame | Reason] = deque()
        self._sequence = random.randrange(256)
        self._useless = 0  # bytes since the last reply

    @property
    def name(self) -> str:
        return getattr(self.port, "port", None) or "the line"

    def close(self) -> None:
        self.port.close()

    def restart(self) -> None:
        """Forgets what was received and ends whatever frame the board is inside of."""
        self.port.reset_input_buffer()
        self._decoder = Decoder()
        self._arrived.clear()
        self._write(bytes((FLAG, FLAG)))

    def request(self, opcode: int, address: int = 0, length: int = 0, data: bytes = b"") -> bytes:
        """One request; the data of its reply. Raises LinkError."""
        return self.exchange([(opcode, address, length, data)])[0]

    def exchange(
        self,
        requests: Sequence[tuple[int, int, int, bytes]],
        done: Callable[[int], None] | None = None,
    ) -> list[bytes]:
        """Sends (opcode, address, length, data) in order, up to WINDOW ahead of the replies; the
        data of each reply. Where one is lost, later ones may be executed before it is sent again:
        those of one call must not depend on each other. done(replies so far). Raises LinkError.
        """
        replies: list[bytes | None] = [None] * len(requests)
        frames = []
        for opcode, address, length, data in requests:
            frames.append(Frame(opcode, self._sequence, address, length or len(data), data))
            self._sequence = (self._sequence + 1) % 256
        attempts = [0] * len(frames)
        todo, waiting = deque(range(len(frames))), deque()
        while todo or waiting:
            while todo and len(waiting) < WINDOW:
                at = todo.popleft()
                attempts[at] += 1
                if attempts[at] > 1 + self.retries:
                    raise LinkError(
                        f"board on {self.name}: no answer to {attempts[at] - 1} requests of "
                        f"{self.timeout:g} s; is it configured, at this baud rate?"
                    )
                self.retried += attempts[at] > 1
                self._write(encode(frames[at]))
                waiting.append(at)
            got = self._receive()
            if got is None:  # silence: all that is under way is lost
                again, waiting = list(waiting), deque()
                todo.extendleft(reversed(again))
                continue
            if isinstance(got, Reason):  # a broken reply: which one shows when the next arrives
                self.naks += 1
                continue
            if got.is_nak and got.address in LINE:
                # Replies come in the order of the requests, so it is the oldest that was refused.
                self.naks += 1
                if waiting:
                    todo.appendleft(waiting.popleft())
                continue
            at = next((i for i in waiting if frames[i].sequence == got.sequence), None)
            if at is None:  # of a request that has been answered before
                continue
            if (
                got.is_nak
                and got.address == Reason.NO_SESSION
                and frames[at].opcode == Opcode.HELLO
            ):
                continue  # an earlier host's that had this number: HELLO itself needs no session
            if got.is_nak:
                raise LinkError(self._refusal(frames[at], got.address))
            want = frames[at]
            if (
                got.opcode != want.opcode | REPLY
                or got.address != want.address
                or got.length != len(got.data)
            ):
                continue
            lost = []
            while waiting[0] != at:  # older ones that were passed over
                lost.append(waiting.popleft())
            waiting.popleft()
            todo.extendleft(reversed(lost))
            replies[at] = got.data
            self._useless = 0
            if done:
                done(sum(r is not None for r in replies))
        return [reply for reply in replies if reply is not None]  # all of them

    def _refusal(self, frame: Frame, reason: int) -> str:
        if reason == Reason.NO_SESSION:
            return f"board on {self.name}: it was reset meanwhile; run again"
        name = Reason(reason).name if reason in Reason._value2member_map_ else str(reason)
        return f"board on {self.name}: refuses request {frame.opcode} at {frame.address:#x}: {name}"

    def _write(self, raw: bytes) -> None:
        import serial

        try:
            self.port.write(raw)
        except (serial.SerialException, OSError) as e:
            raise LinkError(f"board on {self.name}: gone ({str(e).splitlines()[0]})") from None
        self.sent += len(raw)

    def _receive(self) -> Frame | Reason | None:
        """The next that arrives, None after a time-out of silence or too much garbage."""
        import serial

        silent_since = time.monotonic()
        while not self._arrived:
            if self._useless > GARBAGE:
                self._useless = 0
                return None
            try:
                raw = self.port.read(max(1, self.port.in_waiting))
            except (serial.SerialException, OSError) as e:
                raise LinkError(f"board on {self.name}: gone ({str(e).splitlines()[0]})") from None
            if raw:
                silent_since = time.monotonic()
                self.received += len(raw)
                self._useless += len(raw)
                self._arrived.extend(self._decoder.feed(raw))
            elif time.monotonic() - silent_since > self.timeout:
                return None
        return self._arrived.popleft()
