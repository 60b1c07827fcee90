"""Command streams written by hand: one convolution, whole in the global buffer, folded every
possible way."""

import itertools

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


class ConvProgram:
    """x [N, C, H, W] convolved: DRAM contents, commands, and where the ofmap tile lies.

    q, r, p, t, e, height, width are the mapping: channels of a PE, channel groups, filters of a PE,
    sets, ofmap rows, and rows and columns of a filter slice; block is the tensor's q_T (r = 1 if it
    is not q).
    """

    INPUT, FILTERS, BIASES, OUTPUT = 0x1000, 0x10000, 0x30000, 0x40000

    def __init__(
        self,
        x,
        weights,
        bias,
        *,
        stride,
        pads,
        shift,
        relu,
        q,
        r,
        p,
        t,
        e,
        height,
        width,
        block=None,
        mode=0,
    ):
        n, c, h, w = x.shape
        m, _, taps_y, taps_x = weights.shape
        block = block or q
        assert block == q or r == 1
        self.memory, self.commands = {}, []
        blocks = -(-c // (block if block != q else q * r)) * (1 if block != q else r)
        self.e_total = (h + pads[0] + pads[2] - taps_y) // stride[0] + 1
        self.f_total = (w + pads[1] + pads[3] - taps_x) // stride[1] + 1
        full = np.zeros((n, blocks * block, h, w), np.int16)
        full[:, :c] = x
        raw, pitch = to_dram(full, block)
        self.memory[self.INPUT] = raw
        slices_y, slices_x, tiles_m = -(-taps_y // height), -(-taps_x // width), -(-m // (p * t))
        wide = np.zeros(
            (tiles_m * p * t, blocks * block, slices_y * height, slices_x * width), np.int16
        )
        wide[:m, :c, :taps_y, :taps_x] = weights
        bias_words = -(-p // 4)
        biases = np.zeros((tiles_m, t, bias_words * 4), np.int32)
        biases[:, :, :p] = np.pad(bias, (0, tiles_m * p * t - m)).reshape(tiles_m, t, p)
        self.memory[self.BIASES] = biases.tobytes()
        # The global buffer, in words: ifmap, biases, filters of a pass, psum ring, ofmap tile.
        at = {"ifmap": 0}
        at["bias"] = -(-len(raw) // 16) * 2
        at["filter"] = at["bias"] + biases.size // 2
        words = -(-p * q * width // 4)
        at["ring"] = at["filter"] + -(-words * height * r * t // 2) * 2
        ring = 2 * n * self.f_total * e * t * bias_words
        at["tile"] = at["ring"] + ring
        self.channels = tiles_m * p * t
        self.tile = dict(
            base=at["tile"] * 4,
            image_stride=self.e_total * self.f_total * self.channels,
            row_stride=self.f_total * self.channels,
            column_stride=self.channels,
        )
        self.put(
            Opcode.LOAD,
            signal=1,
            dram=self.INPUT,
            word=0,
            length=len(raw) // 8,
            count_a=1,
            count_b=1,
            count_c=1,
        )
        self.put(
            Opcode.LOAD,
            signal=2,
            dram=self.BIASES,
            word=at["bias"],
            length=biases.size // 2,
            count_a=1,
            count_b=1,
            count_c=1,
        )
        self.put(
            Opcode.CONFIG,
            height=height,
            groups=r,
            sets=t,
            rows=e,
            stride=stride[0],
            mode=mode,
            ring=at["ring"],
            ring_size=ring,
        )
        address, first = self.FILTERS, True
        steps = list(
            itertools.product(range(blocks * block // (q * r)), range(slices_y), range(slices_x))
        )
        for tile_m, row in itertools.product(range(tiles_m), range(0, self.e_total, e)):
            for number, (cb, sy, sx) in enumerate(steps):
                part = wide[
                    tile_m * p * t : (tile_m + 1) * p * t,
                    cb * q * r : (cb + 1) * q * r,
                    sy * height : (sy + 1) * height,
                    sx * width : (sx + 1) * width,
                ]
                # tag (g, k, j); entries: column, channel, filter
                part = (
                    part.reshape(t, p, r, q, height, width)
                    .transpose(0, 2, 4, 5, 3, 1)
                    .reshape(t * r * height, -1)
                )
                region = np.zeros((t * r * height, words * 4), np.int16)
                region[:, : part.shape[1]] = part
                self.memory[address] = region.reshape(-1, words, 4).transpose(1, 0, 2).tobytes()
                self.put(
                    Opcode.LOAD,
                    wait=0 if first else 8,
                    signal=4,
                    dram=address,
                    word=at["filter"],
                    length=region.size // 4,
                    count_a=1,
                    count_b=1,
                    count_c=1,
                )
                address += -(-region.size * 2 // 8) * 8
                whole = block == q and width >= stride[1]
                chunks = dict(outer=1, inner=1, length=((self.f_total - 1) * stride[1] + width) * q)
                if block != q:  # a column at a time
                    inner = width if width < stride[1] else (self.f_total - 1) * stride[1] + width
                    chunks = dict(
                        outer=1 if width >= stride[1] else self.f_total,
                        outer_stride=stride[1] * block,
                        inner=inner,
                        inner_stride=block,
                        length=q,
                    )
                elif not whole:
                    chunks = dict(
                        outer=self.f_total, outer_stride=stride[1] * q, inner=1, length=width * q
                    )
                where = cb * r * pitch if block == q else cb * q // block * pitch
                row_first = row * stride[0] + sy * height - pads[0]
                where += row_first * blocks * pitch  # before the tile if negative
                self.put(
                    Opcode.IFMAP,
                    wait=1 if first else 0,
                    base=where % (1 << ENTRY_ADDR),
                    start=(sx * width - pads[1]) * block + (0 if block == q else cb * q % block),
                    strip=w * block,
                    images=n,
                    image_stride=h * blocks * pitch,
                    rows=(e - 1) * stride[0] + height,
                    row_first=row_first,
                    rows_valid=h,
                    row_stride=blocks * pitch,
                    groups=r,
                    group_stride=pitch,
                    p=p,
                    window=q * width,
                    step=q * min(stride[1], width),
                    positions=self.f_total,
                    bands=1,
                    header=1,
                    laps=n,
                    **chunks,
                )
                self.put(
                    Opcode.FILTER,
                    wait=4,
                    signal=8,
                    word=at["filter"],
                    tags=height * r * t,
                    words=words,
                    tail=p * q * width - (words - 1) * 4,
                )
                self.put(
                    Opcode.PSUM,
                    wait=2 if first else 0,
                    from_ring=int(number > 0),
                    bias=at["bias"] + tile_m * t * bias_words * 2,
                    positions=n * self.f_total,
                    rows=e,
                    sets=t,
                    p=p,
                )
                last = number == len(steps) - 1
                self.put(
                    Opcode.OFMAP,
                    signal=16 if last else 0,
                    to_ring=int(not last),
                    images=n,
                    positions=self.f_total,
                    rows=e,
                    sets=t,
                    p=p,
                    base=self.tile["base"] + tile_m * p * t,
                    image_stride=self.tile["image_stride"],
                    position_stride=self.channels,
                    row_stride=self.tile["row_stride"],
                    row_first=row,
                    ring=self.e_total,
                    row_start=row * self.tile["row_stride"],
                    rows_valid=min(e, self.e_total - row),
                    shift=shift,
                    relu=int(relu),
                )
                first = False
        self.tiles = tiles_m * -(-self.e_total // e)
        self.n = n

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
