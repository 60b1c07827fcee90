import numpy as np
import pytest

from golden.conv import conv2d, fc, matmul
from golden.fixed import wrap
from golden.geometry import auto_pads
from tests.onnx_models import model, node, reference

CASES = [  # N, C, H, W, M, R, S, stride, pads, groups
    (1, 1, 5, 5, 1, 1, 1, (1, 1), (0, 0, 0, 0), 1),
    (2, 3, 9, 8, 4, 3, 3, (1, 1), (1, 1, 1, 1), 1),
    (3, 4, 11, 10, 6, 5, 2, (2, 3), (0, 1, 2, 1), 2),
    (2, 6, 7, 7, 6, 3, 3, (2, 2), (1, 0, 0, 1), 6),
    (1, 2, 12, 33, 2, 12, 32, (4, 1), (0, 0, 0, 0), 1),
    (2, 4, 6, 6, 8, 2, 4, (1, 2), (2, 3, 0, 0), 4),
]


@pytest.mark.parametrize("n,c,h,w,m,r,s,stride,pads,groups", CASES)
def test_conv_against_the_reference(n, c, h, w, m, r, s, stride, pads, groups):
    rng = np.random.default_rng(1)
    x = rng.integers(-128, 128, (n, c, h, w))
    weights, bias = rng.integers(-64, 64, (m, c // groups, r, s)), rng.integers(-1000, 1000, m)
    onnx_model = model(
        [node("Conv", "x w b", strides=stride, pads=pads, group=groups)],
        x.shape,
        {"w": weights.astype(np.float32), "b": bias.astype(np.float32)},
    )
    expected = reference(onnx_model, x.astype(np.float32))  # every sum is below 2**24: exact
    sums = conv2d(
        x.astype(np.int16),
        weights.astype(np.int16),
        bias.astype(np.int32),
        stride=stride,
        pads=pads,
        groups=groups,
    )
    assert sums.exact.shape == expected.shape and np.array_equal(sums.exact, expected)
    assert sums.overflows == 0


@pytest.mark.parametrize("mode", ["VALID", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("kernel,stride", [((3, 2), (1, 1)), ((2, 4), (2, 3)), ((5, 5), (2, 2))])
def test_auto_pad_against_the_reference(mode, kernel, stride):
    rng = np.random.default_rng(2)
    x, weights = rng.integers(-99, 99, (1, 2, 8, 9)), rng.integers(-99, 99, (3, 2, *kernel))
    onnx_model = model(
        [node("Conv", "x w", strides=stride, auto_pad=mode)],
        x.shape,
        {"w": weights.astype(np.float32)},
    )
    pads = auto_pads(mode, x.shape[2:], kernel, stride)
    got = conv2d(x.astype(np.int16), weights.astype(np.int16), stride=stride, pads=pads).exact
    assert np.array_equal(got, reference(onnx_model, x.astype(np.float32)))


def test_gemm_against_the_reference():
    rng = np.random.default_rng(3)
    x, weights, bias = (
        rng.integers(-99, 99, (4, 50)),
        rng.integers(-99, 99, (7, 50)),
        rng.integers(-999, 999, 7),
    )
    onnx_model = model(
        [node("Gemm", "x w b", transB=1)],
        x.shape,
        {"w": weights.astype(np.float32), "b": bias.astype(np.float32)},
    )
    got = fc(x.astype(np.int16), weights.astype(np.int16), bias.astype(np.int32)).exact
    assert np.array_equal(got, reference(onnx_model, x.astype(np.float32)))


@pytest.mark.parametrize("bits", [24, 32])
def test_extreme_operands_wrap_and_are_counted(bits):
    x, weights = np.full((1, 8, 3, 3), -32768, np.int16), np.full((2, 8, 3, 3), -32768, np.int16)
    bias = np.array([(1 << 31) - 1, -(1 << 31)], np.int32)
    sums = conv2d(x, weights, bias, psum_bits=bits)
    assert sums.exact.ravel().tolist() == [(72 << 30) + int(b) for b in bias]
    assert np.array_equal(sums.wrapped, wrap(sums.exact, bits)) and sums.overflows == 2


def test_matmul_is_exact_beyond_float64():
    a, b = np.full((1, 3), (1 << 26) + 1), np.full((3, 1), (1 << 27) + 1)
    assert int(matmul(a, b)[0, 0]) == 3 * ((1 << 26) + 1) * ((1 << 27) + 1)


def test_shapes_that_do_not_fit_are_refused():
    x = np.zeros((1, 4, 3, 3), np.int16)
    with pytest.raises(ValueError, match="do not fit"):
        conv2d(x, np.zeros((2, 3, 1, 1), np.int16))
    with pytest.raises(ValueError, match="larger than"):
        conv2d(x, np.zeros((2, 4, 4, 1), np.int16))
    with pytest.raises(ValueError, match="bias"):
        conv2d(x, np.zeros((2, 4, 1, 1), np.int16), np.zeros(3, np.int32))
