"""Collect openly licensed labelled volumes into folders that ``pool.py`` reads, as ``gather.json`` lists them.

    python benchmarks/model/gather.py --sources CLONES WHEELS --out EXTRA
    python benchmarks/model/gather.py --sources CLONES WHEELS --out EXTRA --only totalseg_s0000

The folders of sources hold a repository ``owner/name`` as its clone ``owner+name``, which needs no work tree, and a
wheel as it is. What is there already is kept, and each volume enters ``INDEX.json`` as soon as it is ready: training
patches may be cut meanwhile.

``gather.json`` is a list of sources: ``folder``, ``source``, ``licence``, ``repository``, ``commit``, ``modality``,
``anatomy``, ``note`` and ``volumes``, each with ``id``, ``patient``, ``label``, ``image`` (or null), and what differs
from its source. Label and image are paths of the repository, of several files as a pattern, or objects ``{repository,
commit, path}``; ``#name`` behind an ``.npz`` names an array of it. Of a label map

``drop``
    Values left out.
``contours``
    In place of ``label``: patterns of outlines by the value that they get; ``image`` is their series (`contours.py`).
``values``
    Objects ``{value: values merged into it}``; what they do not name is left out.
``above``
    Grey value above which a voxel is labelled.
``affine``
    Place of the voxels in the world (NIfTI) where the file says nothing of it.
"""

import argparse
import fnmatch
import json
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk  # noqa: N813
from contours import contoured_volume
from index import Entry, read_index

from napari_medsam.engine.errors import SaveError
from napari_medsam.engine.io import write_aside

KEYS = ["id", "source", "commit", "licence", "modality", "anatomy", "dim", "shape", "spacing", "patient", "note"]


def stored_files(folders: Sequence[Path], repository: str, commit: str, pattern: str) -> dict[str, bytes]:
    """Contents of the files of a commit, or of a wheel, whose path fits a pattern, by path in alphabetical order."""
    if repository.endswith(".whl"):
        wheel = next((f / repository for f in folders if (f / repository).exists()), None)
        if wheel is None:
            raise FileNotFoundError(f"{repository} is in none of the folders of sources")
        with zipfile.ZipFile(wheel) as archive:
            return {name: archive.read(name) for name in sorted(archive.namelist()) if fnmatch.fnmatch(name, pattern)}
    git = ["git", f"--git-dir={_git_directory(folders, repository)}"]
    listed = subprocess.run([*git, "ls-tree", "-rz", "--name-only", commit], capture_output=True, check=True).stdout
    names = sorted(name for name in listed.decode().split("\0") if name and fnmatch.fnmatch(name, pattern))
    wanted = "".join(f"{commit}:{name}\n" for name in names).encode()
    packed = subprocess.run([*git, "cat-file", "--batch"], input=wanted, capture_output=True, check=True).stdout
    found, start = {}, 0
    for name in names:
        end = packed.index(b"\n", start)
        kind, *size = packed[start:end].rsplit(b" ", 2)[1:]
        if kind != b"blob":
            raise FileNotFoundError(f"{repository} {commit}:{name} is not stored")
        start = end + 1 + int(size[0]) + 1
        found[name] = packed[end + 1 : start - 1]
    return found


def _git_directory(folders: Sequence[Path], repository: str) -> Path:
    """Where the git directory of ``owner/name`` lies."""
    name = repository.replace("/", "+")
    for folder in folders:
        for path in (folder / name, folder / name / ".git", folder / name / "repo", folder / name / "repo" / ".git"):
            if (path / "HEAD").exists():
                return path
    raise FileNotFoundError(f"{repository} is in none of the folders of sources")


def read_image(folders: Sequence[Path], source: Entry, where: str | Entry) -> sitk.Image:
    """A volume of a source: one file, a DICOM series, or several masks merged to the values 1, 2, ... in that order.

    Of masks that overlap the smaller one counts.
    """
    place = source | (where if isinstance(where, dict) else {"path": where})
    pattern, _, array = place["path"].partition("#")
    with tempfile.TemporaryDirectory() as scratch:
        paths = unpacked(folders, place | {"path": pattern}, Path(scratch))
        if paths[0].suffix == ".npz":
            image = sitk.GetImageFromArray(np.load(paths[0])[array].transpose())
        elif paths[0].suffix == ".dcm":
            image = _read_series(scratch)
        else:
            image = _merge_masks(paths) if len(paths) > 1 else _read(paths[0])
    return _place(image, source["affine"]) if "affine" in source else image


