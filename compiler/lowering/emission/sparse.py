"""Commands of a compressed fully connected layer, resident in the sparse engine or streamed to
it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.lowering.emission.buffer import Blob, Regions
from compiler.lowering.emission.tile import load_fields, output_fields
from compiler.lowering.structures.commands import Command, Schedule
from compiler.mapping.layout import View
from compiler.mapping.mapping import MappingError, chunk_of
from compiler.numbers import ceil
from compiler.sparse.slicing import Band, Block, SparseLayer, vector_size
from compiler.sparse.stored import Kind
from golden.csc import Compressed, pack
from hdl.config import LANES, Config
from hdl.isa import Opcode, Target


def common(config: Config, plan: SparseLayer) -> dict[str, int]:
    """Regions of both emitters."""
    rows = config.sparse_pes // LANES * max(band.locals_ for band in plan.bands)
    return {"bias": 2 * rows, "codebook": 4, "out": rows}


def words_of(block: Block, config: Config) -> int:
    """Words of a block's activations, and of its table."""
    return ceil(block.columns, config.sparse_pes) * config.sparse_pes // LANES


class Emitter:
    """Emits the commands of one layer, a piece at a time, in the order of their execution. The
    pieces keep the dependencies between load, fill and sparse engines. regions: of the global
    buffer, in words, besides those for biases, codebook and outputs.

    Raises MappingError if they exceed the global buffer.
    """

    def __init__(
        self,
        schedule: Schedule,
        config: Config,
        plan: SparseLayer,
        blob: Blob,
        after: Command | None,
        regions: dict[str, int],
    ):
        self.schedule, self.config, self.plan, self.blob = schedule, config, plan, blob
        self.groups = config.sparse_pes // LANES
        self.at = Regions(config, [*common(config, plan).items(), *regions.items()]).start
        self.pending = after
        self.bias_fill: Command | None = None
        self.running: Command | None = None  # the last RUN, STREAM or OUTPUT
        self.stored: Command | None = None
        self._biases: dict[int, int] = {}

    @property
    def final(self) -> Command:
        """The last STORE."""
        assert self.stored is not None
        return self.stored

    def _load(self, dram: int, word: int, words: int) -> Command:
        command = self.schedule.add(Opcode.LOAD, **load_fields(dram, word, words))
        if self.pending is not None:
            self.schedule.depend(command, self.pending)
            self.pending = None
        return command

    def _fill(self, load: Command, after: Command | None = None, **fields) -> Command:
        """after: what uses the memory filled (default the last RUN or OUTPUT)."""
        fill = self.schedule.add(Opcode.SPARSE_FILL, **fields)
        self.schedule.depend(fill, load)
        self.schedule.depend(fill, after or self.running)
        return fill

    def codebook(self) -> None:
        load = self._load(self.blob.add(self.plan.codebook.tobytes()), self.at["codebook"], 4)
        self._fill(load, target=Target.CODEBOOK, word=self.at["codebook"], pes=1, count=4)

    def bias(self, band: Band, bias: np.ndarray) -> None:
        if id(band) not in self._biases:
            table = np.zeros((band.locals_, self.config.sparse_pes), np.int32)
            table[band.local, band.pe] = bias[band.rows]
            self._biases[id(band)] = self.blob.add(table.tobytes())
        load = self._load(self._biases[id(band)], self.at["bias"], 2 * self.groups * band.locals_)
        self.schedule.depend(load, self.bias_fill)
        self.bias_fill = self._fill(
            load, target=Target.ACCUMULATORS, word=self.at["bias"], pes=1, count=band.locals_
        )

    def output(
        self, band: Band, shift: int, relu: bool, half: int = 1, after: Command | None = None
    ) -> None:
        self.running = self.schedule.add(
            Opcode.SPARSE_OUTPUT, rows=band.locals_, shift=shift, relu=relu, half=half
        )
        self.schedule.depend(self.running, after)

    def store(self, band: Band, target: View, image: int, position: int, half: int = 1) -> Command:
        """The band's outputs to positions from `position` on of the target. Returns the DUMP."""
        dump = self.schedule.add(
            Opcode.SPARSE_DUMP, half=half, count=band.locals_, word=self.at["out"]
        )
        self.schedule.depend(dump, self.stored)
        block = target.storage.block
        fields = output_fields(target, image, 0, 0, 0)
        fields["dram"] += 2 * position
        self.stored = self.schedule.add(
            Opcode.STORE,
            base=4 * self.at["out"],
            column_stride=block,
            block=block,
            block_stride=block,
            ring=1,
            images=1,
            rows=1,
            columns=1,
            chunk=chunk_of(self.config, block),
            blocks=ceil(band.locals_ * self.config.sparse_pes, block),
            **fields,
        )
        self.schedule.depend(self.stored, dump)
        return dump


