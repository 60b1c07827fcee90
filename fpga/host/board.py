"""A board as a Device: the third of compiler.runtime.device."""

from __future__ import annotations

import time
from collections.abc import Callable

from fpga.host.link import Link, LinkError, open_port
from fpga.serial.protocol import MAX_DATA, VERSION, WORD, Identity, Opcode, configuration_hash
from hdl.config import BOARD_PRESETS, PRESETS, Config
from hdl.isa import VERSION_VALUE, Register, Status

BAUD = 3_000_000


class BoardDevice:
    """The accelerator on the board at serial port `port`: of `config`, or with None of the preset
    that the board names.

    timeout, retries   of a request (fpga.host.link.Link)
    patience           the most seconds that `wait` waits, whatever it is asked for
    progress           called as progress(what, bytes done, bytes in all) while memory is moved

    Opening it resets the accelerator, whatever it was doing. Raises LinkError, in one line: no such
    port, no answer, another protocol, another version of the commands, another configuration.
    """

    def __init__(
        self,
        config: Config | None,
        port: str,
        baud: int = BAUD,
        *,
        timeout: float = 1.0,
        retries: int = 8,
        patience: float = 600.0,
        progress: Callable[[str, int, int], None] | None = None,
    ):
        self.patience, self.progress = patience, progress
        self.link = Link(open_port(port, baud), timeout, retries)
        try:
            self.link.restart()
            try:
                self.identity = Identity.unpack(self.link.request(Opcode.HELLO))
            except ValueError as e:
                raise LinkError(f"board on {port}: not an Eyrie: {e}") from None
            if self.identity.version != VERSION:
                raise LinkError(
                    f"board on {port}: speaks protocol {self.identity.version}, this host "
                    f"{VERSION}; "
                    "build and flash it again"
                )
            version = self.read_register(Register.VERSION)
            if version != VERSION_VALUE:
                raise LinkError(
                    f"board on {port}: takes commands of version {version}, this host makes "
                    "version "
                    f"{VERSION_VALUE}; build and flash it again"
                )
            self.config = config or self._named()
            if self.identity.configuration != configuration_hash(self.config):
                raise LinkError(
                    f"board on {port}: built for configuration {self.identity.name!r} "
                    f"({self.identity.configuration:016x}), not for "
                    f"{self.config.name!r} "
                    f"({configuration_hash(self.config):016x})"
                )
            self.link.request(Opcode.RESET)
        except BaseException:
            self.close()
            raise

    def _named(self) -> Config:
        known = PRESETS | BOARD_PRESETS
        if self.identity.name not in known:
            raise LinkError(
                f"board on {self.link.name}: built for configuration {self.identity.name!r}, "
                "which is no preset "
                "here: give its file as CONFIG= (--config)"
            )
        return known[self.identity.name]

    # ---- Device ------------------------------------------------------------------------
    def read(self, address: int, size: int) -> bytes:
        self._inside(address, size)
        first, past = address // WORD * WORD, -(-(address + size) // WORD) * WORD
        requests = [
            (Opcode.READ, at, min(MAX_DATA, past - at), b"") for at in range(first, past, MAX_DATA)
        ]
        raw = b"".join(self._move("reading", requests, past - first))
        if len(raw) != past - first:
            raise LinkError(
                f"board on {self.link.name}: {len(raw)} bytes read, {past - first} asked for"
            )
        return raw[address - first : address - first + size]

    def write(self, address: int, data) -> None:
        data = bytes(data)
        self._inside(address, len(data))
        first, past = address // WORD * WORD, -(-(address + len(data)) // WORD) * WORD
        if data and first < address:  # memory is written in whole words
            data = self.read(first, address - first) + data
        if data and past > first + len(data):
            data += self.read(first + len(data), past - first - len(data))
        requests = [
            (Opcode.WRITE, first + at, 0, data[at : at + MAX_DATA])
            for at in range(0, len(data), MAX_DATA)
        ]
        self._move("writing", requests, len(data))

    def read_register(self, offset: int) -> int:
        return self.read_registers(offset, 1)[0]

    def read_registers(self, offset: int, count: int) -> list[int]:
        """`count` registers that follow each other."""
        step = MAX_DATA // 4
        requests = [
            (Opcode.READ_REGISTERS, int(offset) + 4 * at, 4 * min(step, count - at), b"")
            for at in range(0, count, step)
        ]
        raw = b"".join(self.link.exchange(requests))
        if len(raw) != 4 * count:
            raise LinkError(
                f"board on {self.link.name}: {len(raw)} bytes of registers, {4 * count} asked for"
            )
        return [int.from_bytes(raw[4 * i : 4 * i + 4], "little") for i in range(count)]

    def write_register(self, offset: int, value: int) -> None:
        if not 0 <= int(value) < 1 << 32:
            raise ValueError(f"register {int(offset):#x}: value {value} is not of 32 bits")
        self.link.request(Opcode.WRITE_REGISTER, int(offset), data=int(value).to_bytes(4, "little"))

    def wait(self, timeout: float) -> None:
        """Asks for STATUS until the program has ended. Raises TimeoutError after `timeout`
        seconds."""
        timeout = min(timeout, self.patience)
        deadline = time.monotonic() + timeout
        while self.read_register(Register.STATUS) & 0xFF == Status.RUNNING:
            if time.monotonic() > deadline:
                raise TimeoutError(f"board on {self.link.name}: still running after {timeout:g} s")
            time.sleep(0.001)

    # ---- the board ---------------------------------------------------------------------
    def reset(self) -> None:
        """Resets accelerator and memory controller. What SDRAM held may be lost."""
        self.link.request(Opcode.RESET)

    def close(self) -> None:
        self.link.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _inside(self, address: int, size: int) -> None:
        if address < 0 or size < 0 or address + size > self.identity.memory:
            raise ValueError(
                f"memory access at {address:#x}, {size} bytes: the board has "
                f"{self.identity.memory:#x}"
            )

    def _move(self, what: str, requests: list, size: int) -> list[bytes]:
        progress = self.progress
        if progress is None:
            return self.link.exchange(requests)
        return self.link.exchange(
            requests, lambda frames: progress(what, min(size, frames * MAX_DATA), size)
        )
