"""STORE's arithmetic and loops, read off the docstrings of StoreBody and ShapeBody."""

from hdl.isa import Opcode, Pool
from hdl.memory.store.average import reciprocal


def saturate(v):
    return max(-32768, min(32767, v))


def half_up(v, shift):
    return (v + (1 << shift >> 1)) >> shift


def added(a, b, shift_a, shift_b, shift_out):
    """The sum of two entries."""
    return saturate(half_up((a << shift_a) + (b << shift_b), shift_out))


def pooled(pool, values, count, fixed=None):
    """The result of a window: `count` is what its average divides by, by way of the factor and
    shift of `fixed` if they are given."""
    if pool != Pool.AVERAGE:
        return max(values, default=-32768)
    factor, shift = fixed or (reciprocal(count) if count <= 16 else (0, 15))
    return saturate(half_up(sum(values) * factor, shift))


def byte_of(entry, c):
    """What a narrow STORE writes of an entry."""
    low, high = (0, 255) if c["unsigned"] else (-128, 127)
    return max(low, min(high, entry + c["zero"])) & 0xFF


class Fields(dict):
    """Fields of a command; what is not set is 0."""

    def __missing__(self, name):
        return 0


def window(s, y, x):
    """Rows and columns of a window that are not padding, and the number of places it counts."""
    top, left = y * s["stride_y"] + s["y_first"], x * s["stride_x"] + s["x_first"]
    ys, xs = range(top, top + s["kernel_y"]), range(left, left + s["kernel_x"])
    count = sum(s["count_top"] <= v < s["count_bottom"] for v in ys)
    count *= sum(s["count_left"] <= v < s["count_right"] for v in xs)
    ys = [v for v in ys if 0 <= v < s["height"]]
    xs = [v for v in xs if 0 <= v < s["width"]]
    return ys, xs, count


class Reference:
    """Applies commands to `out`, a bytearray, from the entries of `tile`."""

    def __init__(self, tile, out):
        self.tile, self.out = tile, out

    def __call__(self, commands):
        shape = Fields()
        for opcode, values in commands:
            if opcode == Opcode.SHAPE:
                shape = Fields(values)
            else:
                self._store(Fields(values), shape)

    def _store(self, c, s):
        for image in range(c["images"]):
            for y in range(c["rows"]):
                for block in range(c["blocks"]):
                    at = c["dram"] + image * c["out_image_stride"]
                    at += y * c["out_row_stride"] + block * c["out_block_stride"]
                    for x in range(c["columns"]):
                        for k in range(c["out_block"]):
                            channel = block * c["out_block"] + k
                            entry = self._result(c, s, image, y, x, channel)
                            at += self._put(at % 2**32, entry, c)

    def _put(self, at, entry, c):
        """Its bytes."""
        if c["narrow"]:
            self.out[at] = byte_of(entry, c)
            return 1
        self.out[at : at + 2] = (entry & 0xFFFF).to_bytes(2, "little")
        return 2

    def _result(self, c, s, image, y, x, channel):
        """Entry (y, x) of the output."""
        ys, xs, count = window(s, y, x) if c["pool"] else ([y], [x], 1)
        seen = [self._tap(c, s, image, channel, row, column) for row in ys for column in xs]
        fixed = (s["multiplier"], s["shift"]) if s["fixed"] else None
        return pooled(c["pool"], seen, count, fixed)

    def _tap(self, c, s, image, channel, row, column):
        """An entry of the tile, or of the sum of two."""
        ring = (c["row_first"] + row) % c["ring"]
        value = self._entry(c, c["block"], image, channel, ring, column)
        if c["add"]:
            other = self._entry(s, s.get("block", 1), image, channel, row, column)
            value = added(value, other, s["shift_a"], s["shift_b"], s["lo"])
        return max(value, 0) if c["relu"] else value

    def _entry(self, t, block, image, channel, row, column):
        """Of the tile that a command's strides describe."""
        at = t["base"] + image * t["image_stride"]
        at += channel // block * t["block_stride"] + channel % block
        at += row * t["row_stride"] + column * t["column_stride"]
        return int(self.tile[at % 2**20 % len(self.tile)])
