"""A functional interpreter of the command stream: what a program does, without time.

Commands run in program order, which docs/architecture.md makes a legal order; what a program does
wrong in a way the hardware would not notice (or would hang on) raises ProgramError here.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from compiler.lowering.structures.commands import ENGINE
from compiler.numbers import ceil
from compiler.runtime.device import RESET, START
from compiler.runtime.sparse_memories import SparseMemories, StreamError
from golden import pool
from golden.conv import matmul
from golden.fixed import INT16_MAX, INT16_MIN, reciprocal, requantise, wrap
from golden.integer.add import operand as scaled_operand
from golden.integer.requantise import scale
from golden.rlc import RlcError, decode, encode
from hdl.config import LANES, PSUM_LANES, SEMAPHORES, Config
from hdl.isa import (
    COMMAND_BYTES,
    COUNTERS,
    ENTRY_ADDR,
    ID_VALUE,
    VERSION_VALUE,
    Error,
    Mode,
    Opcode,
    Pool,
    Register,
    Rounding,
    Status,
    VersionError,
    unpack,
)

MASK32 = (1 << 32) - 1
ENTRY_MASK = (1 << ENTRY_ADDR) - 1
NOTHING = np.zeros(0, np.int64)  # of a command that captures nothing
BYTE_TYPES = (np.int8, np.uint8)  # of 8-bit strips, by `unsigned`
PASS = (Opcode.IFMAP, Opcode.FILTER, Opcode.PSUM, Opcode.OFMAP)


class ProgramError(RuntimeError):
    """A program that breaks the contract of the command set; names the command's index and
    opcode."""


@dataclass
class _Taken:
    """A command of a pass, until the pass has all: its fields, what it captured when it came, the
    semaphores that it gives, its name."""

    fields: dict[str, int]
    data: np.ndarray
    signal: int
    where: str


class _Stop(Exception):
    """An error the hardware reports in STATUS."""

    def __init__(self, code: Error):
        self.code = code


def _span(*counts_strides: tuple[int, int]) -> np.ndarray:
    """Sums of index * stride over nested loops, one axis each, int64."""
    total = np.zeros((), np.int64)
    for count, stride in counts_strides:
        total = total[..., None] + np.arange(count, dtype=np.int64) * stride
    return total


def _inside(first: int, count: int, size: int) -> np.ndarray:
    """Those of the `count` indices from `first` on that lie in [0, size)."""
    return np.arange(max(first, 0), min(first + count, size))


def _sums(operands: np.ndarray, weights: np.ndarray, channels: int, columns: int) -> np.ndarray:
    """int64 [column, set, channel, filter] of operands [..., group, filter row, entry] and weights
    [set, group, filter row, entry, filter]. Entry k is of channel k mod `channels`; in a depthwise
    pass a set has one group, its own."""
    t, groups, high, window, p = weights.shape
    taps = window // channels
    operands = operands.reshape(columns, -1, high, taps, channels)
    weights = weights.reshape(t, groups, high, taps, channels, p)
    out = np.empty((columns, t, channels, p), np.int64)
    depthwise = operands.shape[1] != groups
    alike = 1 if depthwise else t  # sets that meet the same operands
    for g in range(0, t, alike):
        sets = slice(g, g + alike)
        own = operands[:, sets] if depthwise else operands
        for c in range(channels):
            matrix = weights[sets, ..., c, :].reshape(alike, -1, p)
            matrix = matrix.transpose(1, 0, 2).reshape(-1, alike * p)
            sums = matmul(own[..., c].reshape(columns, -1), matrix)
            out[:, sets, c] = sums.reshape(columns, alike, p)
    return out


class Interpreter:
    """A Device without time: a byte memory, the global buffer, and passes computed whole.

    memory_size: bytes of DRAM at address 0; a bus access beyond it gets an error response. A
    program runs inside the write of CONTROL and is over when that returns. Of the counters it keeps
    macs, macs_gated, pe_busy, filter_words, psum_words, ofmap_words, dram_read_bytes,
    dram_write_bytes and command_bytes. Raises ProgramError (see the module) from that write.
    """

    def __init__(self, config: Config, memory_size: int):
        self.config = config
        self.sparse = SparseMemories(config)
        self.memory = np.zeros(-(-memory_size // 8) * 8, np.uint8)
        self.registers = {int(r): 0 for r in Register}
        self.registers.update(
            {
                Register.ID: ID_VALUE,
                Register.VERSION: VERSION_VALUE,
                Register.PES: config.pes,
                Register.GLB_WORDS: config.glb_words,
            }
        )
        self.glb = np.zeros(config.glb_words * LANES, np.int16)
        self._reset()

    # ---- Device --------------------------------------------------------------------------
    def _bounds(self, address: int, size: int) -> None:
        if address < 0 or size < 0 or address + size > len(self.memory):
            raise ValueError(
                f"{size} bytes at {address:#x}: outside the memory of {len(self.memory)} bytes"
            )

    def read(self, address: int, size: int) -> bytes:
        self._bounds(address, size)
        return self.memory[address : address + size].tobytes()

    def write(self, address: int, data: bytes) -> None:
        self._bounds(address, len(data))
        self.memory[address : address + len(data)] = np.frombuffer(data, np.uint8)

    def read_register(self, offset: int) -> int:
        index = (offset - Register.COUNTERS) // 4
        if 0 <= index < 2 * len(COUNTERS):
            return self.counters[COUNTERS[index // 2]] >> 32 * (index % 2) & MASK32
        return self.registers.get(offset, 0)

    def write_register(self, offset: int, value: int) -> None:
        if offset == Register.CONTROL:
            if value & RESET:
                self._reset()
            if value & START:
                self._run()
        elif offset == Register.INTERRUPT:
            pending = self.registers[offset] & 2 & ~value
            self.registers[offset] = pending | value & 1
        elif Register.PROGRAM <= offset <= Register.WATCHDOG:
            self.registers[offset] = value & MASK32

    def wait(self, timeout: float) -> None:
        """Nothing to wait for."""

    # ---- the program ---------------------------------------------------------------------
    def _reset(self) -> None:
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.semaphores = [0] * SEMAPHORES
        self.consumers: list[str | None] = [None] * SEMAPHORES  # the engine that takes each
        self.queues: dict[Opcode, deque[_Taken]] = {opcode: deque() for opcode in PASS}
        self.sums: np.ndarray | None = None  # psums [lap, column, p] of the pass under way
        self.chain: dict[str, int] = {}  # fields of the last CONFIG
        self.scaling: _Taken | None = None  # the last SCALE
        self.shape: dict[str, int] = {}
        self.ring_read = self.ring_write = self.ring_level = 0
        self.registers[Register.STATUS] = self.registers[Register.ERROR_INDEX] = 0

    def _run(self) -> None:
        self._reset()
        status, code = Status.DONE, Error.NONE
        self.registers[Register.STATUS] = Status.RUNNING
        address = self.registers[Register.PROGRAM]
        for index in range(self.registers[Register.COUNT]):
            self.where = f"command {index}"
            try:
                self._step(address + index * COMMAND_BYTES, index)
            except _Stop as stop:
                status, code = Status.ERROR, stop.code
                self.registers[Register.ERROR_INDEX] = index
                break
        if status is Status.DONE:
            self.where = "end of program"
            self._need(self.sums is None, "OFMAPs of a pass are missing")
            for opcode, queue in self.queues.items():
                self._need(not queue, f"{opcode.name} without the rest of its pass")
        self.registers[Register.STATUS] = status | code << 8
        self.registers[Register.INTERRUPT] |= 2

    def _need(self, ok, why: str) -> None:
        if not ok:
            raise ProgramError(f"{self.where}: {why}")

    def _step(self, address: int, index: int) -> None:
        self._reads(np.array(address), COMMAND_BYTES)
        self.counters["command_bytes"] += COMMAND_BYTES
        try:
            opcode, wait, signal, v = unpack(
                self.memory[address : address + COMMAND_BYTES].tobytes()
            )
        except VersionError:
            raise _Stop(Error.VERSION) from None
        except ValueError:
            raise _Stop(Error.ILLEGAL_COMMAND) from None
        if (wait | signal) >> SEMAPHORES:
            raise _Stop(Error.ILLEGAL_COMMAND)
        opcode = Opcode(opcode)
        self.where = f"command {index} ({opcode.name})"
        engine = ENGINE[opcode]
        for bit in range(SEMAPHORES):
            if wait >> bit & 1:
                self._need(
                    self.semaphores[bit] > 0,
                    f"waits for semaphore {bit}, which nothing before it gives",
                )
                self._need(
                    self.consumers[bit] in (None, engine),
                    f"semaphore {bit} is also taken by {self.consumers[bit]}",
                )
                self.consumers[bit] = engine
                self.semaphores[bit] -= 1
        if opcode in PASS:
            capture = getattr(self, "_" + opcode.name.lower(), None)
            captured = capture(v) if capture else NOTHING
            queue = self.queues[opcode]
            if opcode is Opcode.IFMAP and not v["header"]:
                open_pass = queue and len(queue[-1].data) < queue[-1].fields["laps"]
                self._need(open_pass, "no pass to go on with")
                queue[-1].data = np.concatenate([queue[-1].data, captured])
            else:
                queue.append(_Taken(v, captured, signal, self.where))
            if opcode is not Opcode.OFMAP:
                self._give(signal)
            self._passes()
        elif opcode is Opcode.SCALE:
            self.queues[Opcode.OFMAP].append(_Taken(v, self._scale(v), signal, self.where))
            self._passes()
        else:
            getattr(self, "_" + opcode.name.lower())(v)
            self._give(signal)

    def _give(self, signal: int) -> None:
        for bit in range(SEMAPHORES):
            self.semaphores[bit] += signal >> bit & 1

    # ---- the sparse engine ---------------------------------------------------------------
    def _sparse_fill(self, v: dict[str, int]) -> None:
        self._sparse()
        self.sparse.fill(v, self.glb)

    def _sparse_run(self, v: dict[str, int]) -> None:
        self._sparse()
        try:
            columns, macs, padding = self.sparse.run(v)
        except StreamError:
            raise _Stop(Error.SPARSE_STREAM) from None
        self._count(columns, macs, padding)

    def _sparse_stream(self, v: dict[str, int]) -> None:
        self._sparse()
        self._words(v["word"], v["count"] * self.config.sparse_pes // LANES)

        def read(address: int, size: int) -> bytes:
            self._reads(np.array(address), size)
            return self.memory[address : address + size].tobytes()

        try:
            *counts, size = self.sparse.stream(v, self.glb, read)
        except StreamError:
            raise _Stop(Error.SPARSE_STREAM) from None
        self._count(*counts)
        self.counters["sparse_bytes"] += size
        self.counters["dram_read_bytes"] += size

    def _count(self, columns: int, macs: int, padding: int) -> None:
        for name, n in (("columns", columns), ("macs", macs), ("padding", padding)):
            self.counters[f"sparse_{name}"] += n

    def _sparse_output(self, v: dict[str, int]) -> None:
        self._sparse()
        self.sparse.output(v)

    def _sparse_dump(self, v: dict[str, int]) -> None:
        self._sparse()
        data = self.sparse.dump(v)
        self.glb[self._words(v["word"], len(data) // LANES)] = data

    def _sparse(self) -> None:
        if not self.config.sparse_pes:
            raise _Stop(Error.ILLEGAL_COMMAND)

    # ---- memory and global buffer --------------------------------------------------------
    def _window(
        self, start: np.ndarray, size: int, base: int, limit: int, window: Error, response: Error
    ) -> None:
        if start.min() < base or int(start.max()) + size > limit:
            raise _Stop(window)
        if int(start.max()) + size > len(self.memory):
            raise _Stop(response)

    def _reads(self, start: np.ndarray, size: int) -> None:
        self._window(
            start,
            size,
            self.registers[Register.READ_BASE],
            self.registers[Register.READ_LIMIT],
            Error.READ_WINDOW,
            Error.READ_RESPONSE,
        )

    def _writes(self, start: np.ndarray, size: int) -> None:
        self._window(
            start,
            size,
            self.registers[Register.WRITE_BASE],
            self.registers[Register.WRITE_LIMIT],
            Error.WRITE_WINDOW,
            Error.WRITE_RESPONSE,
        )

    def _positive(self, v: dict[str, int], *names: str) -> None:
        for name in names:
            self._need(v[name] > 0, f"{name} is 0")

    def _entries(self, address: np.ndarray) -> np.ndarray:
        """Entry addresses, reduced to their field and checked against the global buffer."""
        address = address & ENTRY_MASK
        self._need(
            address.max(initial=0) < len(self.glb),
            f"entry {address.max(initial=0)} is outside the global buffer",
        )
        return address

    def _words(self, first: int, count: int) -> slice:
        """Entries of consecutive words."""
        self._need(
            first + count <= self.config.glb_words,
            f"word {first + count - 1} is outside the global buffer",
        )
        return slice(first * LANES, (first + count) * LANES)

    def _load(self, v: dict[str, int]) -> None:
        self._positive(v, "length", "count_a", "count_b", "count_c")
        self._need(
            all(v[k] % 8 == 0 for k in ("dram", "stride_a", "stride_b", "stride_c")),
            "DRAM address not 8-byte aligned",
        )
        start = (
            v["dram"] + _span(*((v["count_" + k], v["stride_" + k]) for k in "abc")).ravel()
            & MASK32
        )
        if v["rlc"]:
            self._need(not v["narrow"], "strips both narrow and coded")
            self._load_coded(v, start)
            return
        self._reads(start, v["length"] * 8)
        source = start[:, None] // 8 + np.arange(v["length"])
        words = self.memory.view(np.int64)[source].ravel()
        if v["narrow"]:
            self._need(v["word"] % 2 == 0, f"word {v['word']} is odd")
            entries = words.view(BYTE_TYPES[v["unsigned"]]).astype(np.int16) - np.int16(v["zero"])
        else:
            entries = words.view(np.int16)
        self.glb[self._words(v["word"], len(entries) // LANES)] = entries
        self.counters["dram_read_bytes"] += source.size * 8

    def _load_coded(self, v: dict[str, int], start: np.ndarray) -> None:
        """Strips by their lengths; the words of a table that hold a row's lengths are read once."""
        self._need(all(v[k] % 2 == 0 for k in ("table", "table_b")), "odd address of lengths")
        row = (
            v["table"] + _span((v["count_a"], v["stride_a"]), (v["count_b"], v["table_b"])).ravel()
            & MASK32
        )
        words = (row % 8 // 2 + v["count_c"] + 3) // 4
        for first, count in zip((row // 8 * 8).tolist(), words.tolist()):
            self._reads(np.array(first), 8 * count)
        lengths = self.memory.view(np.uint16)[
            (row[:, None] // 2 + np.arange(v["count_c"])).ravel()
        ].astype(np.int64)
        if lengths.max() > v["slot"]:
            raise _Stop(Error.RLC_STREAM)
        for length in np.unique(lengths):
            self._reads(start[lengths == length], 8 * int(length))
        at = start[:, None] // 8 + np.arange(lengths.max())
        coded = self.memory.view(np.uint64)[np.minimum(at, len(self.memory) // 8 - 1)]
        try:
            strips = decode(coded, lengths, v["length"] * LANES)
        except RlcError:
            raise _Stop(Error.RLC_STREAM) from None
        self.glb[self._words(v["word"], strips.size // LANES)] = strips.ravel()
        self.counters["dram_read_bytes"] += 8 * int(lengths.sum() + words.sum())

    # ---- the array -----------------------------------------------------------------------
    def _config(self, v: dict[str, int]) -> None:
        self._positive(v, "height", "groups", "sets", "rows", "stride")
        self._need(
            self.sums is None and not any(self.queues.values()),
            "the array cannot drain: a pass is not complete",
        )
        self._need(self.ring_level == 0, "stored psums were not read back")
        height, columns = v["height"] * v["groups"], v["sets"] * v["rows"]
        self._need(
            columns <= self.config.logical_columns(height),
            f"{columns} logical columns of {height} PEs",
        )
        self._need(
            v["mode"] in (Mode.DENSE, Mode.GATE) + (Mode.SKIP,) * self.config.skip,
            f"mode {v['mode']}",
        )
        self._need(v["ring"] % 2 == 0 and v["ring_size"] % 2 == 0, "ring not even")
        self._words(v["ring"], v["ring_size"])
        self.chain = v
        self.ring_read = self.ring_write = 0

    def _ifmap(self, v: dict[str, int]) -> np.ndarray:
        """Entries int16 [lap, row, group, sequence] as the PEs receive them."""
        self._positive(
            v,
            "images",
            "bands",
            "rows",
            "groups",
            "outer",
            "inner",
            "length",
            "p",
            "window",
            "step",
            "positions",
            "laps",
        )
        x = (
            v["start"]
            + _span(
                (v["outer"], v["outer_stride"]), (v["inner"], v["inner_stride"]), (v["length"], 1)
            ).ravel()
        )
        x = wrap(x, ENTRY_ADDR)
        row = v["row_first"] + _span((v["bands"], v["band_rows"]), (v["rows"], 1))
        strip = v["base"] + _span(
            (v["images"], v["image_stride"]),
            (v["bands"], v["band_stride"]),
            (v["rows"], v["row_stride"]),
            (v["groups"], v["group_stride"]),
        )
        strip = strip.reshape(-1, v["rows"], v["groups"])
        inside = (x >= 0) & (x < v["strip"])
        row = np.tile(row, (v["images"], 1))
        valid = ((row >= 0) & (row < v["rows_valid"]))[:, :, None, None] & inside
        address = (strip[..., None] + x) & ENTRY_MASK
        # Groups past the last channel carry zero weights and may point anywhere; the first has
        # channels.
        self._entries(np.where(valid, address, 0)[:, :, 0])
        return np.where(valid, self.glb[address % len(self.glb)], np.int16(0))

    def _filter(self, v: dict[str, int]) -> np.ndarray:
        """Weights int16 [tag, entry]."""
        self._positive(v, "tags", "words")
        self._need(1 <= v["tail"] <= LANES, f"tail {v['tail']}")
        region = self.glb[self._words(v["word"], v["words"] * v["tags"])].reshape(
            v["words"], v["tags"], LANES
        )
        return (
            region.transpose(1, 0, 2)
            .reshape(v["tags"], -1)[:, : (v["words"] - 1) * LANES + v["tail"]]
            .copy()
        )

    def _psum(self, v: dict[str, int]) -> np.ndarray:
        """Biases int64 [set, p]; none if the psums come from the ring, when the pass runs."""
        self._positive(v, "positions", "rows", "sets", "p")
        if v["from_ring"]:
            return NOTHING
        if v["zero"]:
            return np.zeros((v["sets"], v["p"]), np.int64)
        self._need(v["bias"] % 2 == 0, "bias not even")
        words = -(-v["p"] // PSUM_LANES)
        bias = self.glb[self._words(v["bias"], 2 * words * v["sets"])].view(np.int32)
        return bias.reshape(v["sets"], -1)[:, : v["p"]].astype(np.int64)

    def _ring(self, level: int, slots: int) -> np.ndarray:
        """32-bit slot indices of the ring's next words, counted in slots from `level`."""
        return self.chain["ring"] * 2 + (level + np.arange(slots)) % (self.chain["ring_size"] * 2)

    def _pop(self, columns: int, p: int) -> np.ndarray:
        """Psums [columns, p] from the ring."""
        slots = columns * -(-p // PSUM_LANES) * PSUM_LANES
        self._need(
            slots <= self.ring_level, f"reads {slots} psum slots, the ring holds {self.ring_level}"
        )
        out = self.glb.view(np.int32)[self._ring(self.ring_read, slots)].astype(np.int64)
        self.ring_read, self.ring_level = self.ring_read + slots, self.ring_level - slots
        return out.reshape(columns, -1)[:, :p]

    def _push(self, psums: np.ndarray) -> None:
        columns, p = psums.shape
        words = np.zeros((columns, -(-p // PSUM_LANES) * PSUM_LANES), np.int32)
        words[:, :p] = psums
        self._need(
            self.ring_level + words.size <= self.chain["ring_size"] * 2, "the psum ring overflows"
        )
        self.glb.view(np.int32)[self._ring(self.ring_write, words.size)] = words.ravel()
        self.ring_write, self.ring_level = (
            self.ring_write + words.size,
            self.ring_level + words.size,
        )

    def _passes(self) -> None:
        """Goes on with passes as far as the commands so far allow."""
        while True:
            self._scales()
            if self.sums is None:
                ifmaps = self.queues[Opcode.IFMAP]
                if not (
                    ifmaps
                    and len(ifmaps[0].data) >= ifmaps[0].fields["laps"]
                    and self.queues[Opcode.FILTER]
                    and self.queues[Opcode.PSUM]
                ):
                    return
                self.sums = self._pass(*(self.queues[o].popleft() for o in PASS[:3]))
            if not self.queues[Opcode.OFMAP]:
                return
            self._collect(self.sums, self.queues[Opcode.OFMAP].popleft())

    def _pass(self, ifmap: _Taken, filters: _Taken, psum: _Taken) -> np.ndarray:
        """The psums [lap, column, channels * p] of a pass from its commands."""
        i, w, s = ifmap.fields, filters.fields, psum.fields
        entries, weights, bias = ifmap.data, filters.data, psum.data
        chain, simd = self.chain, self.config.simd
        p, window, step, positions = (i[name] for name in ("p", "window", "step", "positions"))
        channels = i["channels"] + 1
        self._need(chain, "a pass before any CONFIG")
        high, r, t, e, stride = (chain[k] for k in ("height", "groups", "sets", "rows", "stride"))
        spread = t if chain["depthwise"] else r
        each, psums = ceil(p, simd) * simd, p * channels  # filters of an entry, padding included
        for what, got, expected in (
            ("FILTER.tags", w["tags"], high * r * t),
            ("filter entries of a PE", weights.shape[1], each * window),
            ("IFMAP.groups", i["groups"], spread),
            ("window", window, ceil(window, channels) * channels),
            ("IFMAP.rows", i["rows"], (e - 1) * stride + high),
            ("laps of the IFMAPs", len(entries), i["laps"]),
            ("ifmap entries of a lap", entries.shape[3], (positions - 1) * step + window),
            ("PSUM.positions", s["positions"], i["laps"] * positions),
            ("PSUM.rows", s["rows"], e),
            ("PSUM.sets", s["sets"], t),
            ("PSUM.p", s["p"], psums),
        ):
            self._need(got == expected, f"{what} is {got}, the pass has {expected}")
        for what, got, limit in (
            ("p * channels", each * channels, self.config.psum_spad),
            ("p * window", each * window, self.config.filter_half),
            ("window", window, self.config.ifmap_spad),
        ):
            self._need(got <= limit, f"{what} is {got}, a PE holds {limit}")
        self._need(
            chain["mode"] != Mode.SKIP or channels == 1,
            f"{channels} channels, a PE that leaves zeros out has 1",
        )
        # lap, row, group, position, entry
        view = sliding_window_view(entries, window, axis=3)[:, :, :, ::step]
        rows = stride * np.arange(e)[:, None] + np.arange(high)
        # lap, position, ofmap row, group, filter row, entry
        operands = view[:, rows].transpose(0, 4, 1, 3, 2, 5)
        weights = weights.reshape(t, r, high, window, each)[..., :p]
        columns = i["laps"] * positions * e
        sums = _sums(operands, weights, channels, columns).reshape(columns * t, psums)
        sums += self._pop(columns * t, psums) if s["from_ring"] else np.tile(bias, (columns, 1))
        self.positions = positions
        words = columns * t * ceil(psums, PSUM_LANES)
        met = each * (t * r // spread)  # filters that an entry meets
        macs, gated = operands.size * met, 0
        if chain["mode"] == Mode.GATE:
            gated = int(np.count_nonzero(operands == 0)) * met
        elif chain["mode"] == Mode.SKIP:  # a window without any hands over zeros all the same
            used = np.count_nonzero(operands.reshape(-1, window), axis=1)
            gated = int(np.count_nonzero(used == 0)) * met
            macs = int(used.sum()) * met + gated
        for name, n in (
            ("macs", macs),
            ("macs_gated", gated),
            ("pe_busy", macs // self.config.simd),
            ("psum_words", words),
            ("ofmap_words", words),
            ("filter_words", w["tags"] * w["words"]),
        ):
            self.counters[name] += n
        return wrap(sums, self.config.psum_bits).reshape(i["laps"], -1, psums)

    def _collect(self, sums: np.ndarray, taken: _Taken) -> None:
        """An OFMAP: the next laps of the pass under way, of whose psums `sums` are left."""
        self.where, o = taken.where, taken.fields
        chain, laps = self.chain, o["images"]
        for what, got, expected in (
            ("positions", o["positions"], self.positions),
            ("rows", o["rows"], chain["rows"]),
            ("sets", o["sets"], chain["sets"]),
            ("p", o["p"], sums.shape[2]),
        ):
            self._need(got == expected, f"OFMAP.{what} is {got}, the pass has {expected}")
        self._need(laps <= len(sums), f"OFMAP.images is {laps}, the pass has {len(sums)} left")
        self.sums = sums[laps:] if laps < len(sums) else None
        sums = sums[:laps].reshape(-1, o["p"])
        if o["to_ring"]:
            self._push(sums)
        else:
            scaled = requantise(sums, o["shift"], bool(o["relu"])) if not o["scaled"] else None
            self._tile(o, self._by_channel(o, sums) if scaled is None else scaled)
        self._give(taken.signal)

    # ---- scales of OFMAP -----------------------------------------------------------------
    def _scale(self, v: dict[str, int]) -> np.ndarray:
        """ScaleWords, int64 [channel, (bias, multiplier, shift)]."""
        self._positive(v, "channels")
        self._need(v["word"] % 2 == 0, "word not even")
        self._need(
            v["channels"] <= self.config.scale_channels,
            f"{v['channels']} channels, the table holds {self.config.scale_channels}",
        )
        raw = self.glb[self._words(v["word"], 2 * v["channels"])].view(np.uint64).reshape(-1, 2)
        low, high = (raw[:, n].astype(object) for n in (0, 1))
        whole = low | high << 64
        bias, multiplier = wrap((whole & MASK32).astype(np.int64), 32), whole >> 32 & (1 << 31) - 1
        shift = wrap((whole >> 63 & 63).astype(np.int64), 6)
        return np.stack([bias, multiplier.astype(np.int64), shift], 1)

    def _scales(self) -> None:
        """SCALEs whose turn it is among OFMAPs."""
        queue = self.queues[Opcode.OFMAP]
        while queue and "channels" in queue[0].fields:
            self.scaling = queue.popleft()
            self._give(self.scaling.signal)

    def _by_channel(self, o: dict[str, int], sums: np.ndarray) -> np.ndarray:
        """Sums [image x position x row x set, p] as the last SCALE says."""
        self._need(self.scaling is not None, "no SCALE before it")
        assert self.scaling is not None
        s, padded = self.scaling.fields, -(-o["p"] // PSUM_LANES) * PSUM_LANES
        self._need(
            o["sets"] * padded <= s["channels"],
            f"{o['sets']} x {padded} channels, the SCALE before it has {s['channels']}",
        )
        table = self.scaling.data[: o["sets"] * padded].reshape(o["sets"], padded, 3)[:, : o["p"]]
        bias, multiplier, shift = (table[..., n] for n in range(3))
        values = sums.reshape(-1, o["sets"], o["p"]) + bias
        rounding = Rounding(s["rounding"]).name.lower()
        out = scale(values, multiplier, shift, rounding).clip(s["lo"], s["hi"])
        return out.reshape(sums.shape).astype(np.int16)

    def _tile(self, o: dict[str, int], values: np.ndarray) -> None:
        """Writes a pass's ofmap, values [image x position x row x set, p], into its tile."""
        self._positive(o, "ring")
        self._need(
            o["row_start"] == o["row_first"] * o["row_stride"],
            "row_start is not row_first * row_stride",
        )
        kept = min(o["rows"], o["rows_valid"])
        row = (o["row_first"] + np.arange(kept)) % o["ring"] * o["row_stride"]
        address = (
            o["base"]
            + _span((o["images"], o["image_stride"]), (o["positions"], o["position_stride"]))[
                ..., None, None
            ]
            + row[:, None]
            + _span((o["sets"] * o["p"], 1))
        )
        values = values.reshape(o["images"], o["positions"], o["rows"], -1)
        self.glb[self._entries(address)] = values[:, :, :kept]

    # ---- the store engine ----------------------------------------------------------------
    def _shape(self, v: dict[str, int]) -> None:
        self._need(v["rounding"] <= max(Rounding), f"rounding {v['rounding']}")
        self.shape = v

    def _operand(
        self,
        v: dict[str, int],
        images: int,
        row: np.ndarray,
        column: np.ndarray,
        channel: np.ndarray,
    ) -> np.ndarray:
        """int16 [image, row, column, channel] of a tile."""
        self._positive(v, "block")
        lane = channel // v["block"] * v["block_stride"] + channel % v["block"]
        address = (
            v["base"]
            + _span((images, v["image_stride"]))[:, None, None, None]
            + (row * v["row_stride"])[:, None, None]
            + (column * v["column_stride"])[:, None]
            + lane
        )
        return self.glb[self._entries(address)]

    def _store(self, v: dict[str, int]) -> None:
        self._positive(v, "ring", "images", "rows", "blocks", "columns", "out_block")
        for k in ("block", "out_block"):
            self._need(
                1 <= v["chunk"] <= LANES and v[k] % v["chunk"] == 0,
                f"chunk {v['chunk']} does not divide {k} {v[k]}",
            )
        self._need(not (v["narrow"] and v["rlc"]), "strips both narrow and coded")
        self._need(
            v["narrow"]
            or all(
                v[k] % 2 == 0
                for k in ("dram", "out_image_stride", "out_row_stride", "out_block_stride")
            ),
            "odd DRAM address",
        )
        self._need(self.shape or not (v["pool"] or v["add"] or v["scaled"]), "no SHAPE before it")
        self._need(not (v["pool"] and v["add"]), "pool and add")
        b = self.shape
        channel = np.arange(v["blocks"] * v["out_block"])
        if v["pool"]:
            row = _inside(
                b["y_first"], (v["rows"] - 1) * b["stride_y"] + b["kernel_y"], b["height"]
            )
            column = _inside(
                b["x_first"], (v["columns"] - 1) * b["stride_x"] + b["kernel_x"], b["width"]
            )
        else:
            row, column = np.arange(v["rows"]), np.arange(v["columns"])
        x = self._operand(v, v["images"], (v["row_first"] + row) % v["ring"], column, channel)
        if v["add"]:
            other = self._operand(b, v["images"], row, column, channel)
            sums = scaled_operand(x, b["multiplier_a"], b["shift_a"])
            x = self._scaled(sums + scaled_operand(other, b["multiplier_b"], b["shift_b"]))
        elif v["pool"]:
            x = self._pooled(v, x, row, column)
        elif v["scaled"]:
            x = self._scaled(x)
        lo, hi = (b["lo"], b["hi"]) if v["scaled"] else (0 if v["relu"] else INT16_MIN, INT16_MAX)
        x = np.clip(x, lo, hi).astype(np.int16)
        data = x.reshape(
            v["images"], v["rows"], v["columns"], v["blocks"], v["out_block"]
        ).transpose(0, 1, 3, 2, 4)
        start = (
            v["dram"]
            + _span(
                (v["images"], v["out_image_stride"]),
                (v["rows"], v["out_row_stride"]),
                (v["blocks"], v["out_block_stride"]),
            )
            & MASK32
        )
        entries = v["columns"] * v["out_block"]
        if v["rlc"]:
            self._store_coded(v, start.ravel(), data.reshape(-1, entries))
            return
        size = 1 if v["narrow"] else 2
        self._writes(start, entries * size)
        data = data.reshape(*start.shape, entries)
        memory = self.memory.view(np.int16)
        if v["narrow"]:
            kind = np.iinfo(BYTE_TYPES[v["unsigned"]])
            data = np.clip(data.astype(np.int64) + v["zero"], kind.min, kind.max)
            memory = self.memory.view(kind.dtype)
        memory[start[..., None] // size + np.arange(entries)] = data
        self.counters["dram_write_bytes"] += data.size * size

    def _store_coded(self, v: dict[str, int], start: np.ndarray, strips: np.ndarray) -> None:
        """Strips and their lengths."""
        self._need(
            all(
                v[k] % 8 == 0
                for k in ("dram", "out_image_stride", "out_row_stride", "out_block_stride")
            ),
            "a coded strip not 8-byte aligned",
        )
        self._need(all(v[k] % 2 == 0 for k in ("table", "table_row")), "odd address of lengths")
        self._need(strips.shape[1] < 1 << 17, "a coded strip of 2**17 entries or more")
        words, lengths = encode(strips)
        table = (
            v["table"]
            + _span(
                (v["images"], v["out_image_stride"]), (v["rows"], v["table_row"]), (v["blocks"], 2)
            ).ravel()
            & MASK32
        )
        for length in np.unique(lengths[lengths > 0]):
            self._writes(start[lengths == length], 8 * int(length))
        self._writes(table, 2)
        used = np.arange(words.shape[1]) < lengths[:, None]
        self.memory.view(np.uint64)[(start[:, None] // 8 + np.arange(words.shape[1]))[used]] = (
            words[used]
        )
        self.memory.view(np.uint16)[table // 2] = lengths
        self.counters["dram_write_bytes"] += 8 * int(lengths.sum(dtype=np.int64)) + 2 * len(table)

    def _scaled(self, sums: np.ndarray) -> np.ndarray:
        """int64 of sums, by SHAPE's scaling."""
        b = self.shape
        rounding = Rounding(b["rounding"]).name.lower()
        return scale(sums, b["multiplier"], b["shift"], rounding)

    def _pooled(
        self, v: dict[str, int], x: np.ndarray, row: np.ndarray, column: np.ndarray
    ) -> np.ndarray:
        """Pools x [image, row, column, channel], given where its rows and columns lie in the
        tile: scaled, but not bounded."""
        b = self.shape
        self._positive(b, "kernel_y", "kernel_x", "stride_y", "stride_x")
        kernel, stride = (b["kernel_y"], b["kernel_x"]), (b["stride_y"], b["stride_x"])
        size = (
            (v["rows"] - 1) * stride[0] + kernel[0],
            (v["columns"] - 1) * stride[1] + kernel[1],
        )
        canvas = np.full(
            (v["images"], x.shape[3], *size), -32768 if v["pool"] == Pool.MAX else 0, np.int16
        )
        if x.size:
            top, left = int(row[0]) - b["y_first"], int(column[0]) - b["x_first"]
            canvas[:, :, top : top + len(row), left : left + len(column)] = x.transpose(0, 3, 1, 2)
        if v["pool"] == Pool.MAX:
            most = pool.max_pool(canvas, kernel, stride).transpose(0, 2, 3, 1)
            return self._scaled(most) if v["scaled"] else most
        self._need(v["pool"] == Pool.AVERAGE, f"pool {v['pool']}")
        total = pool.window_sums(canvas, kernel, stride)
        if b["fixed"]:
            out = self._scaled(total)
        else:
            counted = (
                b["count_top"] - b["y_first"],
                b["count_left"] - b["x_first"],
                b["count_bottom"] - b["y_first"],
                b["count_right"] - b["x_first"],
            )
            counts = pool.divisors(size, kernel, stride, (0, 0, 0, 0), counted)
            multiplier, shift = np.vectorize(reciprocal, otypes=[np.int64] * 2)(counts)
            out = scale(total, multiplier, shift, Rounding(b["rounding"]).name.lower())
        return out.transpose(0, 2, 3, 1)
