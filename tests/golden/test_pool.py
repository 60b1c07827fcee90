import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from golden.geometry import output_size, pool_geometry
from golden.pool import average_pool, max_pool
from tests.onnx_models import model, node, reference, runtime

KERNELS = [((2, 2), (2, 2)), ((3, 3), (2, 2)), ((3, 2), (1, 2)), ((3, 3), (3, 2))]
PADS = [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 1, 0)]
FORMS = [("NOTSET", p) for p in PADS] + [
    (mode, None) for mode in ("VALID", "SAME_UPPER", "SAME_LOWER")
]


def cases(op, ceil, include, form, pads, references):
    """(ours, theirs, x, geometry, kernel, stride) of one form over all sizes and kernels."""
    rng = np.random.default_rng(0)
    for size, (kernel, stride) in itertools.product([(7, 6), (5, 8)], KERNELS):
        x = rng.integers(-32768, 32768, (2, 3, *size))
        attributes = dict(kernel_shape=kernel, strides=stride, ceil_mode=int(ceil), auto_pad=form)
        if pads is not None:
            attributes["pads"] = pads
        if op == "AveragePool":
            attributes["count_include_pad"] = int(include)
        geometry = pool_geometry(
            size,
            kernel,
            stride,
            pads or (0, 0, 0, 0),
            auto_pad=form,
            ceil_mode=ceil,
            count_include_pad=include,
        )
        onnx_model = model([node(op, "x", **attributes)], x.shape)
        for run in references:
            yield (
                x.astype(np.int16),
                run(onnx_model, x.astype(np.float32)),
                geometry,
                kernel,
                stride,
            )


def references(op, form, ceil):
    """onnxruntime extends VALID under ceil_mode, which the operator's definition does not;
    onnx.reference drops or refuses other combinations. Each form has at least one reference that
    follows the definition."""
    if form == "VALID" and ceil:
        return [reference] if op == "MaxPool" else []
    trusted = not ceil and not (op == "MaxPool" and form == "SAME_LOWER")
    return [runtime, reference] if trusted else [runtime]


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("form,pads", FORMS)
def test_max_against_the_references(form, pads, ceil):
    for x, expected, geometry, kernel, stride in cases(
        "MaxPool", ceil, False, form, pads, references("MaxPool", form, ceil)
    ):
        got = max_pool(x, kernel, stride, geometry.pads)
        assert (
            got.dtype == np.int16 and got.shape == expected.shape and np.array_equal(got, expected)
        )


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("form,pads", FORMS)
def test_average_against_the_references(form, pads, ceil, include):
    for x, expected, geometry, kernel, stride in cases(
        "AveragePool", ceil, include, form, pads, references("AveragePool", form, ceil)
    ):
        got = average_pool(x, kernel, stride, geometry.pads, geometry.count)
        assert got.shape == expected.shape and np.abs(got - expected).max() <= 1


def slow_average(x, kernel, stride, pads, count):
    """Independent of golden: exact fractions, window by window."""
    _, _, height, width = x.shape
    e, f = output_size((height, width), kernel, stride, pads)
    out = np.empty((*x.shape[:2], e, f), int)
    for i, j in itertools.product(range(e), range(f)):
        rows = range(i * stride[0] - pads[0], i * stride[0] - pads[0] + kernel[0])
        columns = range(j * stride[1] - pads[1], j * stride[1] - pads[1] + kernel[1])
        n = sum(count[0] <= y < count[2] for y in rows) * sum(
            count[1] <= c < count[3] for c in columns
        )
        total = sum(
            (
                x[:, :, y, c].astype(int)
                for y in rows
                for c in columns
                if 0 <= y < height and 0 <= c < width
            ),
            np.zeros(x.shape[:2], int),
        )
        shift = 30 + math.ceil(math.log2(n)) if n else 0
        scale = math.ceil(Fraction(2**shift, n)) if n else 0
        out[:, :, i, j] = [
            [
                max(
                    -32768,
                    min(
                        32767,
                        math.floor(Fraction(int(t) * scale, 2**shift) + Fraction(1, 2)) if n else 0,
                    ),
                )
                for t in row
            ]
            for row in total
        ]
    return out


@pytest.mark.parametrize("ceil,include", [*itertools.product([False, True], repeat=2)])
def test_average_is_exact(ceil, include):
    rng = np.random.default_rng(5)
    for (kernel, stride), pads in itertools.product(
        [*KERNELS, ((7, 6), (1, 1)), ((2, 1), (3, 2))], PADS
    ):
        x = rng.choice(
            [-32768, -32767, -1, 0, 1, 32767, *rng.integers(-32768, 32768, 6)], (1, 2, 7, 6)
        ).astype(np.int16)
        geometry = pool_geometry(
            (7, 6), kernel, stride, pads, ceil_mode=ceil, count_include_pad=include
        )
        got = average_pool(x, kernel, stride, geometry.pads, geometry.count)
        assert np.array_equal(got, slow_average(x, kernel, stride, geometry.pads, geometry.count))


def test_empty_windows():
    x = np.full((1, 1, 2, 2), -5, np.int16)
    assert max_pool(x, (1, 1), (1, 1), (1, 0, 0, 0))[0, 0].tolist() == [
        [-32768] * 2,
        [-5] * 2,
        [-5] * 2,
    ]
    assert average_pool(x, (1, 1), (1, 1), (1, 0, 0, 0))[0, 0].tolist() == [
        [0] * 2,
        [-5] * 2,
        [-5] * 2,
    ]


def test_no_window_is_refused():
    with pytest.raises(ValueError, match="larger than"):
        pool_geometry((2, 2), (3, 3), (1, 1))
    with pytest.raises(ValueError, match="larger than"):
        max_pool(np.zeros((1, 1, 2, 2), np.int16), (3, 3), (1, 1))
