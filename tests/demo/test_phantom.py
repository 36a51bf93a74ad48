from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from xraycodec.demo import phantom
from xraycodec.demo.phantom import chest_phantom
from xraycodec.demo.solids import Grid, Solid, Tubes, blurred
from xraycodec.errors import LimitError, OptionError

SIDE = 192


@pytest.fixture(scope="module")
def chest():
    return chest_phantom(SIDE, SIDE, seed=3)


def test_the_same_seed_gives_the_same_image(chest):
    again = chest_phantom(SIDE, SIDE, seed=3)
    assert np.array_equal(again.pixels, chest.pixels)
    assert again.dicom == chest.dicom


def test_another_seed_gives_another_patient(chest):
    other = chest_phantom(SIDE, SIDE, seed=4)
    calm = [
        chest_phantom(SIDE, SIDE, seed=seed, photons_per_pixel=1e8).pixels.astype(int)
        for seed in (3, 4)
    ]
    assert not np.array_equal(other.pixels, chest.pixels)
    assert np.abs(calm[0] - calm[1]).mean() > 20
    assert other.dicom != chest.dicom


def test_the_patient_is_the_same_at_every_size():
    small, large = (
        chest_phantom(side, side, seed=5, bits_stored=16, photons_per_pixel=1e8).pixels
        for side in (128, 256)
    )
    halved = large.reshape(128, 2, 128, 2).mean((1, 3))
    inner = slice(8, -8)
    error = np.abs(halved - small)[inner, inner] / 65535
    assert np.median(error) < 0.01


def test_the_image_is_what_it_says(chest):
    assert chest.pixels.shape == (SIDE, SIDE)
    assert chest.pixels.dtype == np.uint16
    assert chest.bits_stored == 12
    assert chest.photometric_interpretation == "MONOCHROME2"


def test_grey_values_use_the_range(chest):
    low, quarter, middle, three_quarters, high = np.percentile(chest.pixels, (2, 25, 50, 75, 98))
    assert low < 200
    assert high > 3600
    assert three_quarters - quarter > 800
    assert 1000 < middle < 3500
    assert len(np.unique(chest.pixels)) > 2500


def test_bones_and_abdomen_are_brighter_than_lungs(chest):
    def mean(x_cm, z_cm, reach_cm=1.0):
        at = [round((v / 38 + 0.5) * SIDE) for v in (z_cm, x_cm)]
        reach = round(reach_cm / 38 * SIDE)
        rows, columns = (slice(v - reach, v + reach) for v in at)
        return chest.pixels[rows, columns].mean()

    lungs = [mean(x, 0) for x in (-9, 9)]
    assert max(lungs) < 0.75 * mean(0, 2)  # mediastinum and spine
    assert max(lungs) < 0.75 * mean(-8, 15)  # liver
    assert mean(3.4, 6) > max(lungs)  # heart
    assert mean(-16, -17.5, 0.5) < min(lungs)  # open beam beside the neck
    assert mean(15.3, -14.8, 0.2) > max(lungs)  # lead marker


def test_monochrome1_is_the_same_picture_inverted(chest):
    inverted = chest_phantom(SIDE, SIDE, seed=3, photometric_interpretation="MONOCHROME1")
    assert inverted.photometric_interpretation == "MONOCHROME1"
    total = inverted.pixels.astype(int) + chest.pixels
    assert np.abs(total - 4095).max() <= 1


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (10, np.uint16), (16, np.uint16)])
def test_bits_stored(bits, dtype):
    image = chest_phantom(96, 96, bits_stored=bits)
    assert image.pixels.dtype == dtype
    assert 0.9 * image.peak < image.pixels.max() <= image.peak
    assert dcmread_data_set(image.dicom).BitsStored == bits


@pytest.mark.parametrize("photons", [200.0, 800.0, 5000.0])
def test_quantum_noise_is_poisson(photons):
    grid = Grid(300, 300, 1.0)  # pixels so large that the scintillator blurs nothing
    flat = np.ones((300, 300), np.float32)
    signal = phantom._detected(flat, grid, photons, np.random.default_rng(0))[20:-20, 20:-20]
    expected = photons * (1 + phantom.SCATTER_FRACTION)
    assert signal.mean() == pytest.approx(expected, rel=0.01)
    variance = expected + phantom.ELECTRONIC_NOISE_QUANTA**2
    assert signal.var() == pytest.approx(variance, rel=0.05)


def test_four_times_the_photons_quarter_the_variance_of_the_image():
    def render(photons):
        image = chest_phantom(256, 256, seed=1, bits_stored=16, photons_per_pixel=photons)
        return image.pixels.astype(float)[60:200, 60:200]

    clean = render(1e9)
    noise = [np.var(render(photons) - clean) for photons in (40_000, 160_000)]
    assert noise[0] / noise[1] == pytest.approx(4, rel=0.2)


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 2), (2, 1), (3, 3), (7, 5), (1, 301), (301, 1), (97, 131), (131, 40)]
)
def test_odd_sizes(shape):
    image = chest_phantom(*shape, seed=2)
    assert image.pixels.shape == shape
    elements = dcmread_data_set(image.dicom)
    assert (elements.Rows, elements.Columns) == shape


