from __future__ import annotations

import numpy as np
import pytest

from xraycodec.errors import ImageError, UnsupportedImageError
from xraycodec.evaluation import crops as crops_module
from xraycodec.evaluation.crops import (
    CROP_COUNTS,
    SPLITS,
    cut_crops,
    find_splits,
    load_crops,
    patient_of,
)
from xraycodec.files import write
from xraycodec.image import XRay

PATIENTS = range(1, 61)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    write(XRay(pixels, 8 * pixels.dtype.itemsize), path)
    return path


def marked(patient, height=24, width=20):
    """An image whose pixels tell patient and place."""
    y, x = np.mgrid[:height, :width]
    return ((7 * patient + 11 * y + x) % 256).astype(np.uint8)


@pytest.fixture
def nih(tmp_path):
    """NIH's own layout, two images a patient, over two folders."""
    for patient in PATIENTS:
        for follow_up in (0, 1):
            folder = tmp_path / "nih" / f"images_{1 + (patient + follow_up) % 2:03}" / "images"
            save(folder / f"{patient:08}_{follow_up:03}.png", marked(patient))
    return tmp_path / "nih"


@pytest.fixture
def split_folders(tmp_path):
    for k, split in enumerate(SPLITS):
        for patient in range(1 + 5 * k, 4 + 5 * k):
            save(tmp_path / "data" / split / f"{patient:08}_000.png", marked(patient))
    return tmp_path / "data"


def test_the_counts_are_those_of_the_paper():
    assert CROP_COUNTS == {"train": 20_000, "validation": 1_000, "test": 500}


def test_the_patient_is_the_first_number_of_the_name(tmp_path):
    assert patient_of(tmp_path / "00013_9" / "00000261_007.jxl") == "00000261"


def test_nih_layout_splits_by_patient(nih):
    splits = find_splits(nih)
    patients = {split: {patient_of(path) for path in splits.files(split)} for split in SPLITS}
    assert sum(map(len, patients.values())) == len(set.union(*patients.values())) == len(PATIENTS)
    assert sum(len(splits.files(split)) for split in SPLITS) == 2 * len(PATIENTS)
    assert {"00000008", "00000019"} <= patients["validation"]
    assert {"00000049", "00000053"} == patients["test"]


def test_a_patients_split_does_not_depend_on_the_other_patients(nih):
    before = find_splits(nih)
    for path in before.train[::3]:
        path.unlink()
    after = find_splits(nih)
    for split in SPLITS:
        assert set(after.files(split)) <= set(before.files(split))


def test_split_folders_are_taken_as_they_are(split_folders):
    splits = find_splits(split_folders)
    for split in SPLITS:
        assert [path.parent.name for path in splits.files(split)] == [split] * 3
        assert list(splits.files(split)) == sorted(splits.files(split))


def test_the_folder_of_the_shared_data_is_found(split_folders, tmp_path):
    (tmp_path / "shared").mkdir()
    split_folders.rename(tmp_path / "shared" / "nih-cxr8")
    assert len(find_splits(tmp_path / "shared").train) == 3


def test_other_folders_and_files_are_not_images(split_folders):
    before = find_splits(split_folders)
    (split_folders / "manifest.csv").write_text("")
    (split_folders / "train" / "notes.txt").write_text("")
    save(split_folders / "rejected" / "00000001_000.png", marked(1))
    assert find_splits(split_folders) == before


def test_a_patient_in_two_splits_is_refused(split_folders):
    save(split_folders / "test" / "00000001_004.png", marked(1))
    with pytest.raises(ValueError, match="patient 00000001 is in both train and test"):
        find_splits(split_folders)


@pytest.mark.parametrize("split", SPLITS)
def test_an_empty_split_is_refused(split_folders, split):
    for path in (split_folders / split).iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=f"no {split} images .* below"):
        find_splits(split_folders)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no train images"):
        find_splits(tmp_path)


def test_crops_are_pieces_of_their_images(split_folders):
    files = find_splits(split_folders).train
    crops = cut_crops(files, 16, 50, seed=3)
    assert (crops.shape, crops.dtype) == ((50, 16, 16), np.uint8)
    pieces = {
        marked(patient)[y : y + 16, x : x + 16].tobytes()
        for patient in (1, 2, 3)
        for y in range(9)
        for x in range(5)
    }
    found = {crop.tobytes() for crop in crops}
    assert found <= pieces
    assert len(found) > 25


