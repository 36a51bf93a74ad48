"""The torch data set: trees, lists, manifests, scales, and worker processes of both kinds."""

from __future__ import annotations

import os
import pickle
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import torch
from plugin_building import STORED, damaged, pixels, write_xrc
from torch.utils.data import DataLoader, get_worker_info

from xraycodec import CorruptError, OptionError, XRay
from xraycodec.archive.manifest import DEFAULT_NAME, Manifest
from xraycodec.archive.records import Compressed, Failure, Found, Outcome
from xraycodec.plugins.names import NameList
from xraycodec.plugins.torch import XrcDataset, to_tensor

IMAGES = [XRay(pixels((40, 56), 12, seed=seed), 12) for seed in range(6)]


@pytest.fixture
def tree(tmp_path) -> Path:
    """Six images in three folders, and files of other kinds."""
    for number, image in enumerate(IMAGES):
        write_xrc(tmp_path / "tree" / f"{number // 2}" / f"{number}.xrc", image)
    (tmp_path / "tree" / "notes.txt").write_text("nothing")
    (tmp_path / "tree" / "empty").mkdir()
    return tmp_path / "tree"


def same(tensor, pixels) -> bool:
    return np.array_equal(tensor.numpy(), pixels if pixels.ndim == 3 else pixels[None])


class TestItems:
    def test_a_tree_in_the_order_of_its_names(self, tree):
        dataset = XrcDataset(tree, numbers="integer")
        assert len(dataset) == 6
        assert [Path(name).name for name in dataset.names] == [f"{n}.xrc" for n in range(6)]
        for number in (4, 0, 5, -1):
            item = dataset[number]
            assert (item.dtype, item.shape) == (torch.int32, (1, 40, 56))
            assert same(item, IMAGES[number].pixels)
        with pytest.raises(IndexError):
            dataset[6]

    def test_a_list_of_paths_and_urls(self, tree):
        names = [tree / "2" / "5.xrc", str(tree / "0" / "1.xrc"), (tree / "1" / "2.xrc").as_uri()]
        dataset = XrcDataset(names, numbers="integer", storage_options={"auto_mkdir": False})
        for item, number in zip(dataset, (5, 1, 2), strict=True):
            assert same(item, IMAGES[number].pixels)

    @pytest.mark.parametrize("scale", [1, 2, 4, 8])
    def test_scales(self, tree, scale):
        item = XrcDataset(tree, scale=scale, numbers="integer")[3]
        assert same(item, IMAGES[3].pixels[::scale, ::scale])

    def test_a_scale_needs_only_the_front_of_a_file(self, tree):
        path = write_xrc(tree / "0" / "0.xrc", XRay(pixels((200, 200), 8), 8))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert XrcDataset(tree, scale=8)[0].shape == (1, 25, 25)

    def test_frames(self, tmp_path):
        frames = pixels((3, 20, 30), 8)
        path = write_xrc(tmp_path / "cine.xrc", XRay(frames, 8))
        assert same(XrcDataset([path], numbers="integer")[0], frames)

    def test_transforms_and_targets(self, tree):
        dataset = XrcDataset(tree, transform=lambda x: x.mean(), targets=list("abcdef"))
        item, target = dataset[2]
        assert target == "c"
        assert item == pytest.approx(float(IMAGES[2].pixels.mean()) / 4095, rel=1e-4)


@pytest.mark.parametrize(
    ("bits", "signed", "values"),
    [
        (12, False, {0: 0.0, 4095: 1.0}),
        (8, False, {0: 0.0, 51: 0.2, 255: 1.0}),
        (16, False, {0: 0.0, 65535: 1.0}),
        (12, True, {-2048: 0.0, 2047: 1.0}),
    ],
)
def test_floats_go_from_0_to_1_over_the_bits_stored(bits, signed, values):
    stored = np.array([list(values)], f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")
    found = to_tensor(XRay(stored, bits))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.tensor([[list(values.values())]]))
    assert same(to_tensor(XRay(stored, bits), "integer"), stored)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")  # one core
