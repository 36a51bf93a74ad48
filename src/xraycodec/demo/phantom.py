"""A synthetic chest radiograph: anatomy seen through the physics of a digital X-ray detector.

::

    photons ─▶ heel effect, collimator ─▶ chest (Beer-Lambert) ─▶ + scatter ─▶ quantum noise
       ─▶ scintillator blur ─▶ + electronic noise ─▶ logarithm ─▶ latitude compression
       ─▶ tone curve ─▶ shutter ─▶ grey values "for presentation" and their DICOM attributes

No patient has been near it, so it can be shipped, shown and sent.
"""

from __future__ import annotations

import math
import uuid

import numpy as np
import numpy.typing as npt

from xraycodec.demo.anatomy import chest_attenuation
from xraycodec.demo.solids import Grid, Map, Solid, blurred
from xraycodec.errors import LimitError, OptionError
from xraycodec.image import PhotometricInterpretation, XRay

FIELD_CM = 38.0
"""Longer side of the detector."""
SOURCE_DISTANCE_CM = 180.0
TUBE_VOLTAGE_KV = 120
MAX_PIXELS = 1 << 24
"""Most pixels that are rendered: 4096 x 4096, which takes about 2 GB of memory."""
MAX_SIDE = 65_535
"""DICOM counts rows and columns in 16 bits."""
MAX_PHOTONS_PER_PIXEL = 1e9
"""By then no noise is left in 16 bits."""

COLLIMATOR_MARGIN_CM = 0.7
"""Border of the field that the collimator's blades keep dark."""
PENUMBRA_CM = 0.05
BLADE_TRANSMISSION = 1e-3
MARKER_TRANSMISSION = 1e-3
"""One millimetre of lead."""
HEEL_EFFECT = 0.12
"""Relative loss of intensity from the cathode's to the anode's end of the field."""
SCATTER_FRACTION = 0.08
"""Scatter that passes the grid, as a share of the primary radiation around."""
SCATTER_SIGMA_CM = 4.0
SCINTILLATOR_SIGMA_CM = 0.016
ELECTRONIC_NOISE_QUANTA = 4.0
"""Standard deviation of the read-out, in quanta a pixel."""
LATITUDE_COMPRESSION = 0.5
"""Share of the slow variations (beyond ``LATITUDE_SIGMA_CM``) that the display drops."""
LATITUDE_SIGMA_CM = 3.0


def chest_phantom(
    rows: int = 1024,
    columns: int = 1024,
    seed: int = 0,
    *,
    bits_stored: int = 12,
    photometric_interpretation: PhotometricInterpretation = "MONOCHROME2",
    photons_per_pixel: float = 60_000.0,
) -> XRay:
    """Render a posteroanterior chest radiograph.

    The longer side of the image spans 38 cm; the shorter crops the field about its centre.

    Args:
        rows: height in pixels.
        columns: width in pixels.
        seed: gives the patient's proportions, vessels and the noise. The same seed is the same
            patient at every size; arguments alike give the same pixels under one build of NumPy.
        bits_stored: 8 to 16.
        photometric_interpretation: MONOCHROME1 stores the same picture with high values dark.
        photons_per_pixel: X-ray quanta that each pixel detects in the open beam. Quantum noise
            goes with the square root of those that remain behind the patient.

    Returns:
        ``(row, column)`` pixels with the attributes of a DX image in ``dicom``.

    Raises:
        OptionError: an argument outside its range.
        LimitError: more than 4096 x 4096 pixels.
    """
    _check(rows, columns, seed, bits_stored, photometric_interpretation, photons_per_pixel)
    grid = Grid(rows, columns, FIELD_CM / max(rows, columns))
    # Two generators: the noise of one image size does not change the patient of another.
    patient, noise = (np.random.default_rng([seed, stream]) for stream in range(2))

    aperture = _aperture(grid)
    exposure = np.exp(-chest_attenuation(grid, patient))
    exposure *= _beam(grid) * aperture * _marker(grid)
    signal = _detected(exposure, grid, photons_per_pixel, noise)
    density = np.log(photons_per_pixel / np.maximum(signal, 1))
    grey = _presented(density, aperture, grid)
    top = (1 << bits_stored) - 1
    if photometric_interpretation == "MONOCHROME1":
        grey = 1 - grey
    levels = np.rint(grey * top)
    pixels = levels.astype(np.uint8) if bits_stored == 8 else levels.astype(np.uint16)
    exposure_name = (
        f"{rows}/{columns}/{bits_stored}/{photometric_interpretation}/{photons_per_pixel}"
    )
    dicom = _attributes(grid, seed, bits_stored, photometric_interpretation, exposure_name)
    return XRay(pixels, bits_stored, photometric_interpretation, dicom)


