"""A legal command of every kind, for `tiny`."""

from hdl.isa import OfmapBody, Opcode, ScaleBody, fields

GOOD = {
    Opcode.CONFIG: dict(
        height=3, groups=1, sets=2, rows=1, stride=1, mode=1, ring=100, ring_size=924
    ),
    Opcode.LOAD: dict(
        dram=8, word=1000, length=24, count_a=1, count_b=65535, count_c=1, stride_b=2**32 - 8
    ),
    Opcode.IFMAP: dict(
        base=1,
        start=-5,
        strip=9,
        images=1,
        rows=1,
        row_first=-1,
        rows_valid=1,
        groups=1,
        outer=1,
        inner=1,
        length=1,
        p=8,
        window=8,
        step=8,
        positions=3,
        bands=1,
        laps=1,
    ),
    Opcode.FILTER: dict(word=3, tags=255, words=8, tail=4),
    Opcode.PSUM: dict(from_ring=1, bias=2, positions=1, rows=1, sets=1, p=8),
    Opcode.OFMAP: dict(to_ring=1, images=1, positions=1, rows=1, sets=1, p=1),
    Opcode.STORE: dict(
        block=1,
        ring=2,
        row_first=1,
        dram=2,
        images=1,
        rows=1,
        blocks=1,
        columns=1,
        out_block=1,
        chunk=4,
        pool=2,
    ),
    Opcode.SCALE: dict(word=1016, channels=4, rounding=2, lo=-128, hi=127),
    Opcode.SHAPE: dict(y_first=-1, shift_a=-31, multiplier=1 << 30, shift=30, rounding=2, lo=-5),
}


def ofmap_payload(body: dict) -> dict:
    """A payload of isa.OfmapCommand: a SCALE if it has `channels`."""
    is_scale = "channels" in body
    kind = ScaleBody if is_scale else OfmapBody
    bits = sum((int(body.get(n, 0)) & (1 << w) - 1) << at for n, at, w, _ in fields(kind))
    return dict(is_scale=is_scale, body=bits)