class TestWorkers:
    @pytest.mark.parametrize(("context", "workers"), [("fork", 2), ("spawn", 1)])
    def test_they_give_the_same_items(self, tree, context, workers):
        dataset = XrcDataset(tree, numbers="integer", scale=2)
        _ = dataset[0]  # networks of this process, with threads that a fork does not take along
        loader = DataLoader(
            dataset,
            batch_size=3,
            num_workers=workers,
            multiprocessing_context=context,
            timeout=600,
        )
        found = torch.cat(list(loader)).numpy()
        expected = [image.pixels[::2, ::2] for image in IMAGES]
        np.testing.assert_array_equal(found[:, 0], expected)

    def test_each_has_one_thread(self, tree):
        dataset = XrcDataset(tree, transform=_threads_of(XrcDataset(tree)))
        loader = DataLoader(dataset, batch_size=None, num_workers=2, timeout=600)
        assert list(loader) == [1] * 6
        assert dataset[0] == 0
        given = XrcDataset(tree, threads=3)
        assert given._threads() == 3

    def test_it_pickles(self, tree):
        dataset = XrcDataset(tree, scale=4, numbers="integer", targets=list(range(6)))
        again = pickle.loads(pickle.dumps(dataset))
        assert list(again.names) == list(dataset.names)
        item, target = again[4]
        assert target == 4
        assert same(item, IMAGES[4].pixels[::4, ::4])


class _threads_of:  # noqa: N801 - stands for a function, and pickles
    def __init__(self, dataset):
        self.dataset = dataset

    def __call__(self, _):
        assert (get_worker_info() is None) == (self.dataset._threads() == 0)
        return self.dataset._threads()


class TestManifests:
    @pytest.fixture
    def manifest(self, tree) -> Path:
        """Of an archive whose last file failed."""
        path = tree / DEFAULT_NAME
        with Manifest(path, write=True) as manifest:
            manifest.set(id="0", target=".")
            names = [f"{number // 2}/{number}.xrc" for number in range(6)]
            manifest.add(Found(f"/originals/{name}", name, 1, 1, False) for name in names)
            done = Compressed(1, 1, "0", "0", 1, "0", 1.0, True)
            outcomes = [
                Outcome(item.id, 1, 0.0, Failure("E", "broken", "final") if last else done)
                for item in manifest.claim(6)
                for last in [item.output == names[-1]]
            ]
            manifest.record(outcomes, 3)
        return path

    def test_finished_files_are_items(self, manifest, tree):
        dataset = XrcDataset(manifest, numbers="integer")
        assert list(dataset.names) == [str(tree / f"{n // 2}" / f"{n}.xrc") for n in range(5)]
        assert same(dataset[3], IMAGES[3].pixels)

    def test_names_that_lead_out_of_the_archive(self, manifest):
        with sqlite3.connect(manifest) as connection:
            connection.execute("UPDATE file SET output = '../../x.xrc' WHERE id = 1")
        connection.close()
        with pytest.raises(CorruptError, match=r"'../../x\.xrc' leads out"):
            XrcDataset(manifest)

    def test_other_files(self, tree):
        with pytest.raises(CorruptError, match="not a manifest"):
            XrcDataset(tree / "notes.txt")


class TestRefusals:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"scale": 3}, "scale 3; allowed are 1, 2, 4, 8"),
            ({"numbers": "half"}, "numbers 'half'; allowed are float, integer"),
            ({"targets": [1, 2]}, "2 targets for 6 files"),
        ],
    )
    def test_settings(self, tree, settings, message):
        with pytest.raises(OptionError, match=message):
            XrcDataset(tree, **settings)

    def test_nothing_to_read(self, tree):
        with pytest.raises(OptionError, match=r"no \.xrc file"):
            XrcDataset(tree / "empty")
        with pytest.raises(OptionError, match=r"no \.xrc file"):
            XrcDataset([])
        with pytest.raises(FileNotFoundError):
            XrcDataset(tree / "nowhere")

    def test_files_are_named(self, tree):
        path = tree / "0" / "0.xrc"
        path.write_bytes(damaged(path.read_bytes()))
        with pytest.raises(CorruptError, match=r"0\.xrc: "):
            XrcDataset(tree)[0]
        write_xrc(path, IMAGES[0], STORED)
        with pytest.raises(OptionError, match="decodes whole images only"):
            XrcDataset(tree, scale=2)[0]


def test_names_are_a_list_in_little_memory():
    names = ["a", "", "Thorax/é.xrc", os.fsdecode(b"\xff.xrc")]
    held = NameList(names)
    assert list(held) == names
    assert (held[-1], len(held)) == (names[-1], 4)
    with pytest.raises(IndexError):
        held[4]
    many = NameList(f"{number:08}.xrc" for number in range(10_000))
    assert len(pickle.dumps(many)) < 21 * 10_000
    assert many[7654] == "00007654.xrc"
