"""Reading images and labels: IDX, NumPy, PNG, text."""

import gzip
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

IMAGES = "images are read from IDX (gzipped or not), .npy, .npz, PNG or a folder of PNGs"
LABELS = "labels are read from IDX (gzipped or not), .npy, .npz, .txt or .csv"
# Other kinds that users bring: suffixes and first bytes.
OTHERS = {
    "JPEG": ((".jpg", ".jpeg", ".jpe", ".jfif"), b"\xff\xd8\xff"),
    "GIF": ((".gif",), b"GIF8"),
    "BMP": ((".bmp",), b"BM"),
    "WebP": ((".webp",), b"RIFF"),
    "TIFF": ((".tif", ".tiff"), (b"II*\0", b"MM\0*")),
}
MISNAMED = {".png": b"\x89PNG", ".npy": b"\x93NUMPY", ".npz": b"PK\x03\x04"}
IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


class DataError(ValueError):
    """Images or labels that cannot be used; one line that names the file, and shapes where they
    differ."""


def _other(path: Path, raw: bytes, reads: str) -> str:
    """What a file is that is no IDX. raw: its first bytes; reads: the kinds that could be."""
    for suffix, start in MISNAMED.items():
        if raw.startswith(start):
            kind = suffix[1:].upper()
            read = suffix in reads or kind in reads
            return f"{path}: a {kind} file{f': name it {suffix}' if read else ''}; {reads}"
    for kind, (suffixes, start) in OTHERS.items():
        if raw.startswith(start) or path.suffix.lower() in suffixes:
            then = ": convert it to PNG" if reads == IMAGES else ""
            return f"{path}: a {kind} file; {reads}{then}"
    return f"{path}: not an IDX file; {reads}"


def read_idx(path: Path, reads: str = IMAGES) -> np.ndarray:
    """The array of an IDX file, plain or gzipped. reads: what a message says of the other kinds.
    Raises DataError."""
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error):
            raise DataError(f"{path}: corrupt gzip data") from None
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in IDX_TYPES or len(raw) < 4 + 4 * raw[3]:
        raise DataError(_other(path, raw, reads))
    shape = tuple(int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(raw[3]))
    kind = np.dtype(IDX_TYPES[raw[2]])
    start, size = 4 + 4 * raw[3], kind.itemsize * int(np.prod(shape, dtype=object))
    if len(raw) - start != size:
        raise DataError(
            f"{path}: {len(raw) - start} bytes of data, its header {shape} promises {size}"
        )
    return np.frombuffer(raw, kind, offset=start).reshape(shape)


