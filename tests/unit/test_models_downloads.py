"""Downloads: whole and verified, or not at all."""

import hashlib
import http.server
import io
import socket
import tarfile
import threading
import zipfile
from contextlib import contextmanager

import pytest

from seamount.errors import DataError
from seamount_models.downloads import Remote, fetch

CONTENT = bytes(range(256)) * 4000


def checksum(content, kind="sha256"):
    return f"{kind}:{hashlib.new(kind, content).hexdigest()}"


@contextmanager
def serving(content, sent=None):
    """A server on this machine that announces all of the content and sends the first `sent` bytes of it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:sent])

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/a.bin"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_file_arrives_whole(tmp_path):
    with serving(CONTENT) as url:
        fetch(Remote(url, len(CONTENT), checksum(CONTENT)), tmp_path / "new", progress=False)
    assert (tmp_path / "new/a.bin").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.bin"]


def test_what_is_there_is_not_fetched_again(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"mine")
    fetch(Remote("http://127.0.0.1:9/a.bin", 4, "md5:0"), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == b"mine"


def test_an_interrupted_download_leaves_nothing(tmp_path):
    with (
        serving(CONTENT, sent=len(CONTENT) // 2) as url,
        pytest.raises(DataError, match=r"a\.bin: sha256 of the 512000 bytes.*Hint: try again|cannot be fetched"),
    ):
        fetch(Remote(url, len(CONTENT), checksum(CONTENT)), tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_is_stopped_by_hand_leaves_nothing(tmp_path, monkeypatch):
    def stopped(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("seamount_models.downloads.hashlib.new", stopped)
    with serving(CONTENT) as url, pytest.raises(KeyboardInterrupt):
        fetch(Remote(url, len(CONTENT), checksum(CONTENT)), tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


def file_url(path, content):
    path.write_bytes(content)
    return path.as_uri()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"checksum": checksum(b"other", "md5")}, r"md5 of the 1024000 bytes received is \w+, expected \w+\. Hint"),
        ({"size": 1000}, r"is longer than the 1000 bytes that it should have"),
        ({"members": ("b.bin",)}, r"(?s)cannot be fetched.*put b\.bin into"),
    ],
)
def test_what_is_not_the_file_is_refused(tmp_path, change, message):
    url = file_url(tmp_path / "a.bin", CONTENT)
    options = {"size": len(CONTENT), "checksum": checksum(CONTENT)} | change
    with pytest.raises(DataError, match=message):
        fetch(Remote(url, **options), tmp_path / "to", progress=False)
    assert list((tmp_path / "to").iterdir()) == []


def test_no_route_says_what_to_put_where(tmp_path):
    with pytest.raises(DataError, match=r"cannot be fetched \(.+\)\. Hint: .*put a\.bin into .*" + tmp_path.name):
        fetch(Remote("http://127.0.0.1:9/a.bin", 4, "md5:0"), tmp_path)


def zipped(names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, name.encode())
    return buffer.getvalue()


def tarred(names):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            archive.addfile(info, io.BytesIO(name.encode()))
    return buffer.getvalue()


@pytest.mark.parametrize(("suffix", "pack"), [("zip", zipped), ("tar.gz", tarred)])
def test_of_an_archive_only_what_is_wanted_is_kept_and_never_outside(tmp_path, suffix, pack):
    content = pack(["in/x.bin", "in/y.bin", "in/not_wanted.bin", "../escaped.bin"])
    url = file_url(tmp_path / f"a.{suffix}", content)
    wanted = ("in/x.bin", "in/y.bin", "../escaped.bin")
    fetch(Remote(url, len(content), checksum(content), wanted), tmp_path / "to", progress=False)
    assert {p.name: p.read_text() for p in (tmp_path / "to").iterdir()} == {n.split("/")[-1]: n for n in wanted}
    assert not (tmp_path / "escaped.bin").exists()
    with pytest.raises(DataError, match=r"holds no in/z\.bin"):
        fetch(Remote(url, len(content), checksum(content), ("in/z.bin",)), tmp_path / "to", progress=False)


def test_a_home_that_does_not_answer_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("seamount_models.downloads.TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connections wait in its queue for ever
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.bin"
        with pytest.raises(DataError, match=r"cannot be fetched \(timed out\)\. Hint"):
            fetch(Remote(url, 4, "md5:0"), tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []
