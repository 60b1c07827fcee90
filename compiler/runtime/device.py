"""One Device, three of it: the interpreter, the simulated RTL and the board, driven by the same
code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from hdl.config import Config
from hdl.isa import COMMAND_BYTES, COUNTERS, ID_VALUE, VERSION_VALUE, Error, Register, Status

START, RESET = 1, 2  # bits of Register.CONTROL


class DeviceError(RuntimeError):
    """A device that does not answer as it should."""


class Device(Protocol):
    """Memory, registers and time of one accelerator. Addresses and sizes are bytes."""

    config: Config

    def read(self, address: int, size: int) -> bytes:
        """Memory contents. Raises ValueError outside the memory."""
        ...

    def write(self, address: int, data: bytes) -> None:
        """Sets memory. Raises ValueError outside the memory."""
        ...

    def read_register(self, offset: int) -> int:
        """A 32-bit register of hdl.isa.Register (or one half of a counter)."""
        ...

    def write_register(self, offset: int, value: int) -> None:
        """Sets a 32-bit register."""
        ...

    def wait(self, timeout: float) -> None:
        """Returns when the program has ended. Raises TimeoutError after `timeout` (cycles of a
        simulated device, seconds of a board)."""
        ...


@runtime_checkable
class ManyRegisters(Protocol):
    """A board: one request for several registers."""

    def read_registers(self, offset: int, count: int) -> list[int]:
        """`count` registers from `offset` on."""
        ...


@dataclass(frozen=True)
class RunResult:
    """How a program ended. index: of the command that failed, where status is ERROR; counters: by
    name, in the order of hdl.isa.COUNTERS."""

    status: Status
    error: Error
    index: int
    counters: dict[str, int]

    @property
    def ok(self) -> bool:
        return self.status is Status.DONE


def read_counters(device: Device) -> dict[str, int]:
    """Performance counters by name."""
    count = 2 * len(COUNTERS)
    if isinstance(device, ManyRegisters):
        halves = device.read_registers(Register.COUNTERS, count)
    else:
        halves = [device.read_register(Register.COUNTERS + 4 * i) for i in range(count)]
    return {name: halves[2 * i] | halves[2 * i + 1] << 32 for i, name in enumerate(COUNTERS)}


def check_identity(device: Device) -> None:
    """Raises DeviceError unless the device is an Eyrie of this version and configuration."""
    expected = {
        Register.ID: ID_VALUE,
        Register.VERSION: VERSION_VALUE,
        Register.PES: device.config.pes,
        Register.GLB_WORDS: device.config.glb_words,
    }
    for register, value in expected.items():
        got = device.read_register(register)
        if register is Register.VERSION and got != value:
            raise DeviceError(
                f"the device takes commands of version {got}, this program is of version {value}: "
                "build the device again"
            )
        if got != value:
            raise DeviceError(f"register {register.name} is {got:#x}, expected {value:#x}")


def run_program(
    device: Device,
    address: int,
    count: int,
    *,
    read_window: tuple[int, int],
    write_window: tuple[int, int],
    watchdog: int = 0,
    timeout: float = 1e9,
) -> RunResult:
    """Runs `count` commands at `address` (64-byte aligned) and waits for the end.

    read_window, write_window: [base, limit) in bytes; the program must lie in the first. watchdog:
    cycles, 0 for none. Raises ValueError on an address that is not aligned, TimeoutError as
    Device.wait.
    """
    if address % COMMAND_BYTES:
        raise ValueError(f"program address {address:#x}: not a multiple of {COMMAND_BYTES}")
    for register, value in (
        (Register.PROGRAM, address),
        (Register.COUNT, count),
        (Register.READ_BASE, read_window[0]),
        (Register.READ_LIMIT, read_window[1]),
        (Register.WRITE_BASE, write_window[0]),
        (Register.WRITE_LIMIT, write_window[1]),
        (Register.WATCHDOG, watchdog),
    ):
        device.write_register(register, value)
    device.write_register(Register.CONTROL, START)
    device.wait(timeout)
    status = device.read_register(Register.STATUS)
    if status & 0xFF == Status.RUNNING:
        raise TimeoutError("the device still runs after its wait")
    return RunResult(
        Status(status & 0xFF),
        Error(status >> 8 & 0xFF),
        device.read_register(Register.ERROR_INDEX),
        read_counters(device),
    )
