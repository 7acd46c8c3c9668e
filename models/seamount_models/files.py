"""Where data files lie, and how they are read: nothing in a file is ever run, and sizes are checked before use."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np

from seamount.errors import DataError


def data_folder() -> Path:
    """Return the folder with the data sets: `SEAMOUNT_DATA`, or `shared/data` beside the checkout."""
    if folder := os.environ.get("SEAMOUNT_DATA"):
        return Path(folder)
    return Path(__file__).resolve().parents[3] / "shared" / "data"


def read_npz(filename: str, arrays: dict[str, tuple[np.dtype, tuple[int, ...]]], hint: str) -> dict[str, np.ndarray]:
    """Read named arrays from an .npz file in the data folder.

    Args:
        filename: within `data_folder()`.
        arrays: name -> (dtype, shape) that the file must hold; the headers are compared before anything is allocated.
        hint: how to come by the file, for the message where it is missing.

    Raises:
        DataError: the file is missing, damaged, or holds something else.
    """
    path = data_folder() / filename
    if not path.is_file():
        raise DataError(f"{path}: no such file. Hint: {hint} The environment variable SEAMOUNT_DATA names the folder.")
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: _read_array(archive, path, name, *want) for name, want in arrays.items()}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: is not a readable .npz file ({error}).") from error


def _read_array(archive: zipfile.ZipFile, path: Path, name: str, dtype, shape: tuple[int, ...]) -> np.ndarray:
    """One array, its header checked first."""
    if f"{name}.npy" not in archive.namelist():
        raise DataError(f"{path}: has no array {name!r}.")
    with archive.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        found_shape, fortran, found_dtype = read_header(file)
        if found_shape != shape or found_dtype != dtype or fortran:
            raise DataError(
                f"{path}: {name} is {found_dtype} {found_shape}, expected {np.dtype(dtype)} {shape} in C order."
            )
        size = int(np.prod(shape)) * found_dtype.itemsize
        content = file.read(size)
    if len(content) != size:
        raise DataError(f"{path}: {name} is cut short ({len(content)} of {size} bytes).")
    return np.frombuffer(bytearray(content), found_dtype).reshape(shape)