def unpacked(folders: Sequence[Path], place: Entry, out: Path) -> list[Path]:
    """Files of a source written into a folder, in the alphabetical order of their paths.

    Raises
    ------
    FileNotFoundError
        If none fits.
    """
    files = stored_files(folders, place["repository"], place["commit"], place["path"])
    if not files:
        raise FileNotFoundError(f"{place['repository']} {place['commit']}: nothing fits {place['path']}")
    paths = [out / Path(name).name for name in files]
    for path, content in zip(paths, files.values(), strict=True):
        path.write_bytes(content)
    return paths


def read_contoured(folders: Sequence[Path], source: Entry) -> tuple[sitk.Image, sitk.Image]:
    """Image and label map of a series on whose slices outlines were drawn."""
    with tempfile.TemporaryDirectory() as scratch:
        found = {}
        for name, pattern in {"image": source["image"], **source["contours"]}.items():
            folder = Path(scratch) / name
            folder.mkdir()
            found[name] = unpacked(folders, source | {"path": pattern}, folder)
        return contoured_volume(found.pop("image"), {int(value): paths for value, paths in found.items()})


def _read_series(folder: str) -> sitk.Image:
    """The longest DICOM series of a folder."""
    reader = sitk.ImageSeriesReader()
    found = [reader.GetGDCMSeriesFileNames(folder, series) for series in reader.GetGDCMSeriesIDs(folder)]
    reader.SetFileNames(max(found, key=len))
    return reader.Execute()


def _read(path: Path) -> sitk.Image:
    return _read_nifti(path) if path.suffix == ".gz" else sitk.ReadImage(path)


def _read_nifti(path: Path) -> sitk.Image:
    """A NIfTI volume; ITK opens none whose axes are not quite at right angles."""
    stored = nibabel.load(path)
    return _place(sitk.GetImageFromArray(np.asanyarray(stored.dataobj).transpose()), stored.affine)


def _merge_masks(paths: Sequence[Path]) -> sitk.Image:
    """Label map of masks on one grid, read one after the other: a body has more than a hundred."""
    first = _read(paths[0])
    labels = np.zeros(first.GetSize()[::-1], np.uint8 if len(paths) < 256 else np.uint16)
    sizes = np.full(len(paths) + 1, np.inf)
    for value, path in enumerate(paths, start=1):
        mask = sitk.GetArrayFromImage(first if value == 1 else _read(path)) > 0
        sizes[value] = np.count_nonzero(mask)
        labels[mask & (sizes[labels] >= sizes[value])] = value
    merged = sitk.GetImageFromArray(labels)
    merged.CopyInformation(first)
    return merged


def _place(image: sitk.Image, affine: Sequence[Sequence[float]]) -> sitk.Image:
    """The image at the place that an affine of NIfTI gives it; ITK's x and y run the other way.

    Axes that are not quite at right angles are brought there.
    """
    world = np.diag([-1.0, -1.0, 1.0]) @ np.array(affine, dtype=float)[:3]
    spacing = np.linalg.norm(world[:, :3], axis=0)
    left, _, right = np.linalg.svd(world[:, :3] / spacing)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(world[:, 3].tolist())
    image.SetDirection((left @ right).ravel().tolist())
    return image