def _beam(grid: Grid) -> Map:
    """Relative intensity of the open beam: inverse square law, obliquity, heel effect."""
    off_axis = (grid.x**2 + grid.z**2) / SOURCE_DISTANCE_CM**2
    heel = 1 - HEEL_EFFECT * (0.5 - grid.z / FIELD_CM)
    beam: Map = heel / (1 + off_axis) ** 1.5
    return beam


def _aperture(grid: Grid) -> Map:
    """What the collimator lets through; a little off the square, as in practice."""
    tilt = math.radians(0.4)
    x, z = grid.x + tilt * grid.z, grid.z - tilt * grid.x
    half_x = grid.columns * grid.spacing_cm / 2 - COLLIMATOR_MARGIN_CM
    half_z = grid.rows * grid.spacing_cm / 2 - COLLIMATOR_MARGIN_CM
    # A strip thinner than the margins would have no field left: it is taken as uncollimated.
    inside = np.minimum(
        half_x - np.abs(x) if half_x > 1 else np.inf, half_z - np.abs(z) if half_z > 1 else np.inf
    )
    soft = max(PENUMBRA_CM, grid.spacing_cm / 2)
    open_share = np.broadcast_to(
        np.clip(0.5 + inside / (2 * soft), 0, 1), (grid.rows, grid.columns)
    )
    return (BLADE_TRANSMISSION + (1 - BLADE_TRANSMISSION) * open_share).astype(np.float32)


def _marker(grid: Grid) -> Map:
    """Transmission of the lead letter L, placed beside the patient's left shoulder."""
    # Inside the collimated field, where that is not too narrow for a marker.
    x = min(14.9, max(8.0, grid.columns * grid.spacing_cm / 2 - 3.2))
    z = -min(15.6, max(8.0, grid.rows * grid.spacing_cm / 2 - 3.2))
    cover = grid.zeros()
    for bar in (
        Solid(x, z, 0.16, 0.95, 0.5, 4, 12, 24),
        Solid(x + 0.55, z + 0.82, 0.70, 0.16, 0.5, 4, 24, 12),
    ):
        np.maximum(cover, bar.path(grid), out=cover)
    cover = np.minimum(cover * 1.5, 1)
    transmission: Map = 1 - np.float32(1 - MARKER_TRANSMISSION) * cover
    return transmission


def _detected(
    exposure: Map, grid: Grid, photons_per_pixel: float, rng: np.random.Generator
) -> npt.NDArray[np.floating]:
    """Signal in quanta: scatter joins the primary beam, then noise, blur and read-out noise."""
    scatter = blurred(exposure, SCATTER_SIGMA_CM / grid.spacing_cm)
    expected = np.maximum(exposure + SCATTER_FRACTION * scatter, 0).astype(np.float64)
    expected *= photons_per_pixel
    quanta = rng.poisson(expected).astype(np.float32)
    # Light spreads in the scintillator after the quanta were counted, so noise is blurred too.
    signal = blurred(quanta, SCINTILLATOR_SIGMA_CM / grid.spacing_cm)
    signal += ELECTRONIC_NOISE_QUANTA * rng.standard_normal(signal.shape, np.float32)
    return signal


def _presented(density: npt.NDArray[np.floating], aperture: Map, grid: Grid) -> Map:
    """Grey values from 0 to 1: bones bright, the area outside the collimator black."""
    shown = aperture > 0.5
    base = blurred(
        np.where(shown, density, np.median(density[shown])).astype(np.float32),
        LATITUDE_SIGMA_CM / grid.spacing_cm,
    )
    value = density - LATITUDE_COMPRESSION * base
    # The penumbra would count for more the larger pixels are: it has no say.
    low, high = np.percentile(value[aperture > 0.5 * (0.5 + aperture.max())], (0.5, 99.4))
    relative = (value - low) / max(high - low, 1e-6)
    grey = np.clip(_tone(relative), 0, 1)
    grey[~shown] = 0
    return np.asarray(grey, np.float32)


