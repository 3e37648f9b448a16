"""Downloads from a real server on this computer: resumed, verified, or refused with a sentence."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from napari_medsam.engine.errors import Cancelled, WeightsError
from napari_medsam.engine.file_lock import lock
from napari_medsam.engine.task import Task
from napari_medsam.engine.weights.download import download_model
from napari_medsam.engine.weights.known import KnownModel

CONTENT = bytes(range(256)) * 20_000  # 5 MB: several blocks


class Server(ThreadingHTTPServer):
    """Serves one file; can cut answers short, ignore ranges, and change the file."""

    content = CONTENT
    tag = '"one"'
    cut_after: int | None = None
    takes_ranges = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/weights.pt"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        served, wanted = self.server, self.headers.get("Range")
        served.asked.append(wanted)
        if not self.path.endswith("weights.pt"):
            self.send_error(404)
            return
        unchanged = self.headers.get("If-Range", served.tag) == served.tag
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and unchanged and served.takes_ranges else 0
        if start >= len(served.content):
            self.send_error(416)
            return
        rest = served.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(served.content) - 1}/{len(served.content)}")
        self.send_header("Content-Length", str(len(rest)))
        if served.tag:
            self.send_header("ETag", served.tag)
        self.end_headers()
        self.wfile.write(rest[: served.cut_after])
        self.close_connection = True

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        served.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NAPARI_MEDSAM_OFFLINE", "HF_HUB_OFFLINE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)


def known(url: str, sha256: str | None = hashlib.sha256(CONTENT).hexdigest(), size: int | None = None) -> KnownModel:
    return KnownModel("a", "A model", "sam2", "2.1", "tiny", 512, "Apache-2.0", "weights.pt", size, sha256, url)


def test_it_comes_whole_with_a_card(server: Server, tmp_path: Path) -> None:
    told: list[float] = []
    model = download_model(known(server.url), tmp_path / "models", Task(lambda part, _: told.append(part)))
    assert model.path.read_bytes() == CONTENT
    card = json.loads((tmp_path / "models" / "weights.pt.json").read_text())
    assert card["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert (card["image_size"], card["licence"], card["source"]) == (512, "Apache-2.0", server.url)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert {path.name for path in model.path.parent.iterdir()} == {"weights.pt", "weights.pt.json"}


def test_what_is_there_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    download_model(known(server.url), tmp_path, Task())
    download_model(known(server.url), tmp_path, Task())
    assert len(server.asked) == 1


def test_a_damaged_one_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(b"damaged")
    assert download_model(known(server.url), tmp_path, Task()).path.read_bytes() == CONTENT


def test_a_cut_connection_is_taken_up_where_it_ended(server: Server, tmp_path: Path) -> None:
    server.cut_after = 2_000_000
    model = download_model(known(server.url), tmp_path, Task())
    assert model.path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=2000000-", "bytes=4000000-"]


def test_after_too_many_cuts_the_next_start_goes_on(server: Server, tmp_path: Path) -> None:
    server.cut_after = 1_000_000
    with pytest.raises(WeightsError, match="was cut 4 times"):
        download_model(known(server.url), tmp_path, Task())
    assert not (tmp_path / "weights.pt").exists()
    server.cut_after = None
    server.asked.clear()
    assert download_model(known(server.url), tmp_path, Task()).path.read_bytes() == CONTENT
    assert server.asked == ["bytes=4000000-"]


def test_cancelling_keeps_what_came(server: Server, tmp_path: Path) -> None:
    task = Task(lambda part, _: task.cancel() if part > 0.3 else None)
    with pytest.raises(Cancelled):
        download_model(known(server.url), tmp_path, task)
    have = (tmp_path / "weights.pt.part").stat().st_size
    assert 0 < have < len(CONTENT)
    server.asked.clear()
    assert download_model(known(server.url), tmp_path, Task()).path.read_bytes() == CONTENT
    assert server.asked == [f"bytes={have}-"]


def test_a_file_that_changed_meanwhile_begins_anew(server: Server, tmp_path: Path) -> None:
    server.cut_after = 1_000_000
    unpinned = known(server.url, sha256=None)
    with pytest.raises(WeightsError):
        download_model(unpinned, tmp_path, Task())
    server.content, server.tag, server.cut_after = CONTENT[::-1], '"two"', None
    assert download_model(unpinned, tmp_path, Task()).path.read_bytes() == CONTENT[::-1]


def test_without_tag_and_digest_two_halves_are_not_put_together(server: Server, tmp_path: Path) -> None:
    server.tag, server.cut_after = "", 1_000_000
    unpinned = known(server.url, sha256=None)
    with pytest.raises(WeightsError):
        download_model(unpinned, tmp_path, Task())
    server.content, server.cut_after = CONTENT[::-1], None
    server.asked.clear()
    assert download_model(unpinned, tmp_path, Task()).path.read_bytes() == CONTENT[::-1]
    assert server.asked == [None]


def test_a_server_that_knows_no_ranges_sends_it_all_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "weights.pt.part").write_bytes(CONTENT[:1000])
    server.takes_ranges = False
    assert download_model(known(server.url), tmp_path, Task()).path.read_bytes() == CONTENT


def test_what_came_whole_before_is_verified_and_kept(server: Server, tmp_path: Path) -> None:
    (tmp_path / "weights.pt.part").write_bytes(CONTENT)
    model = download_model(known(server.url, size=len(CONTENT)), tmp_path, Task())
    assert model.path.read_bytes() == CONTENT


def test_another_file_than_promised_is_thrown_away(server: Server, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not the file it should be"):
        download_model(known(server.url, sha256="0" * 64), tmp_path, Task())
    assert not list(tmp_path.iterdir())


def test_a_server_without_the_file_says_so(server: Server, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"refused by the server \(404"):
        download_model(known(server.url + "-not"), tmp_path, Task())


def test_a_server_that_is_not_there_says_so(server: Server, tmp_path: Path) -> None:
    with Server() as gone:
        url = gone.url
    with pytest.raises(WeightsError, match="cannot be reached"):
        download_model(known(url), tmp_path, Task())


@pytest.mark.parametrize("switch", ["NAPARI_MEDSAM_OFFLINE", "HF_HUB_OFFLINE"])
def test_switched_off_nothing_is_asked(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, switch: str
) -> None:
    monkeypatch.setenv(switch, "1")
    with pytest.raises(WeightsError, match=f"switched off here .{switch}"):
        download_model(known(server.url), tmp_path, Task())
    assert server.asked == []
    monkeypatch.setenv(switch, "0")
    download_model(known(server.url), tmp_path, Task())


def test_two_at_once_do_not_mix(server: Server, tmp_path: Path) -> None:
    with (tmp_path / "weights.pt.part").open("ab") as other:
        assert lock(other.fileno())
        with pytest.raises(WeightsError, match="being downloaded already"):
            download_model(known(server.url), tmp_path, Task())
    assert download_model(known(server.url), tmp_path, Task()).path.read_bytes() == CONTENT


def test_a_folder_that_cannot_be_made_says_so(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(WeightsError, match="NAPARI_MEDSAM_MODELS"):
        download_model(known(server.url), tmp_path / "file" / "models", Task())