class SparseEmitter(Emitter):
    """Blocks in the memories of the PEs. queue: columns that wait at most in a PE, 0 for all
    that are built."""

    def __init__(
        self,
        schedule: Schedule,
        config: Config,
        plan: SparseLayer,
        blob: Blob,
        after: Command | None = None,
    ):
        widest = max(words_of(block, config) for band in plan.bands for block in band.blocks)
        room = (config.glb_words - sum(common(config, plan).values()) - 2 * widest - 16) // 2
        if room < 16:
            raise MappingError(
                f"config {config.name!r}: the global buffer is too small for the "
                "sparse engine's vectors"
            )
        self.stage = min(room, 1024)
        super().__init__(
            schedule,
            config,
            plan,
            blob,
            after,
            {"act0": widest, "act1": widest, "stage0": self.stage, "stage1": self.stage},
        )
        self.staged: list[Command] = []  # fills that read the staging buffers
        self.vectors: list[Command] = []  # fills of activations

    def weights(self, block: Block) -> None:
        """A block's weights and pointers."""
        self.weights_only(block)
        # Activations come in rows of PEs: the columns that fill the last row are empty.
        k = self.config.sparse_pes
        self.pointers(block.compressed, 0, ceil(block.columns, k) * k)

    def weights_only(self, block: Block) -> None:
        c, k = block.compressed, self.config.sparse_pes
        weights = np.zeros((k, block.words), np.uint64)
        for n in range(k):
            words = pack(c.entries[n])
            weights[n, : len(words)] = words
        self.stage_in(Target.WEIGHTS, weights)

    def pointers(
        self, c: Compressed, first: int, columns: int, base: int = 0, after: Command | None = None
    ) -> None:
        """Pointers of columns first .. first + columns - 1, and the one behind, to base .. of
        every PE (even)."""
        at = np.minimum(first + np.arange(2 * ceil(columns + 1, 2)), c.columns)
        self.stage_in(
            Target.POINTERS,
            np.stack([p[at] for p in c.pointers]).astype(np.uint32).view(np.uint64),
            base // 2,
            after,
        )

    def stage_in(
        self, target: Target, data: np.ndarray, address: int = 0, after: Command | None = None
    ) -> None:
        """Words of every PE, uint64 [PEs, count], through two staging buffers."""
        k, count = data.shape
        kind = Kind.ENTRIES if target == Target.WEIGHTS else Kind.POINTERS
        at, each = self.blob.add_table(kind, data), max(1, self.stage // count)  # PEs a chunk
        for pe in range(0, k, each):
            pes = min(each, k - pe)
            for first in range(0, count, self.stage):
                n = min(self.stage, count - first)
                slot = self.at[f"stage{len(self.staged) % 2}"]
                load = self._load(at + 8 * (pe * count + first), slot, pes * n)
                self.schedule.depend(load, self.staged[-2] if len(self.staged) > 1 else None)
                self.staged.append(
                    self._fill(
                        load,
                        after,
                        word=slot,
                        target=target,
                        pe=pe,
                        pes=pes,
                        address=address + first,
                        count=n,
                    )
                )

    def activations(self, block: Block, vector: int, words: int) -> None:
        """A block's part of the vector of `words` words at address `vector`."""
        region = self.at[f"act{len(self.vectors) % 2}"]
        count, first = ceil(block.columns, self.config.sparse_pes), block.first // LANES
        load = self._load(vector + 8 * first, region, min(count * self.groups, words - first))
        self.schedule.depend(load, self.vectors[-2] if len(self.vectors) > 1 else None)
        self.vectors.append(
            self._fill(load, target=Target.ACTIVATIONS, word=region, pes=1, count=count)
        )

    def run(self, block: Block, queue: int = 0) -> None:
        self.run_columns(queue=queue, count=ceil(block.columns, self.config.sparse_pes))

    def run_columns(self, **fields: int) -> None:
        """SPARSE_RUN behind all that has been filled."""
        command = self.schedule.add(Opcode.SPARSE_RUN, **fields)
        fills = [
            *self.staged[-1:],
            *self.vectors[-1:],
            *([self.bias_fill] if self.bias_fill else []),
        ]
        if fills:  # the fill engine works in order
            self.schedule.depend(command, max(fills, key=lambda fill: fill.order))
        self.running = command


TABLES, VECTORS = 3, 2  # buffers


@dataclass
class Filled:
    """A block whose activations are in `half` after `fill`, and its table at `word`."""

    fill: Command
    half: int
    word: int


class StreamEmitter(Emitter):
    """Blocks in DRAM, of which SPARSE_STREAM reads what the activations need.

    Blocks alternate between the halves of the activations, so that one is filled while the
    other is looked through. As many blocks as the global buffer holds, at best all, have
    their tables and activations loaded together; where that is all, the vector is loaded
    once for all bands.
    """

    def __init__(
        self,
        schedule: Schedule,
        config: Config,
        plan: SparseLayer,
        blob: Blob,
        after: Command | None = None,
    ):
        blocks = plan.bands[0].blocks
        words = max(words_of(block, config) for block in blocks)
        room = config.glb_words - sum(common(config, plan).values()) - 16
        self.together = min(len(blocks), room // ((TABLES + VECTORS) * words))
        if not self.together:
            raise MappingError(
                f"config {config.name!r}: the global buffer is too small for the "
                "sparse engine's vectors and tables"
            )
        super().__init__(
            schedule,
            config,
            plan,
            blob,
            after,
            {
                **{f"vector{n}": self.together * words for n in range(VECTORS)},
                **{f"table{n}": self.together * words for n in range(TABLES)},
            },
        )
        self.fills: list[Command] = []  # one for every block
        # fill of each buffer's last block
        self.last: dict[str, list[int]] = {"vector": [], "table": []}
        self.places: dict[str, int] = {}  # of the present buffers
        # who read the activations of a half last
        self.users: list[Command | None] = [None, None]
        self._constants: dict[int, tuple[int, dict[int, int]]] = {}

    def _buffer(self, kind: str, dram: int, words: int) -> Command:
        """Loads the next buffer of a kind when its last block has been used."""
        last, copies = self.last[kind], {"vector": VECTORS, "table": TABLES}[kind]
        self.places[kind] = self.at[f"{kind}{len(last) % copies}"]
        load = self._load(dram, self.places[kind], words)
        if len(last) >= copies:
            # The STREAM of a block is done before the fill two blocks behind, its half's next.
            self.schedule.depend(load, self.fills[last[-copies] + (2 if kind == "table" else 0)])
        last.append(0)
        return load

    def _address(self, band: Band) -> tuple[int, dict[int, int]]:
        """(of the band's tables, of each block's records by its first column)."""
        if id(band) not in self._constants:
            tables = [block.table for block in band.blocks if block.table is not None]
            at = self.blob.add(np.concatenate(tables).tobytes())
            records = {
                block.first: self.blob.add(block.records.tobytes())
                for block in band.blocks
                if block.records is not None
            }
            self._constants[id(band)] = at, records
        return self._constants[id(band)]

    def fill(self, band: Band, number: int, vector: int, words: int, fresh: bool) -> Filled:
        """A band's block of the vector of `words` words at `vector`; fresh: it is another than
        the last."""
        block, load, half = band.blocks[number], None, len(self.fills) % 2
        first = band.blocks[number - number % self.together].first // LANES
        if number % self.together == 0:
            size = sum(
                words_of(b, self.config) for b in band.blocks[number : number + self.together]
            )
            if fresh or self.together < len(band.blocks):
                self._buffer("vector", vector + 8 * first, min(size, words - first))
            load = self._buffer("table", self._address(band)[0] + 8 * first, size)
        at = block.first // LANES - first
        fill = self.schedule.add(
            Opcode.SPARSE_FILL,
            target=Target.ACTIVATIONS,
            half=half,
            pes=1,
            word=self.places["vector"] + at,
            count=words_of(block, self.config) // self.groups,
        )
        self.schedule.depend(fill, load)
        self.schedule.depend(fill, self.users[half])
        self.last["vector"][-1] = self.last["table"][-1] = len(self.fills)
        self.fills.append(fill)
        return Filled(fill, half, self.places["table"] + at)

    def stream(self, band: Band, number: int, filled: Filled) -> None:
        block = band.blocks[number]
        command = self.schedule.add(
            Opcode.SPARSE_STREAM,
            half=filled.half,
            count=words_of(block, self.config) // self.groups,
            word=filled.word,
            dram=self._address(band)[1][block.first],
        )
        fills = [filled.fill, *([self.bias_fill] if self.bias_fill else [])]
        self.schedule.depend(command, max(fills, key=lambda fill: fill.order))
        self.running = self.users[filled.half] = command


@dataclass(frozen=True)
class SparseJob:
    """A compressed layer to be emitted. bias: int32 [rows]; shift: of its psums; source, target:
    of the activations."""

    plan: SparseLayer
    bias: np.ndarray
    shift: int
    relu: bool
    source: View
    target: View
    images: int

    @property
    def words(self) -> int:
        """Of a vector of activations."""
        return ceil(vector_size(self.source), LANES)

    def vector(self, image: int) -> int:
        """Address of an image's activations."""
        return self.source.storage.address + image * self.source.storage.image_bytes

    def needs_bias(self, image: int, band: Band) -> bool:
        """OUTPUT leaves zeros, but a run that was aborted before may have left sums."""
        return bool(self.bias.any()) or (image == 0 and band is self.plan.bands[0])


def emit_sparse(
    schedule: Schedule,
    config: Config,
    job: SparseJob,
    blob: Blob,
    after: Command | None = None,
) -> Command:
    """A layer's commands; the last STORE. after: the command before it that it waits for."""
    if job.plan.streamed:
        return _emit_streamed(StreamEmitter(schedule, config, job.plan, blob, after), job)
    return _emit_resident(SparseEmitter(schedule, config, job.plan, blob, after), job)


def _emit_resident(emitter: SparseEmitter, job: SparseJob) -> Command:
    """All weights first, then image by image."""
    emitter.codebook()
    (band,) = job.plan.bands
    (block,) = band.blocks
    emitter.weights(block)
    for image in range(job.images):
        if job.needs_bias(image, band):
            emitter.bias(band, job.bias)
        emitter.activations(block, job.vector(image), job.words)
        emitter.run(block)
        emitter.output(band, job.shift, job.relu)
        emitter.store(band, job.target, image, 0)
    return emitter.final


def _emit_streamed(emitter: StreamEmitter, job: SparseJob) -> Command:
    """Band by band, block by block; the fill of the next is under way beside each stream."""
    emitter.codebook()
    bands = job.plan.bands
    steps = [
        (image, band, number)
        for image in range(job.images)
        for band in bands
        for number in range(len(band.blocks))
    ]

    def fill(image: int, band: Band, number: int) -> Filled:
        return emitter.fill(band, number, job.vector(image), job.words, band is bands[0])

    following, position = fill(*steps[0]), 0
    for (image, band, number), then in zip(steps, [*steps[1:], None], strict=True):
        if number == 0 and job.needs_bias(image, band):
            emitter.bias(band, job.bias)
        filled = following
        if then:
            following = fill(*then)
        emitter.stream(band, number, filled)
        if number < len(band.blocks) - 1:
            continue
        # The fill under way must not meet the writes of OUTPUT.
        emitter.output(band, job.shift, job.relu, filled.half, following.fill if then else None)
        dump = emitter.store(band, job.target, image, position, filled.half)
        emitter.users[filled.half] = dump
        position = 0 if band is bands[-1] else position + band.locals_ * emitter.config.sparse_pes
    return emitter.final
