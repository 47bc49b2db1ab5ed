"""Downloads against a real server on loopback: resumed, cut off, wrong, or not there at all."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from ganlib.config import Cifar10, DataConfig, Idx
from ganlib.data import download, prepare
from ganlib.data.download import obtain_cifar10, obtain_idx
from ganlib.data.publishers import MNIST, NAMES, IdxSet, Published
from ganlib.data.sources import Surroundings
from ganlib.data.sources.cifar10 import BINARY, RECORD, BinarySource
from ganlib.data.sources.idx import IdxSource, find_four
from ganlib.errors import DataError


@dataclass
class Site:
    """Files by name; `cut` sends that many bytes at most and hangs up; `ranges` are requests'."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cut: int | None = None
    resumable: bool = True
    ranges: list[str] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    state = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = state.files.get(self.path.strip("/"))
            if content is None:
                self.send_error(404)
                return
            asked = self.headers.get("Range", "")
            state.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            if asked and state.resumable and start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = start if state.resumable else 0
            self.send_response(206 if start else 200)
            if start:
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            body = content[start:]
            self.wfile.write(body if state.cut is None else body[: state.cut])

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    server.server_close()


def _idx_set(site: Site) -> IdxSet:
    """Six random images in MNIST's format, published on the site."""
    rng = np.random.default_rng(0)
    contents = []
    for count in (4, 2):
        images = rng.integers(0, 256, (count, 9, 9), dtype=np.uint8)
        contents.append(struct.pack(">IIII", 0x803, count, 9, 9) + images.tobytes())
        contents.append(struct.pack(">II", 0x801, count) + bytes(range(count)))
    files = []
    for name, content in zip(NAMES, contents, strict=True):
        site.files[f"{name}.gz"] = gzip.compress(content)
        digest = hashlib.sha256(content).hexdigest()
        files.append(Published(name, f"{site.url}/{name}.gz", digest))
    a, b, c, d = files
    return IdxSet("tiny", ("tiny",), tuple("0123"), (a, b, c, d))


def _around(tmp_path: Path, **more: object) -> Surroundings:
    return Surroundings(downloads=tmp_path / "downloads", **more)  # type: ignore[arg-type]


def test_four_files_come_and_are_read(site: Site, tmp_path: Path) -> None:
    known = _idx_set(site)
    log: list[tuple[str, int, int]] = []
    folder = obtain_idx(known, _around(tmp_path, progress=lambda *now: log.append(now)))
    four = find_four(folder)
    assert four is not None
    source = IdxSource(four, known.classes, known.files)
    assert source.count == 6
    assert source.train.read(0, 4).shape == (4, 9, 9, 1)
    length = len(site.files["train-images-idx3-ubyte.gz"])
    assert ("tiny: train-images-idx3-ubyte.gz", length, length) in log
    site.files.clear()
    assert obtain_idx(known, _around(tmp_path)) == folder


@pytest.mark.parametrize("resumable", [True, False])
def test_a_cut_off_download_goes_on(site: Site, tmp_path: Path, resumable: bool) -> None:
    known = _idx_set(site)
    site.resumable = resumable
    part = tmp_path / "downloads" / "tiny" / "train-images-idx3-ubyte.gz.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(site.files["train-images-idx3-ubyte.gz"][:50])
    obtain_idx(known, _around(tmp_path))
    assert site.ranges[0] == "bytes=50-"
    assert not part.exists()


def test_a_server_that_hangs_up_is_asked_again(site: Site, tmp_path: Path) -> None:
    known = _idx_set(site)
    site.cut = 150
    assert find_four(obtain_idx(known, _around(tmp_path)))
    assert any(asked.startswith("bytes=150") for asked in site.ranges)


