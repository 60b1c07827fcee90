"""A board under Verilator: a process whose serial pins are a pseudo-terminal."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fpga.memory.port import memory_of
from fpga.memory.sdram.sdram import Sdram
from fpga.memory.sdram.sdram_timing import PARTS, SdramPart
from fpga.top import BoardTop, longest_frame
from hdl.config import Config
from hdl.emit.verilog import emit
from sim.build import harness

HERE = Path(__file__).resolve().parent
CYCLES_PER_BIT = 4  # the fewest: it is bytes that a simulation waits for
CLOCK_HZ = 80_000_000
PART = PARTS["32MB-7"]


class BoardError(RuntimeError):
    """The simulation ended by itself. One line."""


@dataclass(frozen=True)
class Counts:
    """Clock cycles, bytes over the line to the board and from it, and those damaged on purpose."""

    cycles: int
    to_board: int
    from_board: int
    damaged: int

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*(a - b for a, b in zip(self.tuple, other.tuple, strict=True)))

    @property
    def tuple(self) -> tuple[int, int, int, int]:
        return self.cycles, self.to_board, self.from_board, self.damaged


def model_times(part: SdramPart, clock_hz: int) -> tuple:
    """The fields of SdramTimes in sdram_model.h."""
    return (
        part.row_bits,
        part.column_bits,
        1e9 / clock_hz,
        part.t_rcd,
        part.t_rp,
        part.t_ras,
        part.t_rc,
        part.t_rrd,
        part.t_rfc,
        part.t_wr,
        part.t_mrd,
        part.t_refresh_ms * 1e6 / (1 << part.row_bits),
        1000 * part.t_init_us,
        1000 / part.max_mhz[0],
    )


@functools.lru_cache(maxsize=2)
def _built(
    config: Config, cycles_per_bit: float, memory: SdramPart | int | str, clock_hz: int
) -> Path:
    baud = int(clock_hz / cycles_per_bit)
    memory = memory_of(memory, clock_hz)
    board = BoardTop(config, clock_hz, baud, memory, longest_frame(clock_hz, baud))
    text, sidecar = emit(board, "board")
    defines = (
        [f"SDRAM={{{', '.join(map(str, model_times(memory.part, clock_hz)))}}}"]
        if isinstance(memory, Sdram)
        else []
    )
    return harness(text, sidecar["top"], [HERE / "main.cpp"], defines)


class SimulatedBoard:
    """The board of `config`, reset, at the terminal `port`.

    memory: of fpga.memory.port.memory_of; the timing of an SDRAM part is checked in every cycle;
    cycles_per_bit: of the serial line, 4 or more; clock_hz: what the SDRAM's times are counted in;
    plusargs: names that $test$plusargs in the Verilog finds.
    """

    def __init__(
        self,
        config: Config,
        memory: SdramPart | int | str = PART,
        cycles_per_bit: float = CYCLES_PER_BIT,
        clock_hz: int = CLOCK_HZ,
        plusargs: tuple[str, ...] = (),
    ):
        self.config, self.clock_hz, self.baud = config, clock_hz, int(clock_hz / cycles_per_bit)
        built = _built(config, cycles_per_bit, memory, clock_hz)
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [str(built / "simulator"), str(cycles_per_bit), *(f"+{name}" for name in plusargs)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.port = self._line()

    def _line(self) -> str:
        line = self._process.stdout.readline().strip()
        if not line:
            code = self._process.wait()
            self._log.seek(0)
            last = self._log.read().decode(errors="replace").strip().splitlines()[-1:]
            raise BoardError(last[0] if last else f"simulator: exit status {code}")
        return line

    def _command(self, text: str) -> Counts:
        try:
            self._process.stdin.write(text + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        return Counts(*map(int, self._line().split()))

    def counts(self) -> Counts:
        """Raises BoardError if the simulation has ended."""
        return self._command("counts")

    def faults(
        self, flip: float = 0.0, drop: float = 0.0, double: float = 0.0, seed: int = 1
    ) -> None:
        """From now on: the probability that a byte on the line has a flipped bit, is lost, comes
        twice."""
        self._command(f"faults {flip} {drop} {double} {seed}")

    def reset(self, cycles: int = 0) -> None:
        """The board's reset button, in so many cycles."""
        self._command(f"reset {cycles}")

    def now(self) -> float:
        """Seconds of the board's clock. Raises BoardError if the simulation has ended."""
        return self.counts().cycles / self.clock_hz

    def pause(self, seconds: float) -> None:
        """Lets so many seconds of the board's clock pass."""
        self._command(f"run {int(seconds * self.clock_hz)}")

    def damage(self, fault: str, *values: float) -> None:
        """Breaks the SDRAM from now on: a fault of fpga/simulation/main.cpp with its values;
        "whole" ends them all."""
        self._command(" ".join(map(str, (fault, *values))))

    def close(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
