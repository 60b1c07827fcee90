"""The precision study: narrow formats by hand, what is narrow where, and the figures of a small
run."""

import json

import numpy as np
import pytest

import cli
from compiler.graph import Graph, Tensor
from compiler.layers import Conv, Pool
from compiler.quantise.fixed_point import golden_run, quantise, quantise_input
from compiler.sparse.share import share
from compiler.studies.precision import (
    LAYER_SCHEMES,
    SCHEMES,
    Accuracy,
    PrecisionError,
    Study,
    predictions,
    shared_weights,
    study,
)


def graph():
    """Two layers of 1 x 1 with a pool between; classes are the signs of a sum and a difference."""
    rng = np.random.default_rng(3)
    first = rng.normal(size=(8, 2, 1, 1)).astype(np.float32)
    second = rng.normal(size=(4, 8, 1, 1)).astype(np.float32)
    layers = [
        Conv("a", "in", "mid", first, np.zeros(8, np.float32), relu=True),
        Pool("pool", "max", "mid", "pooled", (2, 2), (2, 2), (0, 0, 0, 0), (0, 0, 0, 0)),
        Conv("b", "pooled", "out", second, np.zeros(4, np.float32), full=True),
    ]
    return Graph(
        "in",
        "out",
        layers,
        {
            "in": Tensor("in", 2, 2, 2),
            "mid": Tensor("mid", 8, 2, 2),
            "pooled": Tensor("pooled", 8),
            "out": Tensor("out", 4),
        },
    )


IMAGES = np.random.default_rng(5).normal(size=(40, 2, 2, 2))


def test_narrow_formats():
    """n bits are the format of 16 less by 16 - n, and values stay within them; a pool's tensors
    go together."""
    wide = quantise(graph(), IMAGES, margin=1.0)
    q = quantise(graph(), IMAGES, margin=1.0, activation_bits={"pooled": 5}, weight_bits={"b": 6})
    assert q.bits == {"mid": 5, "pooled": 5}
    # 2**15 - 1 and 2**4 - 1 are no powers of two
    assert wide.formats["mid"] - q.formats["mid"] in (11, 12)
    assert q.formats["in"] == wide.formats["in"]
    assert wide.convs["b"].fraction - q.convs["b"].fraction in (10, 11)
    assert np.array_equal(q.convs["a"].weights, wide.convs["a"].weights)
    assert np.abs(q.convs["b"].weights).max() <= 31 and np.abs(wide.convs["b"].weights).max() > 31
    run = golden_run(q, quantise_input(q, 4 * IMAGES))
    assert (
        run.tensors["mid"].max() == 15
        and run.tensors["pooled"].max() == 15
        and run.tensors["in"].max() > 15
    )
    narrow = quantise(graph(), IMAGES, margin=1.0, activation_bits={"in": 4})
    x = quantise_input(narrow, 9 * IMAGES)
    assert (x.min(), x.max()) == (-8, 7) and narrow.bits == {"in": 4}


def test_widths_of_16_change_nothing():
    q = quantise(graph(), IMAGES, activation_bits={"in": 16, "mid": 16}, weight_bits={"a": 16})
    plain = quantise(graph(), IMAGES)
    assert q.bits == {} and q.formats == plain.formats and q.summary() == plain.summary()


def test_shared_weights():
    g, w = shared_weights(graph(), {"b"}), graph().layers[2].weights
    got, centroids = g.layers[2].weights, share(w).centroids
    assert len(np.unique(got)) <= 15 < len(np.unique(w)) == 32
    nearest = np.abs(w[..., None] - centroids).min(-1)
    assert np.allclose(np.abs(got - w), nearest, atol=1e-6)
    assert np.array_equal(g.layers[0].weights, graph().layers[0].weights)


def test_study():
    """Figures are those of single runs; labels are golden's own at 16 bits, so that these are
    all right."""
    g = graph()
    labels = predictions(g, IMAGES, IMAGES, {}, {}, 32)
    seen = []
    result = study(g, IMAGES, IMAGES, labels, 32, (16, 3), progress=lambda *now: seen.append(now))
    found = result.found
    assert [(a.scheme, a.layer, a.bits) for a in found] == [
        *((s, None, n) for s in SCHEMES for n in (16, 3)),
        *((s, layer, n) for layer in "ab" for s in LAYER_SCHEMES for n in (16, 3)),
    ]
    by = {(a.scheme, a.layer, a.bits): a.correct for a in found}
    assert (
        all(by[s, None, 16] == 40 for s in SCHEMES if s != "codebook") and by["both", "a", 16] == 40
    )
    assert by["both", None, 3] < 40
    narrow = dict.fromkeys(g.tensors, 3)
    for key, activations, weights in (
        (("both", None, 3), narrow, {"a": 3, "b": 3}),
        (("activations", None, 3), narrow, {}),
        (("weights", None, 3), {}, {"a": 3, "b": 3}),
        (("both", "b", 3), {"pooled": 3}, {"b": 3}),
    ):
        guess = predictions(g, IMAGES, IMAGES, activations, weights, 32)
        assert by[key] == np.count_nonzero(guess == labels), key
    guess = predictions(shared_weights(g, {"a"}), IMAGES, IMAGES, {"in": 3}, {}, 32)
    assert by["codebook", "a", 3] == np.count_nonzero(guess == labels)
    assert seen[0][:2] == (0, len(found)) and seen[-1][:2] == (len(found), len(found))
    assert result.layers == ["a", "b"] and [a.bits for a in result.of("weights", None)] == [16, 3]


def test_least_width():
    """The width before the first that loses too much, though a narrower one may be as good
    again."""

    def of(reference):
        return Study(
            (16, 8, 6, 4),
            100,
            32,
            reference,
            [
                Accuracy("both", None, bits, right, 100)
                for bits, right in ((16, 99), (8, 98), (6, 90), (4, 99))
            ],
        )

    assert of(0.985).least_width("both", None) == 8
    assert of(1.0).least_width("both", None) == 16
    assert of(1.0).least_width("both", None, 0.001) is None


@pytest.mark.parametrize("widths", [(17,), (1,), (8, 8), ()])
def test_bad_widths(widths):
    with pytest.raises(PrecisionError):
        study(graph(), IMAGES, IMAGES, np.zeros(40, int), 32, widths)
    with pytest.raises(PrecisionError, match="39 labels"):
        study(graph(), IMAGES, IMAGES, np.zeros(39, int), 32)


def test_command(tmp_path, capsys):
    """LeNet-5 on some digits: as good as in floating point at 16 bits, no better than chance by
    far at 2."""
    files = ["--json", str(tmp_path / "x.json"), "--plot", str(tmp_path / "x.svg")]
    assert cli.main(["precision", "--limit", "60", "--bits", "16", "2", "--overall", *files]) == 0
    report = json.loads((tmp_path / "x.json").read_text())
    assert report["command"] == 'make precision LIMIT=60 BITS="16 2"'
    right = {(r["scheme"], r["bits"]): r["correct"] for r in report["rows"]}
    assert right["both", 16] == right["weights", 16] == round(60 * report["float"]) >= 57
    assert right["both", 2] < 40 and len(report["rows"]) == 8 and report["images"] == 60
    assert "<svg" in (tmp_path / "x.svg").read_text()


@pytest.mark.parametrize(
    "given, said",
    [
        (["--bits", "17"], "17 bits"),
        (["--model", "nothing.onnx"], "nothing.onnx: no such file"),
        (["--bits", "8", "8"], "give each once"),
    ],
)
def test_bad_input(given, said, capsys):
    assert cli.main(["precision", *given]) == 2
    assert said in capsys.readouterr().err