def test_one_that_never_ends_keeps_what_came(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "WAITS_S", (0.0,) * 4)
    known = _idx_set(site)
    site.cut = 20
    with pytest.raises(DataError, match=r"only 80 of \d+ bytes came") as caught:
        obtain_idx(known, _around(tmp_path))
    assert "run again to go on where it stopped" in caught.value.hint
    part = tmp_path / "downloads" / "tiny" / "train-images-idx3-ubyte.gz.part"
    assert part.stat().st_size == 80
    site.cut = None
    obtain_idx(known, _around(tmp_path))


def test_a_complete_part_is_used(site: Site, tmp_path: Path) -> None:
    known = _idx_set(site)
    part = tmp_path / "downloads" / "tiny" / "train-images-idx3-ubyte.gz.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(site.files["train-images-idx3-ubyte.gz"])
    assert find_four(obtain_idx(known, _around(tmp_path)))


# Without a date: parallel workers have to name the cases alike.
@pytest.mark.parametrize("content", [gzip.compress(b"something else", mtime=0), b"no gzip"])
def test_what_was_not_published_is_not_kept(site: Site, tmp_path: Path, content: bytes) -> None:
    known = _idx_set(site)
    site.files["t10k-labels-idx1-ubyte.gz"] = content
    with pytest.raises(DataError, match="is not what was published: checksum"):
        obtain_idx(known, _around(tmp_path))
    left = {path.name for path in (tmp_path / "downloads" / "tiny").iterdir()}
    assert left == {f"{name}.gz" for name in NAMES[:3]}


def test_a_page_that_is_gone_names_the_files(site: Site, tmp_path: Path) -> None:
    known = _idx_set(site)
    site.files.clear()
    with pytest.raises(DataError, match=r"cannot be downloaded: Not Found") as caught:
        obtain_idx(known, _around(tmp_path))
    for name in NAMES:
        assert f"tiny/{name}.gz" in caught.value.hint
    assert "GANLIB_DATA" in caught.value.hint
    assert "looked for in no folder, since GANLIB_DATA is not set" in caught.value.hint


def test_offline_says_what_to_put_where(tmp_path: Path) -> None:
    for source, files in (
        (Idx(dataset="mnist"), [f"mnist/{name}.gz" for name in NAMES]),
        (Cifar10(), [f"cifar-10-batches-bin/{name}" for name in BINARY]),
    ):
        config = DataConfig(source=source, size=32)
        with pytest.raises(DataError, match="must not be downloaded: offline") as caught:
            prepare(config, tmp_path, search=[tmp_path / "nothing"], offline=True)
        assert str(tmp_path / "nothing") in caught.value.message
        for name in files:
            assert name in caught.value.hint


def test_cifar_10_is_unpacked(site: Site, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for label, name in enumerate(BINARY):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = 2 * RECORD
            archive.addfile(member, io.BytesIO(bytes([label] * member.size)))
        outside = tarfile.TarInfo("../../escaped")
        archive.addfile(outside, io.BytesIO())
    site.files["c.tar.gz"] = packed.getvalue()
    digest = hashlib.md5(packed.getvalue()).hexdigest()
    published = Published("c.tar.gz", f"{site.url}/c.tar.gz", md5=digest)
    folder = obtain_cifar10(_around(tmp_path), BINARY, published)
    source = BinarySource(folder)
    assert source.count == 12
    assert sorted(path.name for path in folder.iterdir()) == sorted(BINARY)
    assert not list(tmp_path.rglob("escaped"))
    wrong = Published("w.tar.gz", f"{site.url}/c.tar.gz", md5="0" * 32)
    with pytest.raises(DataError, match="is not what was published"):
        obtain_cifar10(_around(tmp_path / "other"), BINARY, wrong)


@pytest.mark.data
def test_the_known_checksums_are_those_of_the_real_files(test_data: Path) -> None:
    for file in MNIST.files[1:]:
        content = gzip.decompress((test_data / "mnist" / f"{file.name}.gz").read_bytes())
        assert hashlib.sha256(content).hexdigest() == file.sha256
