"""A known checkpoint from its address into the folder of models: resumed when cut, verified, moved there when whole."""

from __future__ import annotations

import http.client
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from napari_medsam import __version__
from napari_medsam.engine.errors import WeightsError
from napari_medsam.engine.file_hash import sha256_of
from napari_medsam.engine.file_lock import lock
from napari_medsam.engine.task import Task
from napari_medsam.engine.weights.card import write_card
from napari_medsam.engine.weights.folder import InstalledModel, make_models_folder
from napari_medsam.engine.weights.known import KnownModel
from napari_medsam.engine.weights.offline import refuse_when_offline
from napari_medsam.engine.weights.reading import file_sha256

_TIMEOUT = 30.0  # seconds without a byte
_BLOCK = 1 << 20
_TRIES = 4
_SPARE = 64 << 20  # bytes of the disk left free


def download_model(known: KnownModel, folder: Path, task: Task) -> InstalledModel:
    """Download a known checkpoint, or take the one that is there already.

    What a cut leaves behind, ``<file>.part``, is continued the next time; a connection that breaks is taken up again a
    few times before that.

    Parameters
    ----------
    known : KnownModel
        Which.
    folder : pathlib.Path
        Where to; made where it is not.
    task : Task
        Progress and cancellation.

    Raises
    ------
    WeightsError
        If downloads are switched off, the server cannot be reached or has no such file, the disk is too full, or what
        came is not the file the table describes.
    SaveError
        If the card cannot be written.
    Cancelled
        If ``task`` was cancelled; what had come is kept.
    """
    target = folder / known.file
    if target.is_file() and known.sha256 in (None, file_sha256(target)):
        return _with_card(known, target)
    refuse_when_offline()
    make_models_folder(folder)
    part = folder / f"{known.file}.part"
    try:
        with _only_writer(part) as file:
            _fetch(known, file, task)
            file.flush()
            os.fsync(file.fileno())
        _verify(known, part)
        part.replace(target)
        _tag_path(part).unlink(missing_ok=True)
    except OSError as error:
        raise WeightsError(f"{target} could not be written ({(error.strerror or str(error)).lower()}).") from error
    return _with_card(known, target)


def _with_card(known: KnownModel, target: Path) -> InstalledModel:
    card = known.card(file_sha256(target))
    write_card(target, card)
    return InstalledModel(target, card)


@contextmanager
def _only_writer(part: Path) -> Iterator[IO[bytes]]:
    with part.open("ab") as file:
        if not lock(file.fileno()):
            raise WeightsError(f"{part.stem} is being downloaded already, by another window or command.")
        yield file


def _fetch(known: KnownModel, file: IO[bytes], task: Task) -> None:
    """Append to ``file`` until it is whole."""
    for tried in range(1, _TRIES + 1):
        task.check()
        try:
            if _receive(known, file, task):
                return
            reason = "the connection ended early"
        except urllib.error.HTTPError as error:
            raise WeightsError(f"{known.url} was refused by the server ({error.code} {error.reason}).") from error
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
            if tried == 1 and file.tell() == 0 and isinstance(error, urllib.error.URLError):
                raise WeightsError(f"{known.url} cannot be reached ({reason}).") from error
    raise WeightsError(
        f"The download of {known.file} was cut {_TRIES} times ({reason}); {file.tell() >> 20} MiB of it are kept: "
        "start it again, and it goes on from there."
    )


def _receive(known: KnownModel, file: IO[bytes], task: Task) -> bool:
    """Ask for what is missing and append it; whether the file is whole then."""
    tag = _tag_path(Path(file.name))
    have = file.tell()
    if have and not _may_continue(known, tag):
        have = _emptied(file)
    request = urllib.request.Request(known.url, headers={"User-Agent": f"napari-medsam/{__version__}"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if tag.is_file():
            # The server sends the whole file where it is no longer the one begun.
            request.add_header("If-Range", tag.read_text(encoding="ascii"))
    try:
        answer = _OPENER.open(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        error.close()
        if have == known.bytes:
            return True
        _emptied(file)
        return False
    with answer:
        if have and not _continues(answer, have):
            have = _emptied(file)
        _remember_tag(answer, tag)
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length is not None else known.bytes
        _make_room(file, total)
        while block := answer.read(_BLOCK):
            file.write(block)
            _report(task, known, file.tell(), total)
    return total is None or file.tell() >= total


def _may_continue(known: KnownModel, tag: Path) -> bool:
    # Without a digest to verify the whole by, two halves of different files must not be put together.
    return known.sha256 is not None or tag.is_file()


def _continues(answer: http.client.HTTPResponse, have: int) -> bool:
    begins = f"bytes {have}-"
    return answer.status == http.HTTPStatus.PARTIAL_CONTENT and answer.headers.get("Content-Range", "").startswith(
        begins
    )


def _emptied(file: IO[bytes]) -> int:
    file.truncate(0)
    file.seek(0)
    return 0


def _tag_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def _remember_tag(answer: http.client.HTTPResponse, path: Path) -> None:
    tag = answer.headers.get("ETag", "")
    if tag.startswith('"') and tag.isascii():  # weak ones (W/"...") do not promise the same bytes
        path.write_text(tag, encoding="ascii")
    else:
        path.unlink(missing_ok=True)


def _make_room(file: IO[bytes], total: int | None) -> None:
    folder = Path(file.name).parent
    missing = (total or 0) - file.tell() + _SPARE - shutil.disk_usage(folder).free
    if missing > 0:
        raise WeightsError(f"The disk of {folder} is too full for this download: free {(missing >> 20) + 1} MiB on it.")


def _report(task: Task, known: KnownModel, have: int, total: int | None) -> None:
    of = f" of {total / 1e6:.0f}" if total else ""
    task.progress(have / total if total else 0.0, f"{known.file}: {have / 1e6:.0f}{of} MB")


def _verify(known: KnownModel, part: Path) -> None:
    length = part.stat().st_size
    digest = sha256_of(part)
    if known.sha256 not in (None, digest) or known.bytes not in (None, length):
        part.unlink()
        _tag_path(part).unlink(missing_ok=True)
        raise WeightsError(
            f"What came from {known.url} is not the file it should be ({length} bytes, sha256 {digest[:12]}...): it "
            "was thrown away. Try again; if it happens again, somebody changed the file or the network interferes."
        )


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but never from an encrypted address to an open one."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise urllib.error.URLError(f"it sends on to {newurl}, which is not encrypted")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_NoDowngrade())