def _read_numpy(path: Path, key: str) -> np.ndarray:
    """A .npy, or the array `key` (else the first) of a .npz."""
    try:
        data = np.load(path, allow_pickle=False)
        if isinstance(data, np.ndarray):
            return data
        with data:
            if not data.files:
                raise DataError(f"{path}: holds no array")
            return data[key if key in data.files else data.files[0]]
    except (ValueError, EOFError, OSError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not a readable NumPy file") from None


def _natural(path: Path) -> list:
    """Sort key: digit 10 after digit 9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]


def _read_png(path: Path, channels: int) -> np.ndarray:
    """[1, C, H, W], grey or RGB as the network takes 1 or 3 channels."""
    try:
        with Image.open(path) as picture:
            if channels not in (1, 3):
                raise DataError(f"{path}: a PNG has 1 or 3 channels, the network takes {channels}")
            wide = picture.mode.startswith("I")  # 16 bits of grey
            data = np.asarray(picture if wide else picture.convert("L" if channels == 1 else "RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError):
        raise DataError(f"{path}: not a readable PNG file") from None
    if data.ndim == 2:
        data = np.repeat(data[:, :, None], channels, axis=2)
    return data.transpose(2, 0, 1)[None]


def _fit(
    data: np.ndarray, shape: tuple[int, int, int], path: Path, keep: bool, channels_last: bool
) -> np.ndarray:
    """[N, C, H, W] of an array of images in any of the usual layouts."""
    c, h, w = shape
    if data.dtype.kind not in "buif":
        raise DataError(f"{path}: holds {data.dtype}, not numbers")
    if data.size == 0:
        raise DataError(f"{path}: holds no images (shape {data.shape})")
    last = data.shape[1:]
    flat = last == (c * h * w,) or data.shape == (c * h * w,)
    if channels_last and (flat or last == (h, w, c) or data.shape == (h, w, c)):
        out = data.reshape(-1, h, w, c).transpose(0, 3, 1, 2)
    elif flat or last == shape or data.shape == shape:
        out = data.reshape(-1, c, h, w)
    elif c == 1 and (last == (h, w) or data.shape == (h, w)):
        out = data.reshape(-1, 1, h, w)
    elif last == (h, w, c):
        out = data.transpose(0, 3, 1, 2)
    elif data.shape == (h, w, c):
        out = data.transpose(2, 0, 1)[None]
    else:
        raise DataError(f"{path}: shape {data.shape} does not fit the network's input {c}x{h}x{w}")
    if keep and data.dtype in (np.int8, np.uint8):
        return out
    with np.errstate(over="ignore"):
        out = out.astype(np.float32)
    if not np.isfinite(out).all():
        raise DataError(f"{path}: holds values that are not finite")
    return out


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such file")
    return path


def read_images(
    path: str | Path,
    shape: tuple[int, int, int],
    *,
    keep: bool = False,
    channels_last: bool = False,
) -> np.ndarray:
    """Raw pixel values, float32 [N, C, H, W], for a network whose input is `shape` (C, H, W). keep:
    those of 8 bits keep their type; channels_last: flattened images are of rows of pixels, and so
    is what could be of channels too.

    path: IDX or IDX.gz, .npy, .npz (array 'images', else the first), a PNG or a folder of PNGs (in
    natural order of their names). Channels first or last, flattened, and a single image are
    accepted. Raises DataError: missing, corrupt, empty, not finite or of another shape.
    """
    path = _existing(path)
    if path.is_dir():
        files = sorted((p for p in path.iterdir() if p.suffix.lower() == ".png"), key=_natural)
        if not files:
            jpegs = sorted(p.name for p in path.iterdir() if p.suffix.lower() in OTHERS["JPEG"][0])
            why = f" but JPEGs ({jpegs[0]}): convert them to PNG" if jpegs else ""
            raise DataError(f"{path}: folder holds no PNG file{why}; {IMAGES}")
        pictures = [_fit(_read_png(p, shape[0]), shape, p, keep, False) for p in files]
        return np.concatenate(pictures)
    match path.suffix.lower():
        case ".npy" | ".npz":
            data = _read_numpy(path, "images")
        case ".png":
            data, channels_last = _read_png(path, shape[0]), False
        case _:
            data = read_idx(path)
    return _fit(data, shape, path, keep, channels_last)


def read_labels(path: str | Path, count: int | None = None) -> np.ndarray:
    """int64 [N] from IDX or IDX.gz, .npy, .npz (array 'labels', else the first), or .txt / .csv of
    integers.

    Raises DataError: missing, corrupt, not a vector of integers, or not `count` of them.
    """
    path = _existing(path)
    match path.suffix.lower():
        case ".npy" | ".npz":
            data = _read_numpy(path, "labels")
        case ".txt" | ".csv":
            try:
                words = path.read_text(encoding="utf-8").replace(",", " ").split()
                data = np.array([int(word) for word in words], np.int64)
            except (ValueError, OverflowError):
                raise DataError(f"{path}: holds something other than integers") from None
        case _:
            if path.is_dir():
                raise DataError(f"{path}: is a folder")
            data = read_idx(path, LABELS)
    if data.ndim != 1 or data.dtype.kind not in "iu":
        raise DataError(f"{path}: {data.dtype} of shape {data.shape}, not a list of integer labels")
    if data.size == 0:
        raise DataError(f"{path}: holds no labels")
    if count is not None and len(data) != count:
        raise DataError(f"{path}: {len(data)} labels for {count} images")
    return data.astype(np.int64)