def _tone(relative: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """S-shaped curve from (0, 0) to (1, 1), like that of film."""
    slope, middle = 4.6, 0.62
    foot, shoulder = (1 / (1 + math.exp(-slope * (end - middle))) for end in (0, 1))
    curve = 1 / (1 + np.exp(-slope * (relative - middle)))
    result: npt.NDArray[np.floating] = (curve - foot) / (shoulder - foot)
    return result


def _attributes(
    grid: Grid,
    seed: int,
    bits_stored: int,
    photometric_interpretation: PhotometricInterpretation,
    exposure_name: str,
) -> bytes:
    """DICOM data set of a DX image, pixel data left out, explicit VR little endian."""
    from pydicom.dataset import Dataset
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation

    spacing_mm = f"{10 * grid.spacing_cm:.6g}"
    bright_bones = photometric_interpretation == "MONOCHROME2"
    elements = Dataset()
    elements.SpecificCharacterSet = "ISO_IR 100"
    elements.ImageType = ["DERIVED", "PRIMARY", ""]
    elements.SOPClassUID = DigitalXRayImageStorageForPresentation
    elements.SOPInstanceUID = _uid(f"instance/{seed}/{exposure_name}")
    elements.StudyInstanceUID = _uid(f"study/{seed}")
    elements.SeriesInstanceUID = _uid(f"series/{seed}")
    elements.FrameOfReferenceUID = _uid(f"frame of reference/{seed}")
    for empty in ("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID"):
        setattr(elements, empty, "")
    elements.Modality = "DX"
    elements.PresentationIntentType = "FOR PRESENTATION"
    elements.Manufacturer = "xraycodec"
    elements.ManufacturerModelName = "synthetic chest phantom"
    elements.PatientName = "Phantom^Synthetic"
    elements.PatientID = f"PHANTOM-{seed}"
    elements.PatientBirthDate = ""
    elements.PatientSex = "O"
    elements.BodyPartExamined = "CHEST"
    elements.KVP = str(TUBE_VOLTAGE_KV)
    elements.DistanceSourceToDetector = f"{10 * SOURCE_DISTANCE_CM:g}"
    elements.DetectorType = "SCINTILLATOR"
    elements.ViewPosition = "PA"
    elements.PatientOrientation = ["L", "F"]
    elements.ImageLaterality = "U"
    elements.SeriesNumber = "1"
    elements.InstanceNumber = "1"
    elements.ImagerPixelSpacing = [spacing_mm, spacing_mm]
    elements.PixelSpacing = [spacing_mm, spacing_mm]
    elements.SamplesPerPixel = 1
    elements.PhotometricInterpretation = photometric_interpretation
    elements.Rows = grid.rows
    elements.Columns = grid.columns
    elements.BitsAllocated = 8 if bits_stored == 8 else 16
    elements.BitsStored = bits_stored
    elements.HighBit = bits_stored - 1
    elements.PixelRepresentation = 0
    elements.BurnedInAnnotation = "NO"
    elements.PixelIntensityRelationship = "LOG"
    elements.PixelIntensityRelationshipSign = -1 if bright_bones else 1
    elements.WindowCenter = str(1 << (bits_stored - 1))
    elements.WindowWidth = str(1 << bits_stored)
    elements.RescaleIntercept = "0"
    elements.RescaleSlope = "1"
    elements.RescaleType = "US"
    elements.LossyImageCompression = "00"
    elements.PresentationLUTShape = "IDENTITY" if bright_bones else "INVERSE"
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, elements)
    encoded: bytes = stream.getvalue()
    return encoded


def _uid(name: str) -> str:
    """A UID under 2.25, from a name-based UUID: the same name has the same UID."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, f'xraycodec:phantom/{name}').int}"


def _check(
    rows: int,
    columns: int,
    seed: int,
    bits_stored: int,
    photometric_interpretation: str,
    photons_per_pixel: float,
) -> None:
    for name, side in (("rows", rows), ("columns", columns)):
        if not 1 <= side <= MAX_SIDE:
            raise OptionError(f"{name} is {side}; allowed are 1 to {MAX_SIDE}")
    if rows * columns > MAX_PIXELS:
        raise LimitError(
            f"a phantom of {rows} x {columns} pixels is too large; the limit is {MAX_PIXELS} in all"
        )
    if not 0 <= seed < 1 << 63:
        raise OptionError(f"seed is {seed}; allowed are 0 to 2^63 - 1")
    if not 8 <= bits_stored <= 16:
        raise OptionError(f"{bits_stored} bits stored; allowed are 8 to 16")
    if photometric_interpretation not in ("MONOCHROME1", "MONOCHROME2"):
        raise OptionError(
            f"photometric interpretation {photometric_interpretation!r}; allowed are MONOCHROME1"
            " and MONOCHROME2"
        )
    if not 1 <= photons_per_pixel <= MAX_PHOTONS_PER_PIXEL:
        raise OptionError(
            f"{photons_per_pixel} photons per pixel; allowed are 1 to {MAX_PHOTONS_PER_PIXEL:g}"
        )