def clean_labels(labels: sitk.Image, volume: Entry, image: sitk.Image | None) -> sitk.Image:
    """Label map as unsigned integers on the grid of its image, with the values that are asked for."""
    if image is not None and not _same_grid(labels, image):
        labels = sitk.Resample(labels, image, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    values = sitk.GetArrayFromImage(labels)
    if "above" in volume:
        values = (values > volume["above"]).astype(np.uint8)
    whole = np.rint(values).astype(np.int64)
    if whole.min() < 0 or not np.array_equal(whole, values):
        raise ValueError(f"{volume['id']}: the labels are no whole numbers from 0 on")
    if "values" in volume:
        merged = np.zeros_like(whole)
        for value, old in volume["values"].items():
            merged[np.isin(whole, old)] = int(value)
        whole = merged
    whole[np.isin(whole, volume.get("drop", []))] = 0
    cleaned = sitk.GetImageFromArray(whole.astype(np.uint8 if whole.max() < 256 else np.uint16))
    cleaned.CopyInformation(labels if image is None else image)
    return cleaned


def _same_grid(first: sitk.Image, second: sitk.Image) -> bool:
    """Whether two images have the same voxels, to a hundredth of a millimetre a voxel."""
    if first.GetSize() != second.GetSize():
        return False
    corners = [(0, 0, 0), tuple(n - 1 for n in first.GetSize())]
    ends = np.array([[i.TransformIndexToPhysicalPoint(c) for c in corners] for i in (first, second)])
    return bool(np.abs(ends[0] - ends[1]).max() < 0.01 * max(first.GetSize()))


def small(image: sitk.Image) -> sitk.Image:
    """The image with the fewest bytes that hold its values: whole numbers where it has no others."""
    values = sitk.GetArrayViewFromImage(image)
    if values.dtype.kind == "f" and np.array_equal(values, np.rint(values)) and np.abs(values).max() < 2**15:
        return sitk.Cast(image, sitk.sitkInt16)
    return sitk.Cast(image, sitk.sitkFloat32) if values.dtype.kind == "f" else image


def gather(folders: Sequence[Path], volume: Entry, out: Path) -> Entry:
    """Write label map and image of one volume into a folder; its entry of the index."""
    if "contours" in volume:
        image, labels = read_contoured(folders, volume)
    else:
        image = read_image(folders, volume, volume["image"]) if volume["image"] else None
        labels = read_image(folders, volume, volume["label"])
    image = small(image) if image is not None else None
    labels = clean_labels(labels, volume, image)
    files = {"label": f"{volume['id']}_label.nii.gz", "image": f"{volume['id']}_image.nii.gz" if image else None}
    for content, name in ((labels, files["label"]), (image, files["image"])):
        if content is not None:
            with write_aside(out / str(name)) as aside:
                sitk.WriteImage(content, aside, useCompression=True)
    spacing = [round(step, 5) for step in labels.GetSpacing()]
    found = volume | files | {"dim": 3, "shape": labels.GetSize(), "spacing": spacing}
    return {key: found[key] for key in [*KEYS, "image", "label"]}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=Path, nargs="+", required=True, help="folders of git directories and wheels")
    parser.add_argument("--list", type=Path, default=Path(__file__).with_name("gather.json"), help="what to take")
    parser.add_argument("--out", type=Path, required=True, help="where the folders are made")
    parser.add_argument("--only", nargs="*", help="ids of the volumes to make, again where they are there")
    options = parser.parse_args(arguments)
    missing = []
    for source in json.loads(options.list.read_text(encoding="utf-8")):
        out = options.out / source["folder"]
        out.mkdir(parents=True, exist_ok=True)
        for volume in source["volumes"]:
            entries = read_index(out) if (out / "INDEX.json").exists() else []
            there = volume["id"] in {entry["id"] for entry in entries}
            if volume["id"] not in options.only if options.only else there:
                continue
            try:
                entry = gather(options.sources, {"note": "", "image": None} | source | volume, out)
            except (OSError, SaveError, ValueError, RuntimeError, subprocess.CalledProcessError) as error:
                missing.append(f"{volume['id']}: {error}")
                continue
            entries = [*(e for e in entries if e["id"] != entry["id"]), entry]
            with write_aside(out / "INDEX.json") as aside:
                aside.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            print(f"{source['folder']}/{entry['id']} {entry['shape']}", flush=True)
    if missing:
        raise SystemExit("\n".join(missing))


if __name__ == "__main__":
    main()
