"""A board to be tested, how thoroughly, and what a test says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fpga.host.board import BoardDevice
from fpga.memory.sdram.sdram_timing import PARTS, SdramPart
from hdl.config import Config


@dataclass(frozen=True)
class Check:
    """A line of the table. look: where to look if it is not ok."""

    what: str
    expected: str
    measured: str
    ok: bool
    look: str = ""


@dataclass(frozen=True)
class Effort:
    """How much is tried.

    soak        KiB that go over the line each way
    words       64-bit words of the sample of memory
    backgrounds data that a march is repeated with, 1 to 7
    retention   seconds that memory is left alone
    whole       all of the memory is marched over, not the sample
    """

    soak: int
    words: int
    backgrounds: int
    retention: float
    whole: bool = False


BOARD = Effort(soak=512, words=2048, backgrounds=7, retention=0.2)
SIMULATED = Effort(soak=4, words=32, backgrounds=2, retention=0.005)  # a byte is 40 cycles


@dataclass
class Bench:
    """A board at serial port `port`.

    config, clock_hz, memory    what it must be of, its clock and bytes of memory; None: not known
    now, pause                  seconds of the board's time, and to let some pass
    progress                    called with what is done, and numbers done and to do
    """

    port: str
    baud: int
    timeout: float
    effort: Effort
    now: Callable[[], float]
    pause: Callable[[float], None]
    config: Config | None = None
    clock_hz: int | None = None
    memory: int | None = None
    progress: Callable[[str, int, int], None] = lambda what, done, size: None
    opened: BoardDevice | None = field(default=None, init=False)

    def open(self) -> BoardDevice:
        """Raises LinkError."""
        self.opened = BoardDevice(self.config, self.port, self.baud, timeout=self.timeout)
        return self.opened

    @property
    def device(self) -> BoardDevice:
        """The board, after `open`."""
        if self.opened is None:
            raise ValueError(f"board on {self.port}: not open")
        return self.opened

    @property
    def sdram(self) -> SdramPart | None:
        """The part that a memory of this size is; None: block RAM."""
        size = self.device.identity.memory
        return next((part for part in PARTS.values() if part.size == size), None)

    def close(self) -> None:
        if self.opened is not None:
            self.opened.close()
            self.opened = None
