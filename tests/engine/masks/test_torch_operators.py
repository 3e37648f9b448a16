"""Tensors: the same results, nothing copied, and tracing passes through."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_medsam.engine import masks
from napari_medsam.engine.errors import MaskError
from napari_medsam.engine.masks import operators  # noqa: F401 - registers them

SHAPE = (2, 9, 10, 33)
COMMON = {"dims": 3, "connectivity": None, "threshold": None, "threads": 1}
FILL = {
    **COMMON,
    "background": None,
    "max_size": None,
    "open_border": True,
    "score": None,
    "spare": None,
    "region": None,
}
REGION = [1, 1, 2, 8, 9, 30]
POINTS = torch.tensor([[0, 4, 4, 4], [1, 2, 3, 4]])


@pytest.fixture
def mask():
    return torch.from_numpy(np.random.default_rng(0).random(SHAPE) < 0.55)


@pytest.fixture
def scores():
    return torch.from_numpy(np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32))


CALLS = [
    ("fill_holes", FILL),
    ("fill_holes", {**FILL, "max_size": 3, "open_border": False, "spare": POINTS, "region": REGION}),
    ("remove_islands", {**COMMON, "min_size": 4, "score": None, "region": REGION}),
    ("keep_largest", {**COMMON, "score": None}),
    ("keep_touching", {**COMMON, "points": POINTS, "score": None, "region": None}),
]


@pytest.mark.parametrize(("name", "options"), CALLS)
def test_operators_keep_torch_s_rules(name, options, mask, scores):
    ops = torch.ops.napari_medsam
    torch.library.opcheck(getattr(ops, name).default, (mask,), options)
    torch.library.opcheck(getattr(ops, f"{name}_").default, (mask.clone(),), options)
    torch.library.opcheck(getattr(ops, f"{name}_into").default, (mask, torch.empty_like(mask)), options)
    torch.library.opcheck(getattr(ops, name).default, (scores,), {**options, "threshold": 0.2})
    torch.library.opcheck(getattr(ops, name).default, (scores,), {**options, "threshold": 0.2, "score": -3.0})


def test_labels_keep_torch_s_rules(mask, scores):
    ops = torch.ops.napari_medsam
    torch.library.opcheck(ops.label.default, (mask,), COMMON)
    torch.library.opcheck(ops.label.default, (scores,), {**COMMON, "dims": 2, "threshold": 0.5})
    torch.library.opcheck(ops.label_into.default, (mask, torch.empty(SHAPE, dtype=torch.int32)), COMMON)


def test_tensors_and_arrays_agree(mask, scores):
    pairs = [
        (masks.fill_holes, {}),
        (masks.fill_holes, {"dims": 2, "region": ((1, 1), (9, 31)), "spare": [(0, 1, 2, 3)]}),
        (masks.remove_islands, {"min_size": 5}),
        (masks.keep_largest, {"connectivity": 6}),
        (masks.keep_touching, {"points": [(0, 4, 4, 4), (1, 2, 3, 4)]}),
    ]
    for operation, options in pairs:
        assert np.array_equal(operation(mask, **options).numpy(), operation(mask.numpy(), **options))
        ours = operation(scores, threshold=0.1, **options)
        assert ours.dtype == torch.bool
        assert np.array_equal(ours.numpy(), operation(scores.numpy(), threshold=0.1, **options))
    labels, counts = masks.label(mask)
    expected, expected_counts = masks.label(mask.numpy())
    assert np.array_equal(labels.numpy(), expected)
    assert np.array_equal(counts.numpy(), expected_counts)


def test_in_place_and_out_return_what_they_were_given(mask):
    expected = masks.fill_holes(mask)
    out = torch.empty_like(mask)
    assert masks.fill_holes(mask, out=out) is out
    assert torch.equal(out, expected)
    strided = mask.permute(0, 3, 2, 1)
    assert torch.equal(masks.fill_holes(strided), expected.permute(0, 3, 2, 1))
    assert masks.fill_holes(mask, out=mask) is mask
    assert torch.equal(mask, expected)
    labels = torch.empty(SHAPE, dtype=torch.int32)
    assert masks.label(mask, out=labels)[0] is labels


def clean(scores: torch.Tensor) -> torch.Tensor:
    filled = masks.fill_holes_up_to(scores, 8, threshold=0.0)
    kept = masks.keep_largest(masks.remove_islands(filled, 4), connectivity=6)
    labels, counts = masks.label(kept)
    masks.fill_holes(kept, out=kept)
    return torch.where(kept, scores.sigmoid(), 0).sum() + labels.max() + counts.sum()


def test_compiling_breaks_nowhere(scores):
    # aot_eager runs all of torch.compile but its code generator, which needs a compiler.
    compiled = torch.compile(clean, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(scores), clean(scores))
    dynamic = torch.compile(clean, fullgraph=True, backend="aot_eager", dynamic=True)
    for shape in ((1, 5, 6, 40), (3, 8, 4, 17)):
        other = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(dynamic(other), clean(other))


class Cleaner(torch.nn.Module):
    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        return masks.remove_islands(masks.fill_holes(scores, threshold=0.0), 5)


def test_exporting_keeps_the_operators(scores):
    program = torch.export.export(Cleaner(), (scores,))
    called = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert {"napari_medsam.fill_holes.default", "napari_medsam.remove_islands.default"} <= called
    assert torch.equal(program.module()(scores), Cleaner()(scores))


def test_gradients(scores):
    scores.requires_grad_()
    expected = masks.fill_holes(scores.detach(), threshold=0.0)
    assert torch.equal(masks.fill_holes(scores, threshold=0.0), expected)
    with pytest.raises(MaskError, match="no gradient: detach them"):
        masks.fill_holes_as_sam2(scores)
    with torch.no_grad():
        assert not masks.fill_holes_as_sam2(scores).requires_grad
    for out in (torch.zeros(SHAPE, requires_grad=True), torch.zeros(SHAPE, requires_grad=True) * 1):
        with pytest.raises(MaskError, match="result requires a gradient"):
            masks.fill_holes_as_sam2(scores.detach(), out=out)
        with torch.no_grad():
            assert masks.fill_holes_as_sam2(scores, out=out) is out
        assert torch.equal(out.detach(), masks.fill_holes_as_sam2(scores.detach()))


def test_a_gradient_through_what_was_written_over_is_refused(mask):
    weight = torch.ones(SHAPE, requires_grad=True)
    for write in (
        lambda kept: masks.fill_holes(kept, out=kept),
        lambda kept: masks.fill_holes(mask, out=kept),
    ):
        kept = mask.clone()
        total = (weight * kept).sum()
        write(kept)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            total.backward()


def test_tensors_that_cannot_be_used(mask, scores):
    with pytest.raises(MaskError, match="not float16"):
        masks.fill_holes(scores.half(), threshold=0.0)
    with pytest.raises(MaskError, match="not int64: compare it first"):
        masks.fill_holes(mask.long())
    with pytest.raises(MaskError, match="bring them to one device"):
        masks.fill_holes(mask, out=torch.empty(SHAPE, dtype=torch.bool, device="meta"))
    with pytest.raises(MaskError, match="is a tensor, not a ndarray"):
        masks.fill_holes(mask, out=mask.numpy())
    with pytest.raises(MaskError, match="dense tensor"):
        masks.fill_holes(mask.to_sparse())
    with pytest.raises(MaskError, match="overlaps the mask"):
        masks.fill_holes(mask[:, :5], out=mask[:, 2:7])
    with pytest.raises(MaskError, match="share their memory"):
        masks.fill_holes(mask, out=torch.zeros(1, dtype=torch.bool).expand(SHAPE))
    with pytest.raises(MaskError, match="not a list"):
        masks.fill_holes([[True]])
