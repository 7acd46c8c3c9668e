"""Where data files lie, and how they are read: nothing in a file is ever run, and sizes are checked before use."""

from __future__ import annotations

import gzip
import os
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from seamount.errors import DataError

MAX_BYTES = 2**32
"""No array of a data set here is larger; a header that asks for more is wrong."""


def data_folder() -> Path:
    """Return the folder with the data sets: `SEAMOUNT_DATA`, or `shared/data` beside the checkout."""
    if folder := os.environ.get("SEAMOUNT_DATA"):
        return Path(folder)
    return Path(__file__).resolve().parents[3] / "shared" / "data"


def locate(filename: str, hint: str, *, elsewhere: Sequence[Path] = ()) -> Path:
    """Return where a file of the data folder lies.

    Args:
        filename: within `data_folder()`.
        hint: how to come by the file, for the message where it is missing.
        elsewhere: further places for it.

    Raises:
        DataError: it is in none of them.
    """
    path = data_folder() / filename
    for place in (path, *elsewhere):
        if place.is_file():
            return place
    raise DataError(f"{path}: no such file. Hint: {hint} The environment variable SEAMOUNT_DATA names the folder.")


def read_npz(
    filename: str, arrays: dict[str, tuple[np.dtype, tuple[int | None, ...]]], hint: str
) -> dict[str, np.ndarray]:
    """Read named arrays from an .npz file in the data folder.

    Args:
        filename: within `data_folder()`.
        arrays: name -> (dtype, shape) that the file must hold, None where a length is free; the headers are compared
            with that and with the size of the file before anything is allocated.
        hint: how to come by the file, for the message where it is missing.

    Raises:
        DataError: the file is missing, damaged, or holds something else.
    """
    path = locate(filename, hint)
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: _read_member(archive, path, name, *want) for name, want in arrays.items()}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: is not a readable .npz file ({error}).") from error


def read_npy(path: Path, dtypes: Sequence[np.dtype], shape: tuple[int | None, ...]) -> np.ndarray:
    """Read an .npy file that must hold one of those dtypes and that shape, None where a length is free.

    Raises:
        DataError: the file is damaged or holds something else.
    """
    try:
        with path.open("rb") as file:
            return _read_array(file, path.stat().st_size, str(path), dtypes, shape)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: is not a readable .npy file ({error}).") from error


IDX_BYTES = 8
"""Type code of unsigned bytes in an idx file."""


def read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read a gzipped idx file of bytes, the format of MNIST: 0, 0, type, number of dimensions, sizes (big-endian).

    Args:
        path: of the .gz file.
        shape: what it must hold.

    Raises:
        DataError: the file is damaged or holds something else.
    """
    try:
        with gzip.open(path) as file:
            header = file.read(4 + 4 * len(shape))
            want = bytes([0, 0, IDX_BYTES, len(shape)]) + np.array(shape, ">u4").tobytes()
            if header != want:
                raise DataError(
                    f"{path}: begins with {header.hex(' ', 4)}, expected {want.hex(' ', 4)}: bytes {shape}."
                )
            return _fill(file.readinto, np.empty(shape, np.uint8), str(path))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: is not a readable .gz file ({error}).") from error


def _read_member(archive: zipfile.ZipFile, path: Path, name: str, dtype, shape: tuple[int | None, ...]) -> np.ndarray:
    if f"{name}.npy" not in archive.namelist():
        raise DataError(f"{path}: has no array {name!r}.")
    with archive.open(f"{name}.npy") as file:
        return _read_array(file, archive.getinfo(f"{name}.npy").file_size, f"{path}: {name}", (dtype,), shape)


def _read_array(
    file, file_size: int, what: str, dtypes: Sequence[np.dtype], shape: tuple[int | None, ...]
) -> np.ndarray:
    """One array in NumPy's format, its header checked first."""
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    found_shape, fortran, found_dtype = read_header(file)
    fits = len(found_shape) == len(shape) and all(
        want in (None, got) for want, got in zip(shape, found_shape, strict=True)
    )
    if not fits or found_dtype not in dtypes:
        wanted = str(tuple("any" if n is None else n for n in shape)).replace("'", "")
        raise DataError(f"{what} is {found_dtype} {found_shape}, expected {' or '.join(map(str, dtypes))} {wanted}.")
    size = int(np.prod(found_shape, dtype=object)) * found_dtype.itemsize
    held = file_size - file.tell()
    if held < size:
        raise DataError(f"{what} is cut short ({held} of {size} bytes).")
    if size > MAX_BYTES:
        raise DataError(f"{what} asks for {size} bytes (allowed {MAX_BYTES}).")
    if fortran:
        return np.ascontiguousarray(_fill(file.readinto, np.empty(found_shape[::-1], found_dtype), what).T)
    return _fill(file.readinto, np.empty(found_shape, found_dtype), what)


def _fill(readinto: Callable, array: np.ndarray, what: str) -> np.ndarray:
    """Read until the array is full; without a copy, because a data set may take half of the memory."""
    content = array.reshape(-1).view(np.uint8)
    done = 0
    while done < len(content):
        read = readinto(content[done:].data)
        if not read:
            raise DataError(f"{what} is cut short ({done} of {len(content)} bytes).")
        done += read
    return array
