"""The accelerator's RTL as a Device: a simulator process that stays alive for many runs."""

from __future__ import annotations

import itertools
import mmap
import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path

from hdl.config import Config
from hdl.emit.files import BUILD
from hdl.emit.verilog import emit
from sim.build import build, cocotb_environment

# Numbers of sim/memory.h and sim/memory.cpp.
READ, WRITE, WAIT, SET, GET, RESET = 1, 2, 3, 4, 5, 6
BUS_ERROR, TIMEOUT = 1, 2
LATENCY, BANDWIDTH, SEED, FAULT_LOW, FAULT_HIGH, FAULT_KIND = 0, 1, 2, 8, 9, 10
STALLS = {"ar": 3, "r": 4, "aw": 5, "w": 6, "b": 7}
READ_BYTES, WRITE_BYTES = 16, 17
FAULTS = {"slverr": 2, "decerr": 3, "silent": 4}

_serial = itertools.count()


class SimError(RuntimeError):
    """The simulator ended: an AXI rule was broken or it crashed. The message has its last lines."""


class SimDevice:
    """The RTL of `config` under Verilator, with `memory_size` bytes of DRAM at address 0.

    driver          "cocotb" or "cpp": two drivers of one model, equal cycle for cycle
    bytes_per_cycle, latency   of the DRAM model; default the configuration's
    stalls          probability of a random stall, a number for all channels or {channel: number}
    waves           True or a path: writes an FST file (default under build/waves/)
    component       simulate this component instead of the configuration's accelerator
    verilog         (text, top module) that is simulated in place of what would be emitted
    reply_timeout   host seconds a single operation may take, None for no limit

    Time passes only during register accesses and `wait`.
    """

    def __init__(
        self,
        config: Config,
        driver: str = "cocotb",
        memory_size: int = 64 << 20,
        *,
        bytes_per_cycle: float | None = None,
        latency: int | None = None,
        seed: int = 1,
        stalls=0.0,
        waves=None,
        component=None,
        verilog: tuple[str, str] | None = None,
        reply_timeout: float | None = None,
    ):
        if driver not in ("cocotb", "cpp"):
            raise ValueError(f"simulation driver {driver!r}: choose cocotb or cpp")
        if not 4096 <= memory_size <= 1 << 32 or memory_size % 4096:
            raise ValueError(f"memory size {memory_size}: must be a multiple of 4096 up to 2**32")
        self.config, self.driver, self._timeout = config, driver, reply_timeout
        self.cycles = 0
        self._process = None
        text, sidecar = emit(config if component is None else component)
        self.sidecar = sidecar
        built = build(*(verilog or (text, sidecar["top"])), waves=bool(waves))
        self.waves = None
        if waves:
            self.waves = (
                Path(waves)
                if not isinstance(waves, bool)
                else (BUILD / "waves" / f"{config.name}-{driver}-{os.getpid()}-{next(_serial)}.fst")
            )
            self.waves = self.waves.resolve()
            self.waves.parent.mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(prefix="eyrie-")
        folder = Path(self._folder.name)
        with open(folder / "memory", "wb+") as f:
            f.truncate(memory_size)  # sparse: pages appear as they are written
            self.memory = mmap.mmap(f.fileno(), memory_size)
        self._log = open(folder / "log", "wb+")
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        arguments = [f"+memory={folder / 'memory'}", f"+in={theirs_in}", f"+out={theirs_out}"]
        env = None
        if driver == "cocotb":
            env = cocotb_environment("tb", "sim.benches.tb_host")
            env.update(
                EYRIE_IN=str(theirs_in),
                EYRIE_OUT=str(theirs_out),
                COCOTB_RESULTS_FILE=str(folder / "results.xml"),
            )
            if self.waves:
                arguments += ["--trace", "--trace-file", str(self.waves)]
        elif self.waves:
            arguments.append(f"+trace={self.waves}")
        try:
            self._process = subprocess.Popen(
                [str(built / f"sim_{driver}"), *arguments],
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs_in, theirs_out),
            )
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
            self._out, self._in = ours_out, ours_in
        self._buffer = b""
        try:
            rate = config.dram_bytes_per_cycle if bytes_per_cycle is None else bytes_per_cycle
            self._call(SET, BANDWIDTH, round(rate * 65536))
            self._call(SET, LATENCY, max(1, config.dram_latency if latency is None else latency))
            self._call(SET, SEED, seed)
            self.stall(stalls)
        except BaseException:
            self.close()
            raise

    # ---- the simulator process ---------------------------------------------------------
    def _fail(self):
        try:
            code = self._process.wait(10)
        except subprocess.TimeoutExpired:
            code = "none"
        self._log.flush()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()[-15:]
        own = [line for line in lines if line.startswith("simulator: ")]
        self.close()
        what = own[-1] if own else f"simulator: exit status {code}"
        raise SimError("\n".join([what, *(line for line in lines if line not in own)]))

    def _call(self, op: int, address: int = 0, value: int = 0) -> tuple[int, int]:
        if self._process is None:
            raise SimError("simulator: closed")
        try:
            os.write(self._out, b"%d %d %d\n" % (op, address, value))
        except BrokenPipeError:
            self._fail()
        while b"\n" not in self._buffer:
            if (
                self._timeout is not None
                and not select.select([self._in], [], [], self._timeout)[0]
            ):
                self.close()
                raise TimeoutError(
                    f"simulator: no answer in {self._timeout} s after cycle {self.cycles}"
                )
            more = os.read(self._in, 4096)
            if not more:
                self._fail()
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\n")
        result, answer, self.cycles = map(int, line.split())
        return result, answer

    # ---- Device ------------------------------------------------------------------------
    def read(self, address: int, size: int) -> bytes:
        self._inside(address, size)
        return self.memory[address : address + size]

    def write(self, address: int, data) -> None:
        data = memoryview(data).cast("B")
        self._inside(address, len(data))
        self.memory[address : address + len(data)] = data

    def _inside(self, address, size):
        if address < 0 or size < 0 or address + size > len(self.memory):
            raise ValueError(
                f"memory access at {address:#x}, {size} bytes: the memory has {len(self.memory):#x}"
            )

    def read_register(self, offset: int) -> int:
        """The 32-bit register. Raises OSError if the accelerator refuses the address."""
        result, value = self._call(READ, int(offset))
        if result == BUS_ERROR:
            raise OSError(f"register {int(offset):#x}: bus error on read")
        return value

    def write_register(self, offset: int, value: int) -> None:
        if not 0 <= int(value) < 1 << 32:
            raise ValueError(f"register {int(offset):#x}: value {value} is not of 32 bits")
        if self._call(WRITE, int(offset), int(value))[0] == BUS_ERROR:
            raise OSError(f"register {int(offset):#x}: bus error on write")

    def wait(self, max_cycles: int) -> None:
        """Runs until the interrupt is high or STATUS is not RUNNING (looked at every 256 cycles).

        Raises TimeoutError, naming the cycle, after `max_cycles`.
        """
        result, _ = self._call(WAIT, 0, int(max_cycles))
        if result == BUS_ERROR:
            raise OSError("STATUS: bus error on read")
        if result == TIMEOUT:
            raise TimeoutError(
                f"accelerator still running at cycle {self.cycles}, {max_cycles} cycles after "
                "wait began"
            )

    # ---- the world around it -----------------------------------------------------------
    def stall(self, probability) -> None:
        """Random stalls from now on: one probability, or {channel: probability} (others 0)."""
        each = probability if isinstance(probability, dict) else dict.fromkeys(STALLS, probability)
        if set(each) - set(STALLS):
            raise ValueError(
                f"stall channel {sorted(set(each) - set(STALLS))[0]!r}: choose from "
                f"{', '.join(STALLS)}"
            )
        for channel, key in STALLS.items():
            p = each.get(channel, 0)
            if not 0 <= p < 1:
                raise ValueError(f"stall probability {p}: must be in 0..1")
            self._call(SET, key, round(p * 256) if p < 0.998 else 255)

    def fault(self, low: int = 0, high: int = 0, kind: str | None = None) -> None:
        """Bursts that touch [low, high) answer "slverr" or "decerr", or never ("silent"); None
        ends it."""
        if kind is not None and kind not in FAULTS:
            raise ValueError(f"fault {kind!r}: choose from {', '.join(FAULTS)}")
        self._call(SET, FAULT_LOW, low)
        self._call(SET, FAULT_HIGH, high)
        self._call(SET, FAULT_KIND, FAULTS[kind] if kind else 0)

    def traffic(self) -> tuple[int, int]:
        """Bytes that the memory has read and written since the start."""
        return self._call(GET, READ_BYTES)[1], self._call(GET, WRITE_BYTES)[1]

    def reset(self) -> None:
        """Eight cycles of the accelerator's reset; outstanding bursts are forgotten."""
        self._call(RESET)

    def close(self) -> None:
        """Ends the simulator; a second call does nothing. Prints how to look at the waves."""
        process, self._process = self._process, None
        if process is None:
            return
        os.close(self._out)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(self._in)
        self._log.close()
        self._folder.cleanup()
        if self.waves and self.waves.exists():
            print(viewers(self.waves), file=sys.stderr)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def viewers(path: Path) -> str:
    """How to open a wave file."""
    try:
        path = path.relative_to(Path.cwd())
    except ValueError:
        pass
    return f"waves: {path}\n  gtkwave {path}\n  surfer {path}"
