"""Which jobs a request comes to, and why some codecs have none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from xraycodec.errors import OptionError
from xraycodec.evaluation.benchmark import contestants, fingerprints, lossless_stage, paper_widths
from xraycodec.evaluation.benchmark.contestants import TODERICI_BITS_RATIO
from xraycodec.evaluation.benchmark.crop_tasks import APPROACHES
from xraycodec.evaluation.benchmark.figure2 import CODECS as FIGURE_CODECS
from xraycodec.evaluation.benchmark.figure2 import ORIGINAL
from xraycodec.evaluation.benchmark.images import Images
from xraycodec.evaluation.benchmark.jobs import Context, Job
from xraycodec.evaluation.benchmark.paper import CROPS, RATIOS, SEGMENTS
from xraycodec.evaluation.benchmark.settings import BEST_LEFT_OUT, FEWER_QUALITIES, Budget, Settings
from xraycodec.evaluation.benchmark.tables import ANCHOR
from xraycodec.files import read
from xraycodec.image import Pixels, XRay, pixel_type

T = TypeVar("T")
FIGURE_SIDE = 1024
MIDDLE_RATE = 0.4
"""Where on a codec's ladder its speed is measured, 0 being its best quality, 1 its worst."""


@dataclass(frozen=True)
class Plan:
    """Jobs, and codecs that cannot be measured with the reason."""

    images: Images
    jobs: tuple[Job, ...]
    unavailable: dict[str, str] = field(default_factory=dict)


def plan_cuts(settings: Settings, images: Images) -> list[Job]:
    """Crops that must be there before anything else is done."""
    budget = settings.budget
    cuts = []
    if {"crops", "lossless-stage"} & set(settings.sections):
        cuts += [
            Job("cut", "crops", "", f"test {side}", count=CROPS, fingerprint=images.test_files)
            for side in SEGMENTS
        ]
    if {"crops", "rd"} & set(settings.sections) and wanted(settings, contestants.KLT):
        cuts.append(
            Job(
                "cut",
                "crops",
                "",
                f"train {contestants.KLT_CROP}",
                count=budget.klt_crops,
                fingerprint=images.train_files,
            )
        )
    return cuts


def wanted(settings: Settings, codec: str) -> bool:
    """Whether a codec was asked for."""
    return not settings.codecs or codec in settings.codecs


def plan(settings: Settings, context: Context, images: Images) -> Plan:
    """Return every job of a request, the crops having been cut.

    Raises:
        OptionError: a codec that does not exist.
    """
    known = (*contestants.known_codecs(), paper_widths.KEY)
    for codec in settings.codecs:
        if codec not in known:
            raise OptionError(f"no codec {codec!r}; choose from {', '.join(known)}")
    asked = [codec for codec in contestants.known_codecs() if wanted(settings, codec)]
    reasons = {codec: contestants.why_not(codec, context) for codec in asked}
    if "crops" in settings.sections and wanted(settings, paper_widths.KEY):
        reasons[paper_widths.KEY] = paper_widths.why_not()
    unavailable = {codec: why for codec, why in reasons.items() if why is not None}
    codecs = [codec for codec in asked if codec not in unavailable]
    planner = _Planner(settings, context, images, codecs)
    # The longest first, lest one of them runs alone at the end; speeds are run last in any case.
    jobs = [
        *(planner.lossless_stage() if "lossless-stage" in settings.sections else ()),
        *(planner.figure2() if "figure2" in settings.sections else ()),
        *(planner.full_images() if "rd" in settings.sections else ()),
        *(planner.paper_widths() if reasons.get(paper_widths.KEY, "unasked") is None else ()),
        *(planner.crops() if "crops" in settings.sections else ()),
        *(planner.speed() if "rd" in settings.sections else ()),
    ]
    return Plan(images, tuple(jobs), unavailable)


