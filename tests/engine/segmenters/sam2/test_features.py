"""Embeddings: computed once, kept in memory and on disk, never wrong."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_medsam.engine.errors import Cancelled
from napari_medsam.engine.segmenters.sam2.encoding import SliceFeatures, feature_shapes
from napari_medsam.engine.segmenters.sam2.feature_disk import FeatureDisk, make_room
from napari_medsam.engine.segmenters.sam2.features import FeatureStore, outwards
from napari_medsam.engine.task import Task

SHAPES = feature_shapes(32)
SLICES = 7
BYTES = 2 * sum(int(np.prod(shape)) for shape in SHAPES)


class Encoder:
    """Makes features that tell their slice, and counts."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, index: int) -> SliceFeatures:
        self.asked.append(index)
        generator = torch.Generator().manual_seed(index)
        return SliceFeatures(*(torch.randn(1, *shape, generator=generator) for shape in SHAPES))


def disk(folder: Path, key: str = "volume", budget: int = 1 << 30) -> FeatureDisk:
    return FeatureDisk(folder, key, SLICES, SHAPES, budget)


def same(one: SliceFeatures, other: SliceFeatures) -> bool:
    return all(torch.equal(a.half(), b.half()) for a, b in zip(one.tensors, other.tensors, strict=True))


def test_a_slice_is_computed_once() -> None:
    encoder = Encoder()
    store = FeatureStore(encoder, SLICES)
    assert same(store(3), store(3))
    assert store(3).coarse.dtype == torch.float32
    assert encoder.asked == [3]
    assert store.nbytes == BYTES


def test_memory_keeps_to_its_budget_and_forgets_the_longest_unused() -> None:
    encoder = Encoder()
    store = FeatureStore(encoder, SLICES, budget=2 * BYTES)
    for index in (0, 1, 0, 2, 0):
        store(index)
    assert encoder.asked == [0, 1, 2]
    assert (0 in store, 1 in store, 2 in store) == (True, False, True)
    assert store.nbytes == 2 * BYTES


def test_full_precision_loses_nothing() -> None:
    store = FeatureStore(Encoder(), SLICES, dtype=torch.float32)
    assert torch.equal(store(1).fine, Encoder()(1).fine)


def test_another_session_finds_them_on_disk(tmp_path: Path) -> None:
    first = FeatureStore(Encoder(), SLICES, disk(tmp_path))
    expected = first(4)
    first.close()
    encoder = Encoder()
    store = FeatureStore(encoder, SLICES, disk(tmp_path))
    assert same(store(4), expected)
    assert encoder.asked == []
    store(5)
    assert encoder.asked == [5]


def test_what_memory_forgets_comes_back_from_disk(tmp_path: Path) -> None:
    encoder = Encoder()
    store = FeatureStore(encoder, SLICES, disk(tmp_path), budget=BYTES)
    kept = [store(index) for index in range(SLICES)]
    assert all(same(store(index), kept[index]) for index in range(SLICES))
    assert encoder.asked == list(range(SLICES))


def test_another_image_or_model_has_embeddings_of_its_own(tmp_path: Path) -> None:
    FeatureStore(Encoder(), SLICES, disk(tmp_path, "one"))(0)
    encoder = Encoder()
    FeatureStore(encoder, SLICES, disk(tmp_path, "two"))(0)
    assert encoder.asked == [0]


def test_a_damaged_slice_is_computed_again(tmp_path: Path) -> None:
    FeatureStore(Encoder(), SLICES, disk(tmp_path))(2)
    (values,) = tmp_path.glob("*/features.f16")
    with values.open("r+b") as file:
        file.seek(2 * BYTES + 100)
        file.write(b"damage")
    encoder = Encoder()
    store = FeatureStore(encoder, SLICES, disk(tmp_path))
    assert same(store(2), Encoder()(2))
    assert encoder.asked == [2]


def test_a_slice_cut_off_while_it_was_written_does_not_count(tmp_path: Path) -> None:
    FeatureStore(Encoder(), SLICES, disk(tmp_path))(0)
    (values,) = tmp_path.glob("*/features.f16")
    raw = values.read_bytes()
    values.write_bytes(raw[: BYTES // 2])
    encoder = Encoder()
    assert same(FeatureStore(encoder, SLICES, disk(tmp_path))(0), Encoder()(0))
    assert encoder.asked == [0]


def test_without_a_place_to_write_it_works_from_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    store = FeatureStore(Encoder(), SLICES, disk(tmp_path / "file" / "cache"))
    store(0)
    assert 0 in store
    assert store.problem is not None
    assert "memory only" in store.problem


def test_a_full_disk_costs_the_cache_and_nothing_else(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    cache = disk(tmp_path)
    store = FeatureStore(Encoder(), SLICES, cache)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    # The nearest a test comes to a full disk without one: the system refuses to write beyond two slices.
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * BYTES, before[1]))
    try:
        answers = [store(index) for index in range(4)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert all(same(answer, Encoder()(index)) for index, answer in enumerate(answers))
    assert store.problem is not None
    assert os.strerror(errno.EFBIG).lower() in store.problem
    again = FeatureStore(Encoder(), SLICES, disk(tmp_path))
    assert same(again(1), answers[1])
    assert again.encoded == 0


def test_a_complete_cache_is_read_where_nothing_can_be_written(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root can write everywhere")
    FeatureStore(Encoder(), SLICES, disk(tmp_path))(0)
    (folder,) = tmp_path.iterdir()
    for path in (*folder.iterdir(), folder, tmp_path):
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        store = FeatureStore(Encoder(), SLICES, disk(tmp_path))
        store(0)
        assert store.encoded == 0
    finally:
        for path in (tmp_path, folder):
            path.chmod(0o700)


def test_the_longest_unused_caches_make_room(tmp_path: Path) -> None:
    for age, key in enumerate(("newest", "middle", "oldest")):
        cache = disk(tmp_path, key)
        FeatureStore(Encoder(), SLICES, cache)(0)
        os.utime(cache.folder, (1_000_000 - age, 1_000_000 - age))
    keep = disk(tmp_path, "newest").folder
    make_room(tmp_path, budget=2 * BYTES, keep=keep)
    assert {folder.name for folder in tmp_path.iterdir()} == {keep.name, disk(tmp_path, "middle").folder.name}


def test_a_volume_larger_than_the_budget_stays_in_memory(tmp_path: Path) -> None:
    store = FeatureStore(Encoder(), SLICES, disk(tmp_path, budget=BYTES))
    store(0)
    assert not list(tmp_path.iterdir())
    assert store.problem is not None


def test_encoding_ahead_goes_outwards_and_stops_when_asked() -> None:
    assert list(outwards(2, SLICES)) == [2, 3, 1, 4, 0, 5, 6]
    encoder = Encoder()
    task = Task()
    ahead = FeatureStore(encoder, SLICES).ahead(2, task)
    assert [next(ahead), next(ahead), next(ahead)] == [2, 3, 1]
    task.cancel()
    with pytest.raises(Cancelled):
        next(ahead)
    assert encoder.asked == [2, 3, 1]


def test_encoding_ahead_does_not_push_out_what_is_near() -> None:
    store = FeatureStore(Encoder(), SLICES, budget=3 * BYTES)
    assert list(store.ahead(3, Task())) == [3, 4, 2]
    assert all(index in store for index in (2, 3, 4))
