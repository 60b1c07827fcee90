"""Affine 8-bit tensors: a real value is (q - zero) * scale, of one scale a tensor."""

from dataclasses import dataclass

import numpy as np


def round_half_away(x) -> np.ndarray:
    """float64 integers nearest to float32 or float64 x, halves away from zero, as C's round()."""
    x = np.asarray(x, np.float64)
    whole = np.trunc(x)
    return whole + np.where(np.abs(x - whole) >= 0.5, np.sign(x), 0.0)


@dataclass(frozen=True)
class Affine:
    """scale: a float32 value above 0; zero: the q of real 0; signed: int8, else uint8."""

    scale: float
    zero: int
    signed: bool = True

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.int8 if self.signed else np.uint8)

    @property
    def lo(self) -> int:
        return -128 if self.signed else 0

    @property
    def hi(self) -> int:
        return 127 if self.signed else 255

    def centred(self, q: np.ndarray) -> np.ndarray:
        """int16 v = q - zero, what the machine holds: padding is 0."""
        return q.astype(np.int16) - np.int16(self.zero)

    def restored(self, v: np.ndarray) -> np.ndarray:
        """q of v = q - zero."""
        return (v + self.zero).astype(self.dtype)

    def of_images(self, images: np.ndarray) -> np.ndarray:
        """q of images: those of the type as they are, pixels of uint8 less 128 where it is int8,
        floats by the scale."""
        if images.dtype == self.dtype:
            return images
        if images.dtype == np.uint8:
            return (images.astype(np.int16) - 128).astype(np.int8)
        return self.quantise(images)

    def quantise(self, x: np.ndarray, *, even: bool = False) -> np.ndarray:
        """q of float32 x: round(x / scale) + zero, halves away from zero or to `even`, clamped.

        Source: AffineQuantize, tensorflow/lite/kernels/internal/reference/quantize.h: the division
        is float32. To even: QuantizeLinear of ONNX.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # an infinity is clamped too
            steps = x.astype(np.float32) / np.float32(self.scale)
            steps = np.rint(steps) if even else round_half_away(steps)
        return np.clip(steps + self.zero, self.lo, self.hi).astype(self.dtype)

    def dequantise(self, q: np.ndarray) -> np.ndarray:
        """float32 (q - zero) * scale.

        Source: Dequantize, tensorflow/lite/kernels/internal/reference/dequantize.h.
        """
        return ((q.astype(np.int64) - self.zero) * np.float64(self.scale)).astype(np.float32)

    def level(self, x: float) -> int:
        """The q of a bound x of an activation function, clamped to the type.

        Source: CalculateActivationRangeQuantized, tensorflow/lite/kernels/kernel_util.cc.
        """
        return int(self.quantise(np.asarray(x)))
