"""The one configuration of an Eyrie accelerator: raw fields, derived values, presets.

`Config` is frozen; everything else (widths, capacities, storage) is a property of it.
Nothing in this module imports Amaranth, so anyone may import it.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from hdl.timing import (
    LENGTH_WORDS,
    LOADS,
    OUTSTANDING_READS,
    POOLED,
    READ_BURSTS,
    STORE_WORDS,
    STORES,
    STRIPS_AHEAD,
    TAPS,
    WRITE_BURSTS,
)

ENTRY_BITS = 16  # activations and weights
LANES = 4  # entries in a 64-bit word of the ifmap and filter networks
WORD_BITS = ENTRY_BITS * LANES
PSUM_LANES = 4  # psums in a word of the psum networks
PSUM_SLOT_BITS = 32  # a psum in the global buffer, whatever psum_bits is

SEMAPHORES = 18  # dependency tokens; one bit each in a command's masks
# Bits of a waiting command, its semaphores and its index.
QUEUED_BITS = {
    "load": 352,
    "ifmap": 434,
    "filter": 101,
    "psum": 130,
    "ofmap": 268,
    "store": 480,
}
SPARSE_QUEUED_BITS = {"fill": 132, "sparse": 147}
CHIP_STORAGE_BYTES = 185_856  # the Eyeriss chip's 181.5 KB (JSSC 2017, table V)


def bits_for(n: int) -> int:
    """Bits that hold the values 0..n, at least one."""
    return max(1, int(n).bit_length())


def record_head(pes: int, bits: int) -> tuple[int, int, int]:
    """A streamed column's record begins with a count of `bits` bits for every PE: (counts in a
    64-bit word, word of the last count, bytes of counts)."""
    each = 64 // bits
    final = (pes - 1) // each
    return each, final, 8 * final + -(-(pes - final * each) * bits // 8)


class ConfigError(ValueError):
    """A configuration that cannot be built; the message names the field and its value."""


@dataclass(frozen=True)
class Config:
    """Raw parameters of one accelerator.

    rows, columns        physical array, Eyeriss's 12 x 14 (a chain of rows*columns PEs)
    segment              PEs of the chain that a logical column must not leave, as on the chip,
                         where it is confined to a physical column of 12; 0: none, it may lie
                         anywhere
    filter_spad          filter words in a PE, both halves (the next pass loads into one)
    ifmap_spad           ifmap words in a PE (a power of two)
    psum_spad            psums accumulating in a PE
    psum_drain           psums of finished windows in a PE; 0: as many as psum_spad
    psum_bits            width of a partial sum; sums wrap modulo 2**psum_bits
    simd                 MACs that a PE does in a cycle: 1, or 2, of an entry and two filters
                         (Eyeriss v2, JETCAS 2019, IV), with one control, ifmap spad and set of
                         networks for both; needs one input lane and one psum lane
    input_lanes          entries a cycle that the array's ifmap and filter networks carry: 4, or 1,
                         which takes a third of the wires and registers and is enough where memory
                         brings no more than an entry a cycle
    ifmap_fifo           64-bit words of input FIFO in a PE; with one lane 0, entries go straight
                         into the spad
    psum_lanes           psums a cycle that the array's psum networks carry each way: 4, or 1, which
                         takes less than half of the wires and registers and is enough where a psum
                         has `pes` MACs or more
    psum_fifo            words of psum_lanes psums of input FIFO in a PE; with one lane 0, a head
                         adds from its bus
    scale_channels       channels whose scales OFMAP holds, of layers that have some: p*t of a pass,
                         p rounded up to four
    glb_pairs, glb_depth global buffer: pairs of (even, odd) 64-bit banks, words in a bank
    gating               zero activations hold the multiplier still (Eyeriss, JSSC 2017 V-C)
    skip                 PEs can skip zero activations
    queue_depth          commands waiting for an engine; OFMAP and STORE have four times as many,
                         since a last pass brings one for every slot of its ofmaps at once
    counters             performance counters are built
    rlc                  LOAD decodes and STORE encodes run-length coded feature maps
    store_lanes          entries that STORE reads, adds, pools and packs at once: 4, or 1, which
                         takes a third of the LUTs
    address_bits         of an address in memory: programs end below 2**address_bits
    sparse_pes           PEs of the sparse engine, a multiple of 4; 0 leaves the engine out
    sparse_words         64-bit words of compressed weights in a sparse PE
    sparse_pointers      column pointers in a sparse PE, even (two banks)
    sparse_activations   activations in a sparse PE, of each of its two halves
    sparse_rows          accumulators in a sparse PE
    sparse_queue         columns in a sparse PE's activation queue
    sparse_round_lanes   activations of every four sparse PEs that OUTPUT rounds at once: 4, or 1,
                         which takes a quarter of the shifters and four cycles a row
    dram_bytes_per_cycle bandwidth the memory model grants, both directions together
    dram_latency         core cycles from a read address to its first word
    """

    name: str
    rows: int
    columns: int
    filter_spad: int
    ifmap_spad: int
    psum_spad: int
    glb_pairs: int
    glb_depth: int
    psum_bits: int = 32
    simd: int = 1
    input_lanes: int = LANES
    ifmap_fifo: int = 4
    psum_fifo: int = 4
    psum_lanes: int = 4
    gating: bool = True
    skip: bool = False
    counters: bool = True
    rlc: bool = True
    store_lanes: int = LANES
    address_bits: int = 32
    psum_drain: int = 0
    scale_channels: int = 64
    queue_depth: int = 4
    segment: int = 0
    sparse_pes: int = 0
    sparse_words: int = 64
    sparse_pointers: int = 64
    sparse_activations: int = 16
    sparse_rows: int = 16
    sparse_queue: int = 8
    sparse_round_lanes: int = LANES
    dram_bytes_per_cycle: float = 2.4
    dram_latency: int = 40

    def __post_init__(self) -> None:
        def need(ok, field, why):
            if not ok:
                raise ConfigError(
                    f"config {self.name!r}: {field} = {getattr(self, field)!r}: {why}"
                )

        for f in dataclasses.fields(self):
            value, kind = getattr(self, f.name), f.type
            good = {
                "str": isinstance(value, str),
                "bool": isinstance(value, bool),
                "int": isinstance(value, int) and not isinstance(value, bool),
                "float": isinstance(value, (int, float)) and not isinstance(value, bool),
            }[kind]
            need(good, f.name, f"must be of type {kind}")
        need(
            self.name.replace("_", "a").replace("-", "a").isalnum(),
            "name",
            "letters, digits, - and _ only",
        )
        need(1 <= self.rows <= 32, "rows", "must be 1..32")
        need(1 <= self.columns <= 32, "columns", "must be 1..32")
        need(self.pes >= 2, "columns", "the chain needs two PEs or more")
        need(self.pes <= 512, "columns", "the chain holds 512 PEs at most")
        need(
            self.segment == 0 or (self.segment > 0 and self.pes % self.segment == 0),
            "segment",
            f"must be 0 or divide the {self.pes} PEs",
        )
        need(
            self.filter_spad % 2 == 0 and 16 <= self.filter_spad <= 2048,
            "filter_spad",
            "must be even, 16..2048",
        )
        need(
            self.ifmap_spad in (4, 8, 16, 32, 64),
            "ifmap_spad",
            "must be a power of two, 4..64",
        )
        need(
            4 <= self.psum_spad <= 64 and self.psum_spad % 4 == 0,
            "psum_spad",
            "must be a multiple of 4, 4..64",
        )
        need(
            self.psum_spad <= self.filter_half,
            "psum_spad",
            "p filters of one word must fit a filter half",
        )
        need(self.psum_drain == 0 or 2 <= self.psum_drain <= 64, "psum_drain", "must be 0 or 2..64")
        need(
            self.scale_channels % 4 == 0 and 8 <= self.scale_channels <= 512,
            "scale_channels",
            "must be a multiple of 4, 8..512",
        )
        need(self.psum_spad <= self.scale_channels, "scale_channels", "must hold those of one PE")
        need(self.queue_depth in (2, 4, 8, 16), "queue_depth", "must be 2, 4, 8 or 16")
        need(24 <= self.psum_bits <= 32, "psum_bits", "must be 24..32")
        need(self.simd in (1, 2), "simd", "must be 1 or 2")
        need(
            self.simd == 1 or self.input_lanes == self.psum_lanes == 1,
            "simd",
            "must be 1 unless input_lanes and psum_lanes are",
        )
        need(
            self.simd == 1 or (self.filter_spad % 4 == 0 and self.filter_spad <= 1024),
            "filter_spad",
            "must be a multiple of 4, at most 1024, with simd = 2",
        )
        need(self.psum_drain % self.simd == 0, "psum_drain", "must be even with simd = 2")
        need(self.input_lanes in (1, LANES), "input_lanes", f"must be 1 or {LANES}")
        need(
            self.input_lanes == LANES or not self.skip,
            "input_lanes",
            f"must be {LANES} to skip zeros of a word at once",
        )
        need(
            self.ifmap_fifo == 0 if self.input_lanes == 1 else 1 <= self.ifmap_fifo <= 16,
            "ifmap_fifo",
            f"must be 1..16 with {LANES} input_lanes, 0 with one",
        )
        need(self.psum_lanes in (1, PSUM_LANES), "psum_lanes", f"must be 1 or {PSUM_LANES}")
        need(
            self.psum_fifo == 0 if self.psum_lanes == 1 else 1 <= self.psum_fifo <= 16,
            "psum_fifo",
            f"must be 1..16 with {PSUM_LANES} psum_lanes, 0 with one",
        )
        need(1 <= self.glb_pairs <= 64, "glb_pairs", "must be 1..64")
        need(
            self.glb_depth in (64, 128, 256, 512, 1024, 2048, 4096),
            "glb_depth",
            "must be a power of two, 64..4096",
        )
        need(self.glb_words <= 1 << 17, "glb_pairs", "the global buffer holds 2**17 words at most")
        need(self.store_lanes in (1, LANES), "store_lanes", f"must be 1 or {LANES}")
        need(16 <= self.address_bits <= 32, "address_bits", "must be 16..32")
        need(
            self.sparse_pes in (0, 4, 8, 16, 32, 64), "sparse_pes", "must be 0, 4, 8, 16, 32 or 64"
        )
        need(16 <= self.sparse_words <= 1 << 14, "sparse_words", "must be 16..16384")
        need(
            self.sparse_pointers % 2 == 0 and 4 <= self.sparse_pointers <= 1 << 15,
            "sparse_pointers",
            "must be even, 4..32768",
        )
        need(4 <= self.sparse_activations <= 1 << 10, "sparse_activations", "must be 4..1024")
        need(4 <= self.sparse_rows <= 256, "sparse_rows", "must be 4..256")
        need(
            self.sparse_rows <= self.sparse_activations,
            "sparse_rows",
            "must not exceed sparse_activations, which hold a PE's outputs",
        )
        need(
            self.sparse_pes == 0 or self.sparse_pointers >= self.sparse_pes + 2,
            "sparse_pointers",
            "must exceed sparse_pes by 2",
        )
        need(1 <= self.sparse_queue <= 16, "sparse_queue", "must be 1..16")
        need(
            self.sparse_round_lanes in (1, LANES),
            "sparse_round_lanes",
            f"must be 1 or {LANES}",
        )
        need(
            0 < self.dram_bytes_per_cycle <= 16,
            "dram_bytes_per_cycle",
            "must be above 0, at most 16",
        )
        need(1 <= self.dram_latency <= 10_000, "dram_latency", "must be 1..10000")

    # ---- derived -----------------------------------------------------------------------
    @property
    def pes(self) -> int:
        return self.rows * self.columns

    @property
    def multipliers(self) -> int:
        """MACs that the array does in a cycle."""
        return self.pes * self.simd

    @property
    def logical_height(self) -> int:
        """The most PEs of a logical column."""
        return self.segment or self.pes

    def logical_columns(self, height: int) -> int:
        """Logical columns of `height` PEs that the array holds."""
        return self.pes // self.logical_height * (self.logical_height // height)

    @property
    def filter_half(self) -> int:
        """Filter words of one pass: p*q*S is at most this."""
        return self.filter_spad // 2

    @property
    def drain_depth(self) -> int:
        """Psums of finished windows that a PE holds."""
        return self.psum_drain or self.psum_spad

    @property
    def place_bits(self) -> int:
        """Of an entry's place in the stream, if zeros are skipped: half of it is looked ahead at
        most."""
        return bits_for(8 * self.ifmap_spad)

    def engine_queue(self, engine: str) -> int:
        """Commands that wait in front of an engine."""
        return self.queue_depth * (4 if engine in ("ofmap", "store") else 1)

    def in_flight(self, engine: str) -> int:
        """Commands that an engine may hold."""
        return 2 if self.queue_depth == 2 and engine in ("ifmap", "filter", "psum", "ofmap") else 8

    @property
    def fetch_ahead(self) -> int:
        """Commands fetched before they are dispatched: their reads wait behind the bursts of
        LOAD."""
        return 2 * self.queue_depth

    @property
    def ifmap_tag_bits(self) -> int:
        """(row * r + group) over at most ((e-1)*U + R)*r rows and groups, U <= 4."""
        return bits_for(4 * self.pes)

    @property
    def scale_row_bits(self) -> int:
        """Of a row of OFMAP's table: the scales of a word of psums."""
        return bits_for(self.scale_channels // PSUM_LANES - 1)

    @property
    def pe_tag_bits(self) -> int:
        return bits_for(self.pes)

    @property
    def index_bits(self) -> int:
        """Of a command's place in a program: memory holds so many of 64 bytes."""
        return self.address_bits - 6

    @property
    def count_bits(self) -> int:
        """Of a program's length: of its whole register, or those that memory can hold."""
        return 32 if self.address_bits == 32 else self.index_bits + 1

    @property
    def glb_words(self) -> int:
        """64-bit words of the global buffer."""
        return self.glb_pairs * 2 * self.glb_depth

    @property
    def glb_word_bits(self) -> int:
        """Of a word's address in the global buffer. What is modular in a command is computed to
        these."""
        return bits_for(self.glb_words - 1)

    @property
    def glb_entry_bits(self) -> int:
        return self.glb_word_bits + 2

    @property
    def glb_bytes(self) -> int:
        return self.glb_words * 8

    @property
    def sparse_pointer_bits(self) -> int:
        """An entry's index in a sparse PE: eight to a word, and the end."""
        return bits_for(8 * self.sparse_words)

    @property
    def sparse_columns(self) -> int:
        """The highest column that is told from others: of the pointers' or the activations'."""
        return max(self.sparse_pointers, self.sparse_pes * self.sparse_activations - 1)

    @property
    def sparse_column_bits(self) -> int:
        return bits_for(self.sparse_columns)

    @property
    def sparse_length_bits(self) -> int:
        """A PE's entries in a streamed column; one with an entry in every row may have too many."""
        return bits_for(self.sparse_rows - 1)

    def arrays(self) -> dict[str, list[tuple[int, int, int]]]:
        """Memories, register files and FIFOs by component: (how many, words, bits of a word).

        What is instantiated, word for word: tests/hdl/test_storage.py finds the same in the
        components, which the compiler, who asks for every point that it explores, does not import.
        """
        pes, k, sums = self.pes, self.sparse_pes, self.psum_bits
        queued = QUEUED_BITS | (SPARSE_QUEUED_BITS if k else {})
        return {
            "filter spads": [(pes, self.filter_spad // self.simd, self.simd * ENTRY_BITS)],
            "ifmap spads": [
                (pes, self.ifmap_spad, ENTRY_BITS),
                (pes * self.skip, self.ifmap_spad, self.place_bits),
            ],
            "psum spads": [
                (pes * self.simd, self.psum_spad // self.simd, sums),
                (pes, self.drain_depth // self.simd, self.simd * (sums + 1)),
            ],
            "ifmap FIFOs": [(pes, self.ifmap_fifo, WORD_BITS + 4)],
            "psum FIFOs": [(pes, self.psum_fifo, PSUM_LANES * sums + 3)],
            "global buffer": [(2 * self.glb_pairs * LANES, self.glb_depth, ENTRY_BITS)],
            "command queues": [(1, self.engine_queue(e), bits) for e, bits in queued.items()],
            "scales": [(self.psum_lanes, self.scale_channels // self.psum_lanes, 69)],
            "engine FIFOs": [
                (6 if k else 4, 8, 2 * WORD_BITS),  # words of the buffer
                (1, 16, 3 + max(63, 9 + self.ifmap_tag_bits)),  # IFMAP's notes on reads under way
                (1, 16, 13),  # FILTER's
                (1, 16, 5 + self.pe_tag_bits),  # PSUM's
                (1, 8 * self.fetch_ahead, 65),  # commands as they are fetched
                # commands under way: what they signal, and their indices
                *((1, self.in_flight(e), SEMAPHORES + 26) for e in queued if e != "sparse"),
                *(self._sparse_notes() if k else []),
            ],
            "LOAD and STORE": self._memory_fifos(),
            **(self._sparse_arrays() if k else {}),
        }

    def _memory_fifos(self) -> list[tuple[int, int, int]]:
        """Of LOAD, STORE and the read arbiter."""
        coded = [
            (1, LOADS, 18),
            (1, READ_BURSTS, 17),
            (1, LENGTH_WORDS, 65),
            (1, STRIPS_AHEAD, 66),
        ]
        return [
            (1, READ_BURSTS, 3),
            (1, LOADS, 30),
            (1, TAPS[self.store_lanes], 16),
            (1, TAPS[self.store_lanes], self.glb_entry_bits - 2),
            (1, POOLED, self.store_lanes * ENTRY_BITS + 5),
            (1, STORES, 1),
            (1, STORE_WORDS, 72),
            (1, WRITE_BURSTS, 1),
            (1, WRITE_BURSTS, 8),
            *(coded if self.rlc else []),
            *([(1, OUTSTANDING_READS, 1)] if self.sparse_pes else []),
        ]

    def _sparse_notes(self) -> list[tuple[int, int, int]]:
        """Of FILL's reads, and of commands under way in the sparse engine."""
        rows = max(self.sparse_words, self.sparse_pointers // 2, 2 * self.sparse_activations, 16)
        return [
            (1, 16, 4 + bits_for(self.sparse_pes - 1) + bits_for(rows)),
            (1, self.in_flight("sparse"), SEMAPHORES),
            (1, self.in_flight("sparse"), 26),
        ]

    def _sparse_arrays(self) -> dict[str, list[tuple[int, int, int]]]:
        k, place = self.sparse_pes, min(32, self.address_bits + 1) + 8
        return {
            "sparse weights": [(k, self.sparse_words, WORD_BITS)],
            "sparse pointers": [(2 * k, self.sparse_pointers // 2, self.sparse_pointer_bits)],
            "sparse activations": [(k, 2 * self.sparse_activations, ENTRY_BITS)],
            "sparse accumulators": [(k, self.sparse_rows, self.psum_bits), (k, 16, ENTRY_BITS)],
            "sparse queues": [
                (k, 16 if self.sparse_queue < 15 else 32, self.sparse_column_bits + ENTRY_BITS),
                (k, 16, 99),  # words for the decoder
            ],
            "sparse stream": [
                (1, 128, 65),  # words of records
                (1, 64, 28),  # their lengths
                (1, 64, place),
                (1, 16, place),  # of those that may be read
                (1, 16, 19),  # columns that are looked up
            ],
        }

    def storage(self) -> dict[str, int]:
        """On-chip storage in bytes by component: memories, register files and FIFOs of more than
        two words, each whole. Arrays of two words do not count, nor do other registers: of
        pipelines, counters and commands, and at the outputs of memories."""
        return {
            name: -(-sum(n * words * bits for n, words, bits in found if words > 2) // 8)
            for name, found in self.arrays().items()
        }

    @property
    def storage_bytes(self) -> int:
        return sum(self.storage().values())

    def replace(self, **changes: Any) -> Config:
        unknown = set(changes) - {f.name for f in dataclasses.fields(self)}
        if unknown:
            raise ConfigError(f"config {self.name!r}: unknown key {sorted(unknown)[0]!r}")
        return dataclasses.replace(self, **changes)

    def override(self, changes: list[str]) -> Config:
        """With fields changed as "field=value" says. Raises ConfigError."""
        kinds = {
            f.name: {
                "str": str,
                "int": int,
                "float": float,
                "bool": {"true": True, "false": False}.__getitem__,
            }[f.type]
            for f in dataclasses.fields(self)
        }
        values = {}
        for change in changes:
            name, _, text = change.partition("=")
            try:
                values[name] = kinds[name](text) if name in kinds else None
            except (ValueError, KeyError):
                raise ConfigError(f"config {self.name!r}: cannot set {change!r}") from None
        return self.replace(**values)

    def to_dict(self) -> dict:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> Config:
        """All fields, no others. Raises ConfigError naming the first unknown or missing key."""
        names = [f.name for f in dataclasses.fields(cls)]
        for key in values:
            if key not in names:
                raise ConfigError(f"config: unknown key {key!r}")
        for key in names:
            if key not in values:
                raise ConfigError(f"config: missing key {key!r}")
        return cls(**values)

    @classmethod
    def of_result(cls, values: dict) -> Config:
        """That of a result, which may be older than this source: it may lack fields of today's, and
        have some that are gone. Raises ConfigError."""
        names = {f.name for f in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in names})

    @classmethod
    def load(cls, name: str) -> Config:
        """A preset's name, or the path of a JSON file with every field."""
        if name in PRESETS | BOARD_PRESETS:
            return (PRESETS | BOARD_PRESETS)[name]
        if not name.endswith(".json"):
            raise ConfigError(
                f"unknown preset {name!r}: choose from {', '.join(PRESETS | BOARD_PRESETS)}, or "
                "give a .json file"
            )
        try:
            with open(name, encoding="utf-8") as f:
                values = json.load(f)
        except OSError as e:
            raise ConfigError(f"config file {name}: {e.strerror}") from None
        except ValueError as e:
            raise ConfigError(f"config file {name}: not JSON: {e}") from None
        if not isinstance(values, dict):
            raise ConfigError(f"config file {name}: must hold one JSON object")
        return cls.from_dict(values)


PRESETS: dict[str, Config] = {
    c.name: c
    for c in (
        # For tests: every native shape must fold onto six PEs and 8 KB.
        Config(
            "tiny",
            rows=2,
            columns=3,
            filter_spad=64,
            ifmap_spad=8,
            psum_spad=8,
            glb_pairs=4,
            glb_depth=128,
            scale_channels=32,
            ifmap_fifo=2,
            psum_fifo=2,
            skip=True,
            dram_bytes_per_cycle=8.0,
            sparse_pes=4,
            sparse_words=64,
            sparse_pointers=64,
            sparse_activations=16,
            sparse_rows=16,
            sparse_queue=4,
        ),
        # The default of `make run`; sized for an ECP5-85F.
        Config(
            "demo",
            rows=8,
            columns=8,
            filter_spad=512,
            ifmap_spad=32,
            psum_spad=16,
            glb_pairs=8,
            glb_depth=512,
            scale_channels=256,
            sparse_pes=16,
            sparse_words=128,
            sparse_pointers=512,
            sparse_activations=32,
            sparse_rows=16,
        ),
        # The Eyeriss chip's PEs and storage; smaller filter spads than the chip's pay for buffer,
        # since a pass keeps its filters for many bands.
        Config(
            "eyeriss",
            rows=12,
            columns=14,
            filter_spad=96,
            ifmap_spad=16,
            psum_spad=8,
            psum_drain=14,
            glb_pairs=15,
            glb_depth=512,
            ifmap_fifo=2,
            psum_fifo=2,
            skip=True,
            queue_depth=8,
        ),
        # EIE's 64 PEs and memories (ISCA 2016, section VI) beside a small array.
        Config(
            "eie64",
            rows=2,
            columns=3,
            filter_spad=64,
            ifmap_spad=8,
            psum_spad=8,
            glb_pairs=8,
            glb_depth=1024,
            scale_channels=32,
            ifmap_fifo=2,
            psum_fifo=2,
            dram_bytes_per_cycle=8.0,
            sparse_pes=64,
            sparse_words=16384,
            sparse_pointers=16384,
            sparse_activations=512,
            sparse_rows=64,
        ),
    )
}

# What an FPGA's machine leaves out or narrows (docs/fpga.md says what each field saves).
LEAN = dict(
    filter_spad=512,
    ifmap_spad=16,
    psum_spad=16,
    psum_lanes=1,
    psum_fifo=0,
    input_lanes=1,
    ifmap_fifo=0,
    glb_pairs=1,
    scale_channels=512,
    queue_depth=2,
    gating=False,
    counters=False,
    rlc=False,
    store_lanes=1,
    address_bits=25,
)
# Two MACs a cycle in a PE, narrower psums. Spads are twice as deep, which costs the same RAMs.
TWO_MACS = dict(simd=2, psum_bits=24, filter_spad=1024, psum_spad=32)
LEAN_SPARSE = dict(
    sparse_pes=4,
    sparse_words=512,
    sparse_pointers=512,
    sparse_activations=64,
    sparse_rows=32,
    sparse_round_lanes=1,
)

# Beside the presets, since only bitstreams of boards are made of them (fpga/boards).
BOARD_PRESETS: dict[str, Config] = {
    c.name: c
    for c in (
        # The least of everything: what a machine costs before its PEs.
        Config(
            "minimal",
            rows=1,
            columns=2,
            filter_spad=64,
            ifmap_spad=8,
            psum_spad=4,
            psum_drain=2,
            psum_lanes=1,
            psum_fifo=0,
            ifmap_fifo=1,
            glb_pairs=2,
            glb_depth=64,
            scale_channels=8,
            queue_depth=2,
            gating=False,
            counters=False,
        ),
        # Sized for boards (fpga/boards); what limits them is LUTs, measured in docs/fpga.md.
        Config(
            "gowin-20",
            rows=1,
            columns=2,
            glb_depth=2048,
            **LEAN | dict(address_bits=16),
        ),
        Config("ecp5-25", rows=1, columns=4, glb_depth=2048, **LEAN | TWO_MACS),
        Config("ecp5-45", rows=4, columns=6, glb_depth=2048, **LEAN | TWO_MACS),
        Config("ecp5-85", rows=8, columns=8, glb_depth=4096, **LEAN, **LEAN_SPARSE),
        # The most MACs: the array alone.
        Config("ecp5-85-128", rows=8, columns=8, glb_depth=4096, **LEAN | TWO_MACS),
    )
}
