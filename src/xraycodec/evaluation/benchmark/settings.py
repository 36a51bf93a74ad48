"""What a run of the benchmark is asked for, and how much work that is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SECTIONS = ("crops", "lossless-stage", "figure2", "rd")
SEED = 2019
"""Of every random choice: which crops are cut, and where."""


@dataclass(frozen=True)
class Budget:
    """How much is measured.

    The full one is chosen from measured costs so that the whole takes about 30 minutes on two
    cores (docs/cli.md has the figures); a subset is always spread evenly over the files in order
    of their names.

    Attributes:
        crops: test crops of each N, the first ones of the paper's 500.
        far_crops: of them, those for ratios beyond the paper's and for the lossless stage.
        chunk: crops in one job.
        klt_crops: training crops of 128 x 128 that the block transform is learned from.
        ratios: of pixels to codes, the paper's 256 / beta.
        most_iterations: crops times iterations of toderici, whose cost is by the iteration, for
            each ratio: one that needs more has fewer crops, and the table says so.
        paper_widths_crops: test crops for RNN-Conv in the paper's widths, at the paper's ratios: it
            multiplies 16 times as often as the compact network.
        images: of the test split, for rate-distortion curves.
        qualities: points of a curve, `FEWER_QUALITIES` of some; that of the anchor of all deltas
            has its whole ladder.
        lossless_images: of the test split, for the lossless table.
        side: of the middle that is cut from each of these images; 0 for the whole.
        deep_pixels: images of 9 bits and more that have at most so many pixels are measured too.
        timed_images: that speeds are measured on.
        timed_repeats: runs of which the fastest counts.
    """

    crops: int
    far_crops: int
    chunk: int
    klt_crops: int
    ratios: tuple[int, ...]
    most_iterations: int
    paper_widths_crops: int
    images: int
    qualities: int
    lossless_images: int
    side: int
    deep_pixels: int
    timed_images: int
    timed_repeats: int


FULL = Budget(
    crops=500,
    far_crops=200,
    chunk=50,
    klt_crops=1250,
    ratios=(2, 4, 8, 16, 32, 64),
    most_iterations=400,
    paper_widths_crops=60,
    images=6,
    qualities=6,
    lossless_images=6,
    side=0,
    deep_pixels=1_200_000,
    timed_images=1,
    timed_repeats=2,
)
QUICK = Budget(
    crops=12,
    far_crops=6,
    chunk=6,
    klt_crops=80,
    ratios=(2, 4, 8, 32),
    most_iterations=24,
    paper_widths_crops=2,
    images=3,
    qualities=4,
    lossless_images=2,
    side=256,
    deep_pixels=250_000,
    timed_images=1,
    timed_repeats=1,
)
FEWER_QUALITIES = {"lattice": 4, "rnn-conv": 4}
"""Most points of the curves of codecs that are slow and lie far from the others."""
BEST_LEFT_OUT = {
    "jpeg": 1,
    "jpeg2000": 2,
    "htj2k": 1,
    "jpegxl": 2,
    "avif": 2,
    "avif-psnr": 2,
    "wavelet": 1,
    "rnn-conv": 1,
    "toderici": 6,
    "klt": 1,
}
"""Steps at the top of a codec's ladder that curves leave out: those of a rate far above what files
are compared at, so that points lie where they count. AVIF's two take 20 seconds of one core each
for one image, twice what all other codecs do together; those of toderici are above 3 iterations,
each of which takes about a second to encode and one to decode."""


@dataclass(frozen=True)
class Settings:
    """A request.

    Attributes:
        data: folder in NIH's layout, or with train, validation and test in it; images of 9 bits
            and more lie in ``deep`` beside them.
        out: folder for everything that is written.
        quick: a look in two minutes in place of the full measurement.
        sections: of `SECTIONS`.
        codecs: keys of the codecs to measure; empty for all.
        workers: processes of one thread each; 0 runs every job in this process.
        resume: keep the results that ``out`` holds already.
    """

    data: Path
    out: Path
    quick: bool = False
    sections: tuple[str, ...] = SECTIONS
    codecs: tuple[str, ...] = ()
    workers: int = 1
    resume: bool = True

    @property
    def budget(self) -> Budget:
        return QUICK if self.quick else FULL