@dataclass(frozen=True)
class _Planner:
    settings: Settings
    context: Context
    images: Images
    codecs: Sequence[str]

    @property
    def budget(self) -> Budget:
        return self.settings.budget

    def fingerprint(self, codec: str, *facts: object) -> str:
        if codec == contestants.KLT:
            facts = (*facts, self.budget.klt_crops, self.images.train_files)
        return fingerprints.join(fingerprints.of_codec(codec), *facts)

    def fingerprint_of(self, codec: str, *names: str) -> str:
        return self.fingerprint(codec, fingerprints.of_files(self.settings.data, names))

    def lossless_stage(self) -> Iterator[Job]:
        for codec in lossless_stage.CODECS:
            if codec in self.codecs:
                count = self.budget.far_crops
                if codec == "toderici":
                    count = self.crops_for(contestants.toderici_iterations())
                for side in reversed(SEGMENTS):
                    print_ = self.fingerprint(codec, self.images.test_files)
                    yield Job(
                        "lossless-stage",
                        "lossless-stage",
                        codec,
                        str(side),
                        count=count,
                        fingerprint=print_,
                    )

    def figure2(self) -> Iterator[Job]:
        name = figure_image(self.settings, self.images)
        for codec in (ORIGINAL, *FIGURE_CODECS):
            if codec == ORIGINAL or codec in self.codecs:
                print_ = self.fingerprint_of(codec, name)
                yield Job("figure2", "figure2", codec, name, fingerprint=print_)

    def full_images(self) -> Iterator[Job]:
        budget = self.budget
        test = spread(self.images.test, budget.images)
        for codec in self.codecs:
            peer = contestants.contestant(codec, self.context)
            deep = [(*image, 0) for image in self.images.deep if image[1] <= peer.max_bits]
            for name, bits, side in [*((name, 8, budget.side) for name in test), *deep]:
                print_ = self.fingerprint_of(codec, name)
                ladder = peer.ladder(_image_of(bits))[BEST_LEFT_OUT.get(codec, 0) :]
                fewer = FEWER_QUALITIES.get(codec, budget.qualities)
                points = len(ladder) if codec == ANCHOR else min(fewer, budget.qualities)
                for step, quality in enumerate(spread(ladder, points)):
                    yield Job(
                        "rate", "rd", codec, name, quality, step, side=side, fingerprint=print_
                    )
        for codec in self.codecs:
            if not self.codes_without_loss(codec):
                continue
            for name in spread(self.images.test, budget.lossless_images):
                print_ = self.fingerprint_of(codec, name)
                yield Job("lossless", "rd", codec, name, side=budget.side, fingerprint=print_)

    def codes_without_loss(self, codec: str) -> bool:
        """Whether a codec has a lossless mode of its own: a variant's is that of its codec."""
        peer = contestants.contestant(codec, self.context)
        return peer.lossless and codec not in contestants.VARIANTS

    def crops(self) -> Iterator[Job]:
        for codec in APPROACHES:
            if codec not in self.codecs:
                continue
            print_ = self.fingerprint(codec, self.images.test_files)
            for side in reversed(SEGMENTS):
                for ratio in self.budget.ratios:
                    count = self.crops_of(codec, ratio)
                    yield from self.chunks("crops", codec, side, ratio, count, print_)

    def paper_widths(self) -> Iterator[Job]:
        print_ = self.fingerprint(paper_widths.KEY, self.images.test_files)
        count = min(self.budget.crops, self.budget.paper_widths_crops)
        for side in paper_widths.TRAINED:
            for ratio in sorted({*self.budget.ratios} & {*RATIOS}):
                yield from self.chunks("paper-widths", paper_widths.KEY, side, ratio, count, print_)

    def chunks(
        self, task: str, codec: str, side: int, ratio: int, count: int, print_: str
    ) -> Iterator[Job]:
        """Jobs for the first ``count`` crops."""
        for first in range(0, count, self.budget.chunk):
            yield Job(
                task,
                "crops",
                codec,
                str(side),
                ratio,
                first=first,
                count=min(self.budget.chunk, count - first),
                fingerprint=print_,
            )

    def crops_of(self, codec: str, ratio: int) -> int:
        """Crops that an approach is measured on: fewer where it takes long, 0 where it cannot."""
        most = self.budget.crops if ratio <= max(RATIOS) else self.budget.far_crops
        if codec != "toderici":
            return most
        iterations = TODERICI_BITS_RATIO // ratio
        if iterations > contestants.toderici_iterations():
            return 0
        return min(most, self.crops_for(iterations))

    def crops_for(self, iterations: int) -> int:
        return min(self.budget.crops, max(1, self.budget.most_iterations // iterations))

    def speed(self) -> Iterator[Job]:
        budget = self.budget
        names = spread(self.images.test, budget.timed_images)
        for codec in self.codecs:
            peer = contestants.contestant(codec, self.context)
            middle = peer.qualities[round(MIDDLE_RATE * (len(peer.qualities) - 1))]
            print_ = self.fingerprint(
                codec,
                fingerprints.of_files(self.settings.data, names),
                fingerprints.of_machine(),
            )
            for quality in (middle, None) if self.codes_without_loss(codec) else (middle,):
                yield Job(
                    "speed",
                    "rd",
                    codec,
                    "|".join(names),
                    quality,
                    side=budget.side,
                    repeats=budget.timed_repeats,
                    fingerprint=print_,
                )


def _image_of(bits: int) -> XRay:
    """Return any image of these bits stored: a codec's ladder depends on no more."""
    pixels: Pixels = np.zeros((8, 8), pixel_type(bits, signed=False))
    return XRay(pixels, bits)


def figure_image(settings: Settings, images: Images) -> str:
    """Return the first test image of 1024 x 1024 pixels, the first of all without one."""
    for name in images.test:
        if read(settings.data / name).pixels.shape == (FIGURE_SIDE, FIGURE_SIDE):
            return name
    return images.test[0]


def spread(items: Sequence[T], count: int) -> tuple[T, ...]:
    """Return ``count`` items spread evenly from the first to the last; all if there are fewer."""
    if len(items) <= count:
        return tuple(items)
    if count == 1:
        return (items[0],)
    return tuple(items[round(k * (len(items) - 1) / (count - 1))] for k in range(count))
