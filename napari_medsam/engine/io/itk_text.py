"""The text headers of NRRD and MetaImage, read before ITK is let at the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from napari_medsam.engine.errors import ImageError

_LONGEST = 1 << 20


def read_nrrd_text(path: Path) -> dict[str, str]:
    """Fields (``type``) and key/value pairs (``Segment0_Name``) of a NRRD header, as text.

    Raises
    ------
    ImageError
        If the file does not begin with a NRRD header.
    """
    text, _, _ = _beginning(path).replace(b"\r\n", b"\n").partition(b"\n\n")
    if not text.startswith(b"NRRD"):
        raise ImageError(f"{path.name} is not a NRRD image: it does not begin with NRRD.")
    fields: dict[str, str] = {}
    for line in text.decode("utf-8", errors="replace").split("\n")[1:]:
        if line.startswith("#"):
            continue
        key, pair, value = line.partition(":=")
        if not pair:
            key, pair, value = line.partition(":")
            key, value = key.strip().lower(), value.strip()
        if pair:
            fields[key] = value.replace("\\n", "\n").replace("\\\\", "\\") if pair == ":=" else value
    return fields


def read_meta_text(path: Path) -> dict[str, str]:
    """Fields of a MetaImage header, as text.

    Raises
    ------
    ImageError
        If the file does not begin with a MetaImage header.
    """
    fields: dict[str, str] = {}
    for line in _beginning(path).split(b"\n"):
        key, sign, value = line.partition(b"=")
        if not sign:
            break
        fields[key.decode("latin-1").strip()] = value.decode("latin-1").strip()
        if key.strip() == b"ElementDataFile":
            return fields
    raise ImageError(f"{path.name} is not a MetaImage: its header does not name its voxels.")


def data_file(path: Path, fields: Mapping[str, str]) -> Path | None:
    """The file that holds the voxels: ``path`` itself or the one its header names; None for a list of files.

    Raises
    ------
    ImageError
        If the file that is named is missing.
    """
    named = fields.get("ElementDataFile") or fields.get("data file") or fields.get("datafile") or "LOCAL"
    if named == "LOCAL":
        return path
    if named.startswith("LIST") or "%" in named:
        return None
    other = path.parent / named
    if not other.is_file():
        raise ImageError(f"{path.name} keeps its voxels in {named}, which is missing: copy both files together.")
    return other


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LONGEST)
