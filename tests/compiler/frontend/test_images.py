import gzip

import numpy as np
import pytest
from PIL import Image

from compiler.frontend.images import DataError, read_images, read_labels
from tests.data import shared

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (12, 1, 5, 4), np.uint8)
COLOUR = RNG.integers(0, 256, (3, 3, 5, 4), np.uint8)


def idx(array, code=8):
    head = bytes([0, 0, code, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return head + array.astype({8: ">u1", 0x0D: ">f4", 0x0C: ">i4"}[code]).tobytes()


def same(got, expected):
    assert got.dtype == np.float32 and got.shape == expected.shape and np.array_equal(got, expected)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("code", [8, 0x0D])
def test_idx(tmp_path, zipped, code):
    path = tmp_path / "images-idx3-ubyte"
    raw = idx(GREY[:, 0], code)
    path.write_bytes(gzip.compress(raw) if zipped else raw)
    same(read_images(path, (1, 5, 4)), GREY)


@pytest.mark.parametrize(
    "array,shape,expected",
    [
        (GREY, (1, 5, 4), GREY),
        (GREY[:, 0], (1, 5, 4), GREY),
        (GREY[0, 0], (1, 5, 4), GREY[:1]),
        (GREY.reshape(12, 20), (1, 5, 4), GREY),
        (COLOUR, (3, 5, 4), COLOUR),
        (COLOUR.transpose(0, 2, 3, 1), (3, 5, 4), COLOUR),
        (COLOUR[0], (3, 5, 4), COLOUR[:1]),
        (COLOUR[0].transpose(1, 2, 0), (3, 5, 4), COLOUR[:1]),
        (GREY.reshape(12, 20), (20, 1, 1), GREY.reshape(12, 20, 1, 1)),
    ],
)
def test_numpy_layouts(tmp_path, array, shape, expected):
    np.save(tmp_path / "a.npy", array)
    same(read_images(tmp_path / "a.npy", shape), expected)
    np.savez(tmp_path / "a.npz", labels=np.arange(3), images=array)
    same(read_images(tmp_path / "a.npz", shape), expected)
    np.savez(tmp_path / "b.npz", array)
    same(read_images(tmp_path / "b.npz", shape), expected)


def test_png_folder_in_natural_order(tmp_path):
    for i, image in enumerate(GREY):
        Image.fromarray(image[0]).save(tmp_path / f"digit{i}.png")
    (tmp_path / "notes.txt").write_text("not an image")
    same(read_images(tmp_path, (1, 5, 4)), GREY)
    same(read_images(tmp_path / "digit10.png", (1, 5, 4)), GREY[10:11])
    same(read_images(tmp_path / "digit3.png", (3, 5, 4)), np.repeat(GREY[3:4], 3, axis=1))


def test_colour_and_deep_png(tmp_path):
    Image.fromarray(COLOUR[0].transpose(1, 2, 0)).save(tmp_path / "c.png")
    same(read_images(tmp_path / "c.png", (3, 5, 4)), COLOUR[:1])
    deep = RNG.integers(0, 65536, (5, 4), np.uint16)
    Image.fromarray(deep).save(tmp_path / "d.png")
    same(read_images(tmp_path / "d.png", (1, 5, 4)), deep[None, None].astype(np.float32))


def test_labels(tmp_path):
    labels = np.array([3, 1, 4, 1, 5])
    (tmp_path / "l-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    np.save(tmp_path / "l.npy", labels)
    np.savez(tmp_path / "l.npz", images=np.zeros(2), labels=labels)
    (tmp_path / "l.txt").write_text("3\n1\n4\n1\n5\n")
    (tmp_path / "l.csv").write_text("3,1,4\n1, 5\n")
    for name in ("l-idx1-ubyte.gz", "l.npy", "l.npz", "l.txt", "l.csv"):
        got = read_labels(tmp_path / name, 5)
        assert got.dtype == np.int64 and got.tolist() == labels.tolist()
    with pytest.raises(DataError, match="l.txt: 5 labels for 6 images"):
        read_labels(tmp_path / "l.txt", 6)


def refused(message, function, *arguments):
    with pytest.raises(DataError, match=message) as raised:
        function(*arguments)
    assert "\n" not in str(raised.value)


def test_broken_images_are_refused_in_one_line(tmp_path):
    raw = idx(GREY[:, 0])
    for content, message in (
        (raw[:-1], "promises 240"),
        (b"", "not an IDX"),
        (b"\0\0\x08\x03\0", "not an IDX"),
        (b"text", "not an IDX"),
        (gzip.compress(raw)[:40], "corrupt gzip"),
        (idx(GREY[:0, 0]), "no images"),
        (idx(GREY[:, 0, :4]), r"\(12, 4, 4\).*1x5x4"),
    ):
        (tmp_path / "a").write_bytes(content)
        refused(f"a: .*{message}", read_images, tmp_path / "a", (1, 5, 4))
    for name in ("a.npy", "a.npz", "a.png"):
        (tmp_path / name).write_bytes(b"rubbish")
        refused(f"{name}: not a readable", read_images, tmp_path / name, (1, 5, 4))
    np.save(tmp_path / "text.npy", np.array(["a"]))
    refused("text.npy: holds <U1", read_images, tmp_path / "text.npy", (1, 5, 4))
    np.save(tmp_path / "nan.npy", np.full((1, 1, 5, 4), np.nan))
    refused("nan.npy: .*finite", read_images, tmp_path / "nan.npy", (1, 5, 4))
    np.savez(tmp_path / "none.npz")
    refused("none.npz: holds no array", read_images, tmp_path / "none.npz", (1, 5, 4))
    refused("absent: no such file", read_images, tmp_path / "absent", (1, 5, 4))
    (tmp_path / "folder").mkdir()
    refused("folder: folder holds no PNG", read_images, tmp_path / "folder", (1, 5, 4))
    Image.fromarray(GREY[0, 0]).save(tmp_path / "b.png")
    refused("b.png: .*does not fit", read_images, tmp_path / "b.png", (1, 4, 5))
    refused("b.png: .*takes 2", read_images, tmp_path / "b.png", (2, 5, 4))


def test_broken_labels_are_refused(tmp_path):
    (tmp_path / "l.txt").write_text("1 2 three")
    refused("l.txt: .*integers", read_labels, tmp_path / "l.txt")
    (tmp_path / "l.csv").write_text("")
    refused("l.csv: holds no labels", read_labels, tmp_path / "l.csv")
    np.save(tmp_path / "l.npy", np.zeros((2, 2)))
    refused("l.npy: float64", read_labels, tmp_path / "l.npy")
    refused("is a folder", read_labels, tmp_path)
    refused("no such file", read_labels, tmp_path / "absent.txt")


def test_mnist():
    images = read_images(shared("mnist/t10k-images-idx3-ubyte.gz"), (1, 28, 28))
    labels = read_labels(shared("mnist/t10k-labels-idx1-ubyte.gz"), 10_000)
    assert (
        images.shape == (10_000, 1, 28, 28)
        and images.max() == 255
        and labels[:4].tolist() == [7, 2, 1, 0]
    )
