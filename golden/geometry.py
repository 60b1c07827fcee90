"""Padding and output sizes as ONNX defines them, turned into explicit pads and plain arithmetic."""

from dataclasses import dataclass

Pads = tuple[int, int, int, int]  # top, left, bottom, right


def output_size(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], pads: Pads
) -> tuple[int, int]:
    """(E, F) of windows that lie in the padded input (H, W)."""
    e, f = ((size[i] + pads[i] + pads[i + 2] - kernel[i]) // stride[i] + 1 for i in (0, 1))
    return e, f


def auto_pads(
    mode: str,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pads: Pads = (0, 0, 0, 0),
) -> Pads:
    """Explicit pads of ONNX's auto_pad `mode`; `pads` are those given for NOTSET.

    Raises ValueError on an unknown mode.
    """
    if mode in ("", "NOTSET"):
        return pads
    if mode == "VALID":
        return (0, 0, 0, 0)
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise ValueError(f"auto_pad {mode!r}: unknown")
    high, wide = (
        max((-(-size[i] // stride[i]) - 1) * stride[i] + kernel[i] - size[i], 0) for i in (0, 1)
    )
    small, large = (high // 2, wide // 2), (high - high // 2, wide - wide // 2)
    return (*small, *large) if mode == "SAME_UPPER" else (*large, *small)


@dataclass(frozen=True)
class PoolGeometry:
    """pads: effective, so that output_size() is the pool's (windows of ceil_mode overhang into
    them; a negative one crops). count: (top, left, bottom, right), half open, in input
    coordinates: the box whose elements an average's divisor counts."""

    pads: Pads
    count: Pads


def pool_geometry(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pads: Pads = (0, 0, 0, 0),
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: bool = False,
    count_include_pad: bool = False,
) -> PoolGeometry:
    """Geometry of an ONNX MaxPool or AveragePool over an input of size (H, W).

    With ceil_mode a last partial window counts if it starts in the input or its leading pad.
    Raises ValueError on an unknown auto_pad or if there is no window at all.
    """
    pads = auto_pads(auto_pad, size, kernel, stride, pads)
    after = list(pads[2:])
    for i in (0, 1):
        room = size[i] + pads[i] + pads[i + 2] - kernel[i]
        if ceil_mode and auto_pad in ("", "NOTSET"):
            last = -(-room // stride[i])
            if last * stride[i] >= size[i] + pads[i]:
                last -= 1
            after[i] = last * stride[i] + kernel[i] - size[i] - pads[i]
            room = last
        if room < 0:
            raise ValueError(
                f"kernel {kernel[0]}x{kernel[1]} is larger than the padded input "
                f"{size[0]}x{size[1]}"
            )
    top, left, bottom, right = pads if count_include_pad else (0, 0, 0, 0)
    effective = (pads[0], pads[1], after[0], after[1])
    return PoolGeometry(effective, (-top, -left, size[0] + bottom, size[1] + right))
