"""Networks and their images, as `run`, `precision` and `compile` are given them."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cli.names import MODELS

if TYPE_CHECKING:
    import numpy as np

    from compiler.graph import Graph

OBSERVED = 2  # random images that a known network is calibrated on


@dataclass(frozen=True)
class Data:
    """Raw images and their labels, if there are any; `observed`: images to calibrate on, of which
    `note` says what they are."""

    images: np.ndarray
    labels: np.ndarray | None
    observed: np.ndarray
    note: str


def check_known(args: argparse.Namespace) -> None:
    """--net brings its own images. Raises ValueError."""
    if args.net is None:
        return
    for name in ("model", "images", "labels", "calib"):
        if getattr(args, name):
            raise ValueError(
                f"--net {args.net} comes with random weights and images: leave out --{name}"
            )
    if args.limit == 0:
        raise ValueError(f"--limit 0: images of --net {args.net} have no end; how many?")


def graph_of(args: argparse.Namespace) -> Graph:
    """The network of --net or --model, or LeNet-5."""
    from compiler.frontend.onnx_import import load
    from compiler.networks.classics import classic

    if args.model and str(args.model).lower().endswith(".tflite"):
        from compiler.frontend import tflite_import

        return tflite_import.load(args.model)
    if getattr(args, "net", None):
        return load(classic(args.net).SerializeToString())
    return load(args.model or MODELS / "lenet5.onnx")


def images_of(args: argparse.Namespace, graph: Graph) -> Data:
    """Of --images and what goes with it, or what the network brings. Raises DataError."""
    from compiler.frontend.images import DataError, read_labels

    if getattr(args, "net", None):
        return _random(args, graph)
    # The project's own networks come with its digits.
    own = args.model is None or Path(args.model).resolve().parent == MODELS
    if not own and args.images is None:
        raise DataError("IMAGES: a network of your own needs --images (IDX, .npy, .npz or PNG)")

    digits = own and args.images is None
    source = args.images or MODELS / "digits_heldout.npz"
    images, labels = images_from(source, graph), None
    if args.labels or digits or str(source).endswith(".npz") and _has_labels(source):
        labels = read_labels(args.labels or source)
        if len(labels) < len(images):
            raise DataError(
                f"{args.labels or source}: {len(labels)} labels for {len(images)} images"
            )

    limit = args.usual_limit if args.limit is None else args.limit
    number = len(images) if not limit else min(limit, len(images))
    if graph.integer:
        if args.calib:
            raise DataError(f"{args.calib}: a network of integers is not calibrated: no --calib")
        note = "the network's own integers: nothing was calibrated"
        return Data(images[:number], None if labels is None else labels[:number], images[:0], note)
    calib = args.calib or (MODELS / "digits_calibration.npz" if digits else None)
    if calib is not None:
        observed, note = calibration(calib, graph)
    else:
        observed, note = set_aside(source, images, number)
        if len(observed) == len(images):
            raise DataError(
                f"{source}: one image cannot be both calibrated on and reported; "
                "give --calib (CALIB=) or more images"
            )
        number = min(number, len(images) - len(observed))
        note += ", which are not reported"
    return Data(images[:number], None if labels is None else labels[:number], observed, note)


def images_from(path: str | Path, graph: Graph) -> np.ndarray:
    """Raw images of a file for a network. Raises DataError."""
    from compiler.frontend.images import read_images

    order = graph.channels_last
    return read_images(path, _shape(graph), keep=graph.integer, channels_last=order)


def calibration(path: str | Path, graph: Graph) -> tuple[np.ndarray, str]:
    """(raw images of the file of --calib, a note on them)."""
    observed = images_from(path, graph)
    return observed, f"calibrated on {len(observed)} images of {Path(path).name}"


def set_aside(source: str | Path, images: np.ndarray, reported: int) -> tuple[np.ndarray, str]:
    """(raw images to calibrate on, a note on them): the last of `images`, which are of the file
    `source`, namely those after the first `reported`; a fifth at least, 100 at most."""
    spare = min(100, max(len(images) - reported, (len(images) + 4) // 5))
    note = f"calibrated on the last {spare} of {len(images)} images of {Path(source).name}"
    return images[-spare:], note


def outputs(graph: Graph) -> str:
    """'outputs: y (10x1x1; softmax left to the host), z (16x5x5)'."""
    about = []
    for result in graph.results:
        size = "x".join(map(str, graph.tensors[result.tensor].shape))
        host = f"; {', '.join(result.host_ops)} left to the host" if result.host_ops else ""
        about.append(f"{result.name} ({size}{host})")
    return "outputs: " + ", ".join(about)


def host(graph: Graph) -> str:
    """'host: x is quantised from floats; y: dequantise, softmax', or '' without such work."""
    work = [f"{graph.input} is quantised from {graph.real_input}"] if graph.real_input else []
    work += [f"{each.name}: {', '.join(each.host_ops)}" for each in graph.results if each.host_ops]
    return "host: " + "; ".join(work) if work else ""


def _random(args: argparse.Namespace, graph: Graph) -> Data:
    """Images of a known network."""
    from compiler.networks.classics import classic_images

    number = args.limit or 1
    images = classic_images(_shape(graph), number + OBSERVED)
    note = f"{args.net}: random weights and images, calibrated on {OBSERVED} others"
    return Data(images[:number], None, images[number:], note)


def _shape(graph: Graph) -> tuple[int, int, int]:
    return graph.tensors[graph.input].shape


def _has_labels(path: str | Path) -> bool:
    import numpy as np

    with np.load(path) as archive:
        return "labels" in archive.files
