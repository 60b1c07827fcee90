"""Command streams written by hand: one convolution, whole in the global buffer, folded every
possible way."""

import itertools
from dataclasses import dataclass

import numpy as np

from hdl.isa import COMMAND_BYTES, ENTRY_ADDR, Opcode, pack


def to_dram(x, q):
    """Bytes of a tensor [N, C, H, W] in DRAM order with channel blocks of q, and its pitch in
    entries."""
    n, c, h, w = x.shape
    blocks, pitch = -(-c // q), -(-w * q // 4) * 4
    padded = np.zeros((n, blocks * q, h, w), np.int16)
    padded[:, :c] = x
    strips = (
        padded.reshape(n, blocks, q, h, w).transpose(0, 3, 1, 4, 2).reshape(n, h, blocks, w * q)
    )
    out = np.zeros((n, h, blocks, pitch), np.int16)
    out[..., : w * q] = strips
    return out.tobytes(), pitch


def from_dram(raw, n, c, h, w, q):
    """The tensor [N, C, H, W] of bytes in DRAM order."""
    blocks, pitch = -(-c // q), -(-w * q // 4) * 4
    strips = np.frombuffer(raw, np.int16).reshape(n, h, blocks, pitch)[..., : w * q]
    return (
        strips.reshape(n, h, blocks, w, q)
        .transpose(0, 2, 4, 1, 3)
        .reshape(n, blocks * q, h, w)[:, :c]
    )


@dataclass(frozen=True)
class Mapping:
    """Channels of a PE, channel groups, filters of a PE, sets, ofmap rows, and rows and columns
    of a filter slice; `block` is the tensor's q_T (r = 1 if it is not q)."""

    q: int
    r: int
    p: int
    t: int
    e: int
    height: int
    width: int
    block: int | None = None

    def __post_init__(self):
        object.__setattr__(self, "block", self.block or self.q)
        assert not self.split or self.r == 1

    @property
    def split(self):
        """A block of the tensor holds the channels of several passes."""
        return self.block != self.q

    @property
    def filters(self):
        """Filters of a tile."""
        return self.p * self.t

    @property
    def tags(self):
        """Filter slices of a pass."""
        return self.height * self.r * self.t

    @property
    def filter_words(self):
        """Words of a filter slice of a PE."""
        return -(-self.p * self.q * self.width // 4)

    @property
    def bias_words(self):
        """Groups of four biases, or psums, of a set."""
        return -(-self.p // 4)

    def channel_blocks(self, channels):
        """Blocks of a tensor, with those that fill up the last pass."""
        if self.split:
            return -(-channels // self.block)
        return -(-channels // (self.q * self.r)) * self.r


class ConvProgram:
    """x [N, C, H, W] convolved: DRAM contents, commands, and where the ofmap tile lies.

    The keywords left are the fields of Mapping.
    """

    INPUT, FILTERS, BIASES, OUTPUT = 0x1000, 0x10000, 0x30000, 0x40000

    def __init__(self, x, weights, bias, *, stride, pads, shift, relu, mode=0, **mapping):
        self.mapping, self.shape = Mapping(**mapping), x.shape
        self.stride, self.pads, self.shift, self.relu = stride, pads, shift, relu
        self.memory, self.commands = {}, []
        self.n, _, h, w = x.shape
        m, _, taps_y, taps_x = weights.shape
        self.e_total = (h + pads[0] + pads[2] - taps_y) // stride[0] + 1
        self.f_total = (w + pads[1] + pads[3] - taps_x) // stride[1] + 1
        self.blocks = self.mapping.channel_blocks(x.shape[1])
        self.slices = -(-taps_y // self.mapping.height), -(-taps_x // self.mapping.width)
        self.tiles_m = -(-m // self.mapping.filters)
        self.tiles = self.tiles_m * -(-self.e_total // self.mapping.e)
        self.channels = self.tiles_m * self.mapping.filters
        raw, self.pitch = self._ifmap(x)
        biases = self._biases(bias)
        self.memory[self.INPUT], self.memory[self.BIASES] = raw.tobytes(), biases.tobytes()
        self.at, self.ring = self._places(raw, biases)
        self.tile = dict(
            base=self.at["tile"] * 4,
            image_stride=self.e_total * self.f_total * self.channels,
            row_stride=self.f_total * self.channels,
            column_stride=self.channels,
        )
        self._begin(raw.size // 4, biases.size // 2, mode)
        self._passes(self._whole_slices(weights))

    def _ifmap(self, x):
        """What DRAM holds of x, whole blocks of it, and its pitch."""
        n, c, h, w = x.shape
        full = np.zeros((n, self.blocks * self.mapping.block, h, w), np.int16)
        full[:, :c] = x
        raw, pitch = to_dram(full, self.mapping.block)
        return np.frombuffer(raw, np.int16), pitch

    def _biases(self, bias):
        """[tile, set, filter], whole words of four."""
        p, t, words = self.mapping.p, self.mapping.t, self.mapping.bias_words
        biases = np.zeros((self.tiles_m, t, words * 4), np.int32)
        biases[:, :, :p] = np.pad(bias, (0, self.channels - len(bias))).reshape(-1, t, p)
        return biases

    def _whole_slices(self, weights):
        """The weights with zeros up to whole tiles, blocks and filter slices."""
        m, c, taps_y, taps_x = weights.shape
        rows, columns = (
            self.slices[0] * self.mapping.height,
            self.slices[1] * self.mapping.width,
        )
        wide = np.zeros((self.channels, self.blocks * self.mapping.block, rows, columns), np.int16)
        wide[:m, :c, :taps_y, :taps_x] = weights
        return wide

    def _places(self, raw, biases):
        """Where things lie in the global buffer, in words: the ifmap, biases, filters of a pass,
        psum ring, ofmap tile. And the size of the ring."""
        to = self.mapping
        ring = 2 * self.n * self.f_total * to.e * to.t * to.bias_words
        at = {"ifmap": 0}
        at["bias"] = -(-raw.nbytes // 16) * 2
        at["filter"] = at["bias"] + biases.size // 2
        at["ring"] = at["filter"] + -(-to.filter_words * to.tags // 2) * 2
        at["tile"] = at["ring"] + ring
        return at, ring

    def _begin(self, ifmap_words, bias_words, mode):
        """The commands before the first pass."""
        to = self.mapping
        self._load(self.INPUT, self.at["ifmap"], ifmap_words, signal=1)
        self._load(self.BIASES, self.at["bias"], bias_words, signal=2)
        self.put(
            Opcode.CONFIG,
            height=to.height,
            groups=to.r,
            sets=to.t,
            rows=to.e,
            stride=self.stride[0],
            mode=mode,
            ring=self.at["ring"],
            ring_size=self.ring,
        )

    def _passes(self, wide):
        """The passes of every ofmap tile: filters, ifmap, psums in, psums out."""
        to, address, first = self.mapping, self.FILTERS, True
        passes = self.blocks * to.block // (to.q * to.r)
        steps = list(itertools.product(range(passes), *map(range, self.slices)))
        for tile_m, row in itertools.product(range(self.tiles_m), range(0, self.e_total, to.e)):
            for number, (cb, sy, sx) in enumerate(steps):
                region = self._filters_of(wide, tile_m, cb, sy, sx)
                self.memory[address] = region.tobytes()
                wait = 0 if first else 8
                self._load(address, self.at["filter"], region.size // 4, wait=wait, signal=4)
                address += -(-region.nbytes // 8) * 8
                self._put_ifmap(row, cb, sy, sx, first)
                self._put_filter()
                self._put_psum(tile_m, number, first)
                self._put_ofmap(tile_m, row, last=number == len(steps) - 1)
                first = False

    def _filters_of(self, wide, tile_m, cb, sy, sx):
        """Filters of a pass [word, tag, lane]: tags are (g, k, j), entries of a slice (column,
        channel, filter)."""
        to = self.mapping
        part = wide[
            tile_m * to.filters : (tile_m + 1) * to.filters,
            cb * to.q * to.r : (cb + 1) * to.q * to.r,
            sy * to.height : (sy + 1) * to.height,
            sx * to.width : (sx + 1) * to.width,
        ]
        part = part.reshape(to.t, to.p, to.r, to.q, to.height, to.width)
        part = part.transpose(0, 2, 4, 5, 3, 1).reshape(to.tags, -1)
        region = np.zeros((to.tags, to.filter_words * 4), np.int16)
        region[:, : part.shape[1]] = part
        return region.reshape(-1, to.filter_words, 4).transpose(1, 0, 2)

    def _chunks(self):
        """The fields of IFMAP that say what is read of a strip."""
        to, stride = self.mapping, self.stride[1]
        overlap = to.width >= stride
        span = (self.f_total - 1) * stride + to.width
        if to.split:  # a column at a time
            return dict(
                outer=1 if overlap else self.f_total,
                outer_stride=stride * to.block,
                inner=span if overlap else to.width,
                inner_stride=to.block,
                length=to.q,
            )
        if overlap:
            return dict(outer=1, inner=1, length=span * to.q)
        return dict(outer=self.f_total, outer_stride=stride * to.q, inner=1, length=to.width * to.q)

    def _put_ifmap(self, row, cb, sy, sx, first):
        to, pitch, (_, _, h, w) = self.mapping, self.pitch, self.shape
        row_pitch = self.blocks * pitch
        row_first = row * self.stride[0] + sy * to.height - self.pads[0]
        channel = cb * to.q  # where blocks are split
        base = channel // to.block * pitch if to.split else cb * to.r * pitch
        base += row_first * row_pitch  # before the tile if negative
        self.put(
            Opcode.IFMAP,
            wait=1 if first else 0,
            base=base % (1 << ENTRY_ADDR),
            start=(sx * to.width - self.pads[1]) * to.block
            + (channel % to.block if to.split else 0),
            strip=w * to.block,
            images=self.n,
            image_stride=h * row_pitch,
            rows=(to.e - 1) * self.stride[0] + to.height,
            row_first=row_first,
            rows_valid=h,
            row_stride=row_pitch,
            groups=to.r,
            group_stride=pitch,
            p=to.p,
            window=to.q * to.width,
            step=to.q * min(self.stride[1], to.width),
            positions=self.f_total,
            bands=1,
            header=1,
            laps=self.n,
            **self._chunks(),
        )

    def _put_filter(self):
        to = self.mapping
        self.put(
            Opcode.FILTER,
            wait=4,
            signal=8,
            word=self.at["filter"],
            tags=to.tags,
            words=to.filter_words,
            tail=to.p * to.q * to.width - (to.filter_words - 1) * 4,
        )

    def _put_psum(self, tile_m, number, first):
        to = self.mapping
        self.put(
            Opcode.PSUM,
            wait=2 if first else 0,
            from_ring=int(number > 0),
            bias=self.at["bias"] + tile_m * to.t * to.bias_words * 2,
            positions=self.n * self.f_total,
            rows=to.e,
            sets=to.t,
            p=to.p,
        )

    def _put_ofmap(self, tile_m, row, last):
        to, row_stride = self.mapping, self.tile["row_stride"]
        self.put(
            Opcode.OFMAP,
            signal=16 if last else 0,
            to_ring=int(not last),
            images=self.n,
            positions=self.f_total,
            rows=to.e,
            sets=to.t,
            p=to.p,
            base=self.tile["base"] + tile_m * to.filters,
            image_stride=self.tile["image_stride"],
            position_stride=self.channels,
            row_stride=row_stride,
            row_first=row,
            ring=self.e_total,
            row_start=row * row_stride,
            rows_valid=min(to.e, self.e_total - row),
            shift=self.shift,
            relu=int(self.relu),
        )

    def _load(self, dram, word, length, **flags):
        """LOAD of one run of words."""
        once = dict(count_a=1, count_b=1, count_c=1)
        self.put(Opcode.LOAD, dram=dram, word=word, length=length, **once, **flags)

    def put(self, opcode, **values):
        self.commands.append(pack(opcode, **values))

    def store(self, rows=None, columns=None, out_block=4, **options):
        """STORE of the whole tile (after SHAPE, where it pools or adds)."""
        rows, columns = rows or self.e_total, columns or self.f_total
        blocks, pitch = -(-self.channels // out_block), -(-columns * out_block // 4) * 8
        chunk = max(n for n in (1, 2, 3, 4) if self.channels % n == out_block % n == 0)
        self.put(
            Opcode.STORE,
            **{
                **dict(
                    **self.tile,
                    block=self.channels,
                    row_first=0,
                    ring=self.e_total,
                    dram=self.OUTPUT,
                    out_image_stride=rows * blocks * pitch,
                    out_row_stride=blocks * pitch,
                    out_block_stride=pitch,
                    images=self.n,
                    rows=rows,
                    blocks=blocks,
                    columns=columns,
                    out_block=out_block,
                    chunk=chunk,
                ),
                **options,
            },
        )
        self.size = self.n * rows * blocks * pitch

    def place(self, device, program=0x80000):
        """Writes memory and program; returns run_program's arguments."""
        for address, raw in self.memory.items():
            device.write(address, raw)
        device.write(program, b"".join(self.commands))
        return dict(
            address=program,
            count=len(self.commands),
            read_window=(0, program + COMMAND_BYTES * len(self.commands)),
            write_window=(self.OUTPUT, self.OUTPUT + self.size),
        )
