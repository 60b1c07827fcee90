"""STORE's arithmetic and loops, read off the docstrings of StoreBody and ShapeBody."""

from golden.fixed import reciprocal
from golden.integer import requantise
from golden.integer.add import operand
from hdl.isa import Opcode, Pool, Rounding

OPERANDS = (("multiplier_a", "shift_a"), ("multiplier_b", "shift_b"))


def scaled(values, multiplier, shift, rounding):
    return requantise.scale(values, multiplier, shift, Rounding(rounding).name.lower())


def clamp(value, lo, hi):
    return max(lo, min(hi, int(value)))


class Fields(dict):
    """Fields of a command; what is not set is 0."""

    def __missing__(self, name):
        return 0


def added(s, a, b):
    """The sum of two entries, each scaled."""
    first, second = (operand(v, s[m], s[k]) for v, (m, k) in zip((a, b), OPERANDS))
    return int(first + second)


def result(c, s, values, count=1):
    """What is stored of the taps of a window, or of the sum of two entries; `count` is what its
    average divides by, at most 16."""
    average = c["pool"] == Pool.AVERAGE
    total = sum(values) if average else max(values, default=-32768)
    if average and not s["fixed"]:
        total = scaled(total, *(reciprocal(count) if count <= 16 else (0, 0)), s["rounding"])
    elif average or c["add"] or c["scaled"]:
        total = scaled(total, s["multiplier"], s["shift"], s["rounding"])
    lo, hi = (s["lo"], s["hi"]) if c["scaled"] else (0 if c["relu"] else -32768, 32767)
    return clamp(total, lo, hi)


def scaling(rng, rounding=None):
    """Random fields of SHAPE's scaling, of whatever may come of 16 bits or 32."""
    shift = rng.choice((1, 0, -4, -15, rng.randrange(-31, 31)))
    multiplier = rng.choice((1 << 30, (1 << 31) - 1, 1 << 29, rng.randrange(1 << 30, 1 << 31)))
    lo, hi = sorted(rng.randrange(-32768, 32768) for _ in range(2))
    rounding = rng.choice(list(Rounding)) if rounding is None else rounding
    return dict(multiplier=multiplier, shift=shift, rounding=rounding, lo=lo, hi=hi)


def operand_scales(rng):
    """Random fields of SHAPE's operands: of int8, of powers of two, and any."""
    kinds = (
        (rng.randrange(1 << 30, 1 << 31), rng.randrange(-12, 1)),
        (1 << 11 + rng.randrange(16), 0),
        (rng.randrange(1 << 31), rng.randrange(-31, 1)),
    )
    return {name: v for names in OPERANDS for name, v in zip(names, rng.choice(kinds))}


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
                            self._put(at, self._result(c, s, image, y, x, channel))
                            at += 2

    def _put(self, at, entry):
        self.out[at % 2**32 : at % 2**32 + 2] = (entry & 0xFFFF).to_bytes(2, "little")

    def _result(self, c, s, image, y, x, channel):
        """Entry (y, x) of the output."""
        ys, xs, count = window(s, y, x) if c["pool"] else ([y], [x], 1)
        seen = [self._tap(c, s, image, channel, row, column) for row in ys for column in xs]
        return result(c, s, seen, count)

    def _tap(self, c, s, image, channel, row, column):
        """An entry of the tile, or the sum of two."""
        ring = (c["row_first"] + row) % c["ring"]
        value = self._entry(c, c["block"], image, channel, ring, column)
        if not c["add"]:
            return value
        return added(s, value, self._entry(s, s.get("block", 1), image, channel, row, column))

    def _entry(self, t, block, image, channel, row, column):
        """Of the tile that a command's strides describe."""
        at = t["base"] + image * t["image_stride"]
        at += channel // block * t["block_stride"] + channel % block
        at += row * t["row_stride"] + column * t["column_stride"]
        return int(self.tile[at % 2**20 % len(self.tile)])