def test_the_data_set_is_explicit_vr_little_endian_without_pixels(chest):
    elements = dcmread_data_set(chest.dicom)
    assert "PixelData" not in elements
    assert not chest.dicom.startswith(b"\0" * 128)
    assert elements.Modality == "DX"
    assert elements.BodyPartExamined == "CHEST"
    assert elements.PatientName == "Phantom^Synthetic"
    assert (elements.BitsAllocated, elements.BitsStored, elements.HighBit) == (16, 12, 11)
    assert elements.PhotometricInterpretation == "MONOCHROME2"
    assert elements.PixelSpacing == pytest.approx([380 / SIDE] * 2, rel=1e-5)
    assert elements.KVP == 120
    uids = [
        elements[name].value for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    ]
    assert len(set(uids)) == 3
    assert all(uid.startswith("2.25.") and uid.is_valid for uid in uids)
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, elements)
    assert stream.getvalue() == chest.dicom


def test_renderings_of_one_patient_share_the_study(chest):
    other = dcmread_data_set(chest_phantom(8, 8, seed=3).dicom)
    first = dcmread_data_set(chest.dicom)
    assert other.StudyInstanceUID == first.StudyInstanceUID
    assert other.SOPInstanceUID != first.SOPInstanceUID


@pytest.mark.parametrize(
    "arguments",
    [
        {"rows": 0},
        {"columns": -3},
        {"rows": 65536, "columns": 1},
        {"seed": -1},
        {"seed": 1 << 63},
        {"bits_stored": 7},
        {"bits_stored": 17},
        {"photometric_interpretation": "RGB"},
        {"photons_per_pixel": 0},
        {"photons_per_pixel": float("nan")},
        {"photons_per_pixel": float("inf")},
    ],
)
def test_bad_arguments(arguments):
    with pytest.raises(OptionError, match="allowed are"):
        chest_phantom(**arguments)


def test_size_is_checked_before_memory_is_taken():
    with pytest.raises(LimitError, match="limit"):
        chest_phantom(60_000, 60_000)


def test_chord_of_a_ball():
    grid = Grid(101, 101, 0.1)
    path = Solid(0, 0, 3, 3, 3).path(grid)
    assert path[50, 50] == pytest.approx(6)
    assert path[50, 70] == pytest.approx(2 * np.sqrt(9 - 4), rel=1e-4)
    assert path.sum() * 0.01 == pytest.approx(4 / 3 * np.pi * 27, rel=2e-3)


def test_a_turned_solid_keeps_its_volume():
    grid = Grid(120, 120, 0.1)
    volumes = [Solid(0, 0, 4, 1, 2, tilt_degrees=tilt).path(grid).sum() for tilt in (0, 30, 90)]
    assert volumes == pytest.approx([volumes[0]] * 3, rel=5e-3)


@pytest.mark.parametrize("radius", [0.02, 0.3, 0.8])
def test_chord_of_a_tube(radius):
    grid = Grid(120, 80, 0.1)
    along = np.linspace(-10, 10, 4000)
    points = np.stack([0.05 + 0 * along, 0 * along, along], axis=1)
    path = Tubes.along(points, radius).path(grid)
    assert path[60].sum() * 0.1 == pytest.approx(np.pi * radius**2, rel=0.01)
    if radius > 0.2:
        assert path[60, 40] == pytest.approx(2 * radius, rel=0.05)


def test_a_slanted_tube_is_thicker_along_the_rays():
    grid = Grid(60, 60, 0.1)
    along = np.linspace(-10, 10, 4000)
    points = np.stack([0 * along, along, along], axis=1)
    path = Tubes.along(points, 0.5).path(grid)
    assert path[30, 29:31].mean() == pytest.approx(np.sqrt(2), rel=0.05)


def test_blur_keeps_flat_images_and_sums():
    flat = np.full((13, 29), 7, np.float32)
    assert blurred(flat, 3.3) == pytest.approx(flat, rel=1e-5)
    spot = np.zeros((64, 64), np.float32)
    spot[32, 32] = 1
    result = blurred(spot, 2.0)
    assert result.sum() == pytest.approx(1, rel=1e-4)
    assert result[32, 32] == pytest.approx(1 / (2 * np.pi * 4), rel=0.01)


def dcmread_data_set(encoded):
    """Parse a bare data set; without meta information pydicom guesses the VR encoding."""
    return dcmread(BytesIO(encoded), force=True)
