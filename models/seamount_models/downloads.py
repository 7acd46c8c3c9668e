"""Fetching a file from its home: whole and verified, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from seamount.errors import DataError

TIMEOUT = 20.0
"""Seconds without a byte after which a download is given up."""
CHUNK = 2**18


@dataclass(frozen=True)
class Remote:
    """A file at its home.

    Args:
        url: http, https or file.
        size: in bytes, or the most that it may be; what is longer is not it.
        checksum: `"sha256:..."` or `"md5:..."`, as its home publishes it.
        members: the files within it that are wanted, where it is a .zip or .tar.gz archive.
    """

    url: str
    size: int
    checksum: str
    members: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Names, without folders, of what `fetch` leaves in the folder."""
        return tuple(name.rpartition("/")[2] for name in self.members or (self.url,))


def fetch(remote: Remote, folder: Path, *, progress: bool = True) -> None:
    """Download a file, or what is wanted of an archive, into a folder; what is there already is left alone.

    The bytes go to a file beside it, which takes its name only after the checksum was right. So an interrupted download
    leaves nothing behind that a loader could take for the data.

    Args:
        remote: what to fetch.
        folder: is made where it is missing.
        progress: show a progress bar.

    Raises:
        DataError: no route, a wrong size or checksum, or a folder that cannot be written to.
    """
    if all((folder / name).is_file() for name in remote.files):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / remote.url.rpartition("/")[2]
        with _beside(path) as part:
            with part.open("wb") as file:
                _download(remote, file, path.name, progress)
            if remote.members:
                _extract(remote, part, folder)
            else:
                os.replace(part, path)
    except (OSError, HTTPException, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise DataError(
            f"{remote.url}: cannot be fetched ({reason}). Hint: fetch it where there is a route, and put "
            f"{', '.join(remote.files)} into {folder}."
        ) from error


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A temporary file in the same folder, gone at the end unless it was renamed."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _download(remote: Remote, file: IO[bytes], name: str, progress: bool) -> None:
    kind, _, want = remote.checksum.partition(":")
    found = hashlib.new(kind, usedforsecurity=False)
    done = 0
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with (
        urllib.request.urlopen(remote.url, timeout=TIMEOUT) as response,
        Progress(*columns, transient=True, disable=not progress) as bar,
    ):
        length = response.headers.get("Content-Length")
        total = int(length) if length and length.isdigit() else remote.size
        task = bar.add_task(f"fetch {name}", total=total)
        while chunk := response.read(CHUNK):
            done += len(chunk)
            if done > remote.size:
                raise DataError(f"{remote.url}: is longer than the {remote.size} bytes that it should have.")
            file.write(chunk)
            found.update(chunk)
            bar.advance(task, len(chunk))
    if found.hexdigest() != want:
        raise DataError(
            f"{remote.url}: {kind} of the {done} bytes received is {found.hexdigest()}, expected {want}. "
            "Hint: try again; the download was cut short or changed on its way."
        )


def _extract(remote: Remote, archive: Path, folder: Path) -> None:
    """Put the members of a verified archive into the folder; the paths within the archive decide nothing."""
    is_zip = remote.url.endswith(".zip")
    unpack: Any = zipfile.ZipFile if is_zip else tarfile.open
    with unpack(archive) as opened:
        held = set(opened.namelist()) if is_zip else {info.name for info in opened if info.isfile()}
        if missing := [name for name in remote.members if name not in held]:
            raise DataError(f"{remote.url}: holds no {', '.join(missing)}.")
        for name, file_name in zip(remote.members, remote.files, strict=True):
            with _beside(folder / file_name) as part:
                with opened.open(name) if is_zip else opened.extractfile(name) as source, part.open("wb") as target:
                    shutil.copyfileobj(source, target, CHUNK)
                os.replace(part, folder / file_name)
