"""The list of cases: read, restricted, and refused with every fault named."""

import json

import numpy as np
import pytest

from napari_medsam.engine.evaluation import CasesError, load_cases


def test_reads_every_case_of_the_real_list(shared_data):
    cases = load_cases(shared_data / "cases.json")
    assert (len(cases), sum(len(case.values) for case in cases)) == (53, 113)
    assert {case.dataset for case in load_cases(shared_data / "cases.json", ["brats", "ct_lesions"])} == {
        "brats",
        "ct_lesions",
    }


def test_image_and_labels_share_their_voxels(cases_file, truth):
    one, two = load_cases(cases_file)
    assert (one.id, one.dataset, one.modality, one.values) == ("one", "first", "MR", ((1,), (2,), (1, 3)))
    volume, labels = one.read()
    assert volume.spacing == pytest.approx((3.0, 0.8, 0.8))
    np.testing.assert_array_equal(labels, truth)
    np.testing.assert_array_equal(volume.data, 100 * truth.astype(int) + 7)
    volume, labels = two.read()
    assert volume.spacing == pytest.approx((3.0, 0.8, 0.8))
    np.testing.assert_array_equal(labels, truth == 2)


def test_all_bad_entries_are_named_together(cases_file):
    entries = json.loads(cases_file.read_text())
    good = entries[0]
    entries += [
        "words",
        {**good, "id": "gone", "image": "gone.nii.gz"},
        {**good, "id": "zero", "values": [[0]]},
        {**good, "id": "flat", "values": [1]},
        {**good, "dataset": None, "id": "nameless"},
        good,
    ]
    cases_file.write_text(json.dumps(entries))
    with pytest.raises(CasesError) as caught:
        load_cases(cases_file)
    lines = str(caught.value).splitlines()
    assert len(lines) == 7
    for line, part in zip(
        lines[1:],
        ["Entry 3:", "Entry 4 (gone)", "Entry 5 (zero)", "Entry 6 (flat)", "dataset", "given before"],
        strict=True,
    ):
        assert part in line
        assert line.endswith(".")


@pytest.mark.parametrize("text", ["{}", "[", "", '"words"'])
def test_a_file_that_is_no_list_is_refused(tmp_path, text):
    path = tmp_path / "cases.json"
    path.write_text(text)
    with pytest.raises(CasesError, match=r"cases\.json"):
        load_cases(path)


def test_an_unknown_dataset_names_the_known_ones(cases_file):
    with pytest.raises(CasesError, match="no dataset third; it has first, second"):
        load_cases(cases_file, ["third"])


def test_an_empty_list_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(CasesError, match="cannot be read"):
        load_cases(tmp_path / "none.json")
    (tmp_path / "empty.json").write_text("[]")
    with pytest.raises(CasesError, match="lists no cases"):
        load_cases(tmp_path / "empty.json")
