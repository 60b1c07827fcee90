"""Accuracy of a network through golden as the widths of activations and weights shrink, overall and
layer by layer.

Schemes:

    both          activations and weights in linear dynamic fixed point of n bits
    activations   those of n bits, weights of 16
    weights       those of n bits, activations of 16
    codebook      activations of n bits, weights 15 shared values of a layer and 0, of 16 bits: 4
                  bits of index (compiler/sparse/share.py; Han et al., Deep Compression, ICLR 2016)

A width of n bits is that of a power-of-two format in which the largest value observed in
calibration still fits; beyond it values saturate. Of a layer, its weights and the tensor it reads
are narrow, and with that the tensors which must have the same format (a pool's input and output).
The arithmetic is golden's: psums are exact, rounded once. Nothing is retrained. Time: a run of
golden on all images for each figure.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from compiler.drawing import canvas
from compiler.graph import Graph
from compiler.layers import Conv
from compiler.progress import Progress, silent
from compiler.quantise.fixed_point import golden_run, quantise, quantise_input
from compiler.quantise.float_run import float_run
from compiler.sparse.share import share
from compiler.tables import new_table
from hdl.config import ENTRY_BITS

SCHEMES = ("both", "activations", "weights", "codebook")
LAYER_SCHEMES = ("both", "codebook")
WIDTHS = (16, 12, 10, 8, 7, 6, 5, 4, 3, 2)
LEAST = 2  # bits of a signed number that is not 0 or -1 only
MARGIN = 1.0  # of formats: headroom that 16 bits have to spare is a bit of four
COLOURS = {"both": "#2a6f97", "activations": "#8cb369", "weights": "#f4a259", "codebook": "#bc4b51"}


class PrecisionError(ValueError):
    """A study that cannot be made; one line."""


@dataclass(frozen=True)
class Accuracy:
    """layer: the one that is narrow, None for all; correct: of `images`."""

    scheme: str
    layer: str | None
    bits: int
    correct: int
    images: int

    @property
    def share(self) -> float:
        return self.correct / self.images


def shared_weights(graph: Graph, layers: set[str]) -> Graph:
    """The network with the weights of these layers replaced by their 15 shared values and 0."""
    return dataclasses.replace(
        graph,
        layers=[
            dataclasses.replace(layer, weights=share(layer.weights).values().astype(np.float32))
            if isinstance(layer, Conv) and layer.name in layers
            else layer
            for layer in graph.layers
        ],
    )


def predictions(
    graph: Graph,
    observed: np.ndarray,
    images: np.ndarray,
    activation_bits: dict[str, int],
    weight_bits: dict[str, int],
    psum_bits: int,
) -> np.ndarray:
    """The class of each image, by golden."""
    q = quantise(
        graph,
        observed,
        psum_bits=psum_bits,
        margin=MARGIN,
        activation_bits=activation_bits,
        weight_bits=weight_bits,
    )
    out = golden_run(q, quantise_input(q, images), keep={graph.output}).tensors[graph.output]
    return out.reshape(len(images), -1).argmax(1)


def check(widths: tuple[int, ...]) -> None:
    """Raises PrecisionError."""
    for bits in widths:
        if not LEAST <= bits <= ENTRY_BITS:
            raise PrecisionError(f"{bits} bits: must be {LEAST}..{ENTRY_BITS}")
    if not widths or len(set(widths)) < len(widths):
        raise PrecisionError(f"widths {', '.join(map(str, widths))}: give each once")


@dataclass
class Study:
    """Accuracies of a network at `widths`; reference: share of the images that floating point
    gets right."""

    widths: tuple[int, ...]
    images: int
    psum_bits: int
    reference: float
    found: list[Accuracy]

    def of(self, scheme: str, layer: str | None) -> list[Accuracy]:
        """By width, as these were asked for."""
        return [a for a in self.found if (a.scheme, a.layer) == (scheme, layer)]

    def least_width(self, scheme: str, layer: str | None, loss: float = 0.01) -> int | None:
        """The least width down to which no width lost more than `loss` against floating point; None
        if the widest did."""
        best = None
        for a in sorted(self.of(scheme, layer), key=lambda a: -a.bits):
            if a.share < self.reference - loss:
                break
            best = a.bits
        return best

    @property
    def layers(self) -> list[str]:
        """Those that were narrow alone."""
        return list(dict.fromkeys(a.layer for a in self.found if a.layer))

    def table(self, name: str) -> Table:
        """Accuracies by width, a row a scheme: all layers, then each."""
        table = new_table(
            f"{name}: {self.images} images through golden, right %; floating point "
            f"{100 * self.reference:.2f} %",
            ("narrow", "scheme"),
            "narrow",
            "scheme",
            *(f"{bits} bits" for bits in self.widths),
            "within 1 point",
        )
        for layer in (None, *self.layers):
            for scheme in SCHEMES if layer is None else LAYER_SCHEMES:
                least = self.least_width(scheme, layer)
                table.add_row(
                    layer or "all layers",
                    scheme,
                    *(f"{100 * a.share:.2f}" for a in self.of(scheme, layer)),
                    f"{least} bits" if least else "-",
                )
            table.add_section()
        return table

    def to_dict(self) -> dict:
        return {
            "images": self.images,
            "float": self.reference,
            "psum_bits": self.psum_bits,
            "widths": self.widths,
            "rows": [dataclasses.asdict(a) for a in self.found],
        }

    def plot(self, title: str, path: str | Path) -> None:
        """Write an SVG: accuracy by bits, on the left of all layers together, on the right of each
        alone, `both` drawn through and `codebook` dashed."""
        widths = sorted(self.widths, reverse=True)
        with canvas(path, (10, 4.2), 2 if self.layers else 1) as (figure, axes):
            left, *right = axes if self.layers else (axes,)
            for scheme in SCHEMES:
                left.plot(
                    *self._line(scheme, None),
                    color=COLOURS[scheme],
                    marker="o",
                    markersize=4,
                    label=scheme,
                )
            left.set_title("all layers", fontsize=9)
            left.set_ylabel("images right, %")
            for panel in right:
                for n, name in enumerate(self.layers):
                    for scheme, style in zip(LAYER_SCHEMES, ("-", "--")):
                        panel.plot(
                            *self._line(scheme, name),
                            color=f"C{n % 10}",
                            linestyle=style,
                            marker=".",
                            linewidth=1,
                            label=f"{name}, {scheme}",
                        )
                panel.set_title("one layer", fontsize=9)
            for panel in (left, *right):
                panel.axhline(
                    100 * self.reference,
                    color="#b0b0b0",
                    linestyle=":",
                    linewidth=1,
                    label="floating point",
                )
                panel.set_xticks(range(len(widths)), list(map(str, widths)))
                panel.set_xlabel("bits")
                panel.spines[["top", "right"]].set_visible(False)
                panel.legend(fontsize=7, frameon=False, loc="lower left")
            figure.suptitle(title, fontsize=10)

    def _line(self, scheme: str, layer: str | None) -> tuple[range, list[float]]:
        """Places and percents of a curve, the widest first."""
        points = sorted(self.of(scheme, layer), key=lambda a: -a.bits)
        return range(len(points)), [100 * a.share for a in points]


def narrowed(
    graph: Graph, scheme: str, layer: str | None, bits: int
) -> tuple[dict[str, int], dict[str, int]]:
    """(width by tensor, width by layer) of activations and weights; 16 where nothing is said.
    layer: None for all."""
    if bits == ENTRY_BITS:
        return {}, {}
    convs = {c.name: c.input for c in graph.layers if isinstance(c, Conv)}
    tensors = graph.tensors if layer is None else [convs[layer]]
    activations = {} if scheme == "weights" else dict.fromkeys(tensors, bits)
    weights = (
        dict.fromkeys(convs if layer is None else [layer], bits)
        if scheme in ("both", "weights")
        else {}
    )
    return activations, weights


def study(
    graph: Graph,
    observed: np.ndarray,
    images: np.ndarray,
    labels: np.ndarray,
    psum_bits: int,
    widths: tuple[int, ...] = WIDTHS,
    layers: bool = True,
    progress: Progress = silent,
) -> Study:
    """Figures of every scheme and width, for all layers together, then for each alone (`layers`).
    observed: raw images that formats are chosen by, none of those reported. progress: done, total,
    what is run. Raises PrecisionError."""
    check(widths)
    if not len(images) or len(labels) != len(images):
        raise PrecisionError(
            f"{len(images)} images, {len(labels)} labels: need as many labels, and one at least"
        )
    convs = [layer.name for layer in graph.layers if isinstance(layer, Conv)]
    todo = [(scheme, None, bits) for scheme in SCHEMES for bits in widths]
    if layers:
        todo += [
            (scheme, name, bits) for name in convs for scheme in LAYER_SCHEMES for bits in widths
        ]
    progress(0, len(todo), "floating point")
    floats = (
        float_run(graph, images, keep={graph.output})[graph.output]
        .reshape(len(images), -1)
        .argmax(1)
    )
    by_codebook = functools.cache(
        lambda name: shared_weights(graph, {name} if name else set(convs))
    )
    ran: dict[tuple, int] = {}  # 16 bits are 16 bits in every linear scheme
    found = []
    for at, (scheme, name, bits) in enumerate(todo):
        progress(at, len(todo), f"{name or 'all layers'}, {scheme}, {bits} bits")
        activations, weights = narrowed(graph, scheme, name, bits)
        which = (
            scheme == "codebook" and (name or "all"),
            tuple(activations.items()),
            tuple(weights.items()),
        )
        if which not in ran:
            guess = predictions(
                by_codebook(name) if scheme == "codebook" else graph,
                observed,
                images,
                activations,
                weights,
                psum_bits,
            )
            ran[which] = int(np.count_nonzero(guess == labels))
        found.append(Accuracy(scheme, name, bits, ran[which], len(images)))
    progress(len(todo), len(todo), "")
    return Study(widths, len(images), psum_bits, float((floats == labels).mean()), found)