def test_crops_reach_every_place(split_folders):
    files = find_splits(split_folders).train[:1]
    crops = cut_crops(files, 19, 300, seed=3)
    assert len({crop.tobytes() for crop in crops}) == 6 * 2


def test_a_crop_as_large_as_the_image(tmp_path):
    path = save(tmp_path / "1_0.png", marked(1, 16, 16))
    assert (cut_crops((path,), 16, 3, seed=0) == marked(1, 16, 16)).all()


def test_crops_depend_on_the_seed_alone(split_folders):
    files = find_splits(split_folders).train
    assert (cut_crops(files, 16, 9, seed=5) == cut_crops(files, 16, 9, seed=5)).all()
    assert (cut_crops(files, 16, 9, seed=5) != cut_crops(files, 16, 9, seed=6)).any()


def test_progress_is_reported_once_an_image(split_folders):
    calls = []
    cut_crops(find_splits(split_folders).train, 16, 40, 0, lambda *call: calls.append(call))
    assert calls == [(0, 3), (1, 3), (2, 3)]


@pytest.mark.parametrize("shape", [(15, 40), (40, 15)])
def test_an_image_smaller_than_a_crop_is_refused(tmp_path, shape):
    path = save(tmp_path / "1_0.png", marked(1, *shape))
    with pytest.raises(ValueError, match=r"1_0\.png is smaller than a crop: \(\d+, \d+\)"):
        cut_crops((path,), 16, 1, seed=0)


def test_deep_images_are_refused(tmp_path):
    path = save(tmp_path / "1_0.png", np.full((40, 40), 3000, np.uint16))
    with pytest.raises(UnsupportedImageError, match="is not one frame of unsigned 8-bit pixels"):
        cut_crops((path,), 16, 1, seed=0)


def test_a_damaged_image_is_refused(tmp_path):
    path = save(tmp_path / "1_0.png", marked(1))
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ImageError):
        cut_crops((path,), 16, 1, seed=0)


def test_the_count_of_the_paper_is_the_default(split_folders, tmp_path, monkeypatch):
    monkeypatch.setitem(CROP_COUNTS, "validation", 7)
    assert len(load_crops(split_folders, "validation", 16, 0, tmp_path / "cache")) == 7


def test_cut_crops_are_cached(split_folders, tmp_path, monkeypatch):
    cache = tmp_path / "cache" / "deep"
    first = load_crops(split_folders, "train", 16, 1, cache, 12)
    monkeypatch.setattr(crops_module, "read", None)
    again = load_crops(split_folders, "train", 16, 1, cache, 12)
    assert isinstance(again, np.memmap)
    assert (again == first).all()
    assert [path.suffix for path in cache.iterdir()] == [".npy"]


@pytest.mark.parametrize("change", ["split", "size", "seed", "count", "files"])
def test_other_crops_are_cut_anew(split_folders, tmp_path, change):
    cache = tmp_path / "cache"
    load_crops(split_folders, "train", 16, 1, cache, 12)
    arguments = {"split": "train", "size": 16, "seed": 1, "count": 12}
    other = {"split": "test", "size": 8, "seed": 2, "count": 13}
    if change == "files":
        save(split_folders / "train" / "00000099_000.png", marked(99))
    else:
        arguments[change] = other[change]
    load_crops(split_folders, cache=cache, **arguments)
    assert len(list(cache.iterdir())) == 2


def test_an_interrupted_cut_leaves_no_cache(split_folders, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(crops_module.np, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_crops(split_folders, "train", 16, 1, tmp_path, 12)
    assert len(load_crops(split_folders, "train", 16, 1, tmp_path, 12)) == 12


def test_radiographs_of_the_shared_data(data_dir):
    splits = find_splits(data_dir)
    assert {path.parent.name for path in splits.test} == {"test"}
    crops = cut_crops(splits.test[:1], 128, 2, seed=0)
    assert crops.std() > 0
