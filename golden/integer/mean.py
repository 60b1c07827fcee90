"""The mean over rows and columns: a depthwise convolution of ones, by a multiplier of its own."""


def mean_multiplier(multiplier: int, shift: int, elements: int) -> tuple[int, int]:
    """(multiplier, shift) of the input's scale / the output's / elements, from those of the first
    quotient.

    The multiplier is divided as an integer, rounded down, after a left shift by the
    exponent of `elements`; it is 2**29 at least, so its leading 1 is not implied. The sum of q -
    zero is scaled with it, rounded `double`.
    Source: Prepare and QuantizedMeanOrSum of LiteRT's kernels/reduce.cc and reference/reduce.h.
    """
    left = min(elements.bit_length() - 1, 32, 31 + shift)
    return (multiplier << left) // elements, shift - left
