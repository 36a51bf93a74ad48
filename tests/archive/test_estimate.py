"""Estimates from samples."""

from __future__ import annotations

import random

import pytest

from xraycodec.archive.estimate import estimate, pick
from xraycodec.archive.records import Compressed, Failure, Found, Outcome, Skipped


def files(count: int) -> list[Found]:
    return [Found(f"/in/{n}", f"{n}.xrc", 1000 + n, 1, False) for n in range(count)]


def compressed(size: int, output: int) -> Compressed:
    return Compressed(size, 1, "", "", output, "", 2.0 * size, False)


def test_the_same_files_are_picked_whatever_their_order() -> None:
    ordered = files(500)
    shuffled = random.Random(1).sample(ordered, 500)
    first, second = pick(ordered, 20), pick(shuffled, 20)
    assert [item.path for item in first.items] == [item.path for item in second.items]
    assert (first.files, first.size_bytes) == (500, sum(1000 + n for n in range(500)))
    assert len({item.id for item in second.items}) == 20
    assert {item.path for item in pick(ordered, 10).items} < {item.path for item in first.items}
    assert len(pick(ordered, 9999).items) == 500


def test_a_sample_of_all_is_exact() -> None:
    sample = pick(files(10), 10)
    outcomes = [
        Outcome(item.id, 1, 2.0, compressed(1000 + int(item.path[4:]), 300 + item.id % 2))
        for item in sample.items
    ]
    found = estimate(sample, outcomes)
    assert found.image_bytes == found.size_bytes
    assert found.output_bytes == pytest.approx(3005)
    assert found.margin_bytes == 0
    assert found.core_seconds == pytest.approx(20)
    assert found.saved_bytes == pytest.approx(found.size_bytes - 3005)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    random_ = random.Random(7)
    population = files(400)
    truth = {
        file.path: int(file.size_bytes or 0) // 3 + random_.randrange(90) for file in population
    }
    held = 0
    for trial in range(200):
        renamed = [Found(f.path, f"{trial}/{f.output}", f.size_bytes, 1, False) for f in population]
        sample = pick(renamed, 40)
        sizes = {file.path: file.size_bytes or 0 for file in population}
        found = estimate(
            sample,
            [
                Outcome(item.id, 1, 0.0, compressed(sizes[item.path], truth[item.path]))
                for item in sample.items
            ],
        )
        assert found.margin_bytes is not None
        held += abs(found.output_bytes - sum(truth.values())) <= found.margin_bytes
    assert 180 <= held <= 199


def test_files_that_are_no_images_and_failures() -> None:
    sample = pick(files(4), 4)
    results = [compressed(1000, 250), Skipped("no image", 3000), Failure("E", "", "final")]
    found = estimate(sample, [Outcome(n, 1, 1.0, result) for n, result in enumerate(results)])
    assert (found.sampled, found.images, found.failed) == (3, 1, 1)
    assert found.image_bytes == pytest.approx(found.size_bytes / 4)
    assert found.output_bytes == pytest.approx(found.size_bytes / 16)
    assert found.margin_bytes is None
    nothing = estimate(pick([], 5), [])
    assert (nothing.output_bytes, nothing.saved_bytes, nothing.core_seconds) == (0, 0, 0)
