"""Image files in, image files out: DICOM, PNG, TIFF, PGM, NPY and the JPEG family.

::

    bytes ──sniff──▶ format ──decode──▶ XRay ──encode──▶ bytes ──write_atomically──▶ file

What a file is comes from its content, never from its suffix; only the format of an *output*
follows the suffix. Every reader checks the dimensions in the file's header against
`Limits` before it takes memory for pixels.

What each format keeps of an :class:`~xraycodec.image.XRay`:

========  ======  =======  ============  ===========  ===========================
format    signed  frames   bits stored   MONOCHROME1  place of the bits stored
========  ======  =======  ============  ===========  ===========================
dicom     yes     yes      1-16          yes          Bits Stored
tiff      yes     yes      1-16          yes          (S)MinSampleValue, (S)MaxSampleValue
png       no      no       1-16          yes          sBIT
pgm       no      no       1-16          yes          maxval
jpegxl    no      yes      1-16          no           bits per sample
npy       yes     yes      8 and 16      no           none: reads back as 8 or 16
========  ======  =======  ============  ===========  ===========================

An image that its format cannot hold is refused with
:class:`~xraycodec.errors.OptionError`. Two things are left out by design: the DICOM data set
in every format but DICOM, and bits stored in NPY. What else a file says, such as the pHYs of a PNG,
is not read: :mod:`~xraycodec.files.left_out` names it. Where eight bits stored or fewer come in
16-bit pixels, PGM and JPEG XL give them back in 8-bit pixels of the same values.
"""

from __future__ import annotations

from xraycodec.files.atomic import write_atomically
from xraycodec.files.formats import check_head, decode, encode, format_of_suffix, read, write
from xraycodec.files.signatures import sniff

__all__ = [
    "check_head",
    "decode",
    "encode",
    "format_of_suffix",
    "read",
    "sniff",
    "write",
    "write_atomically",
]
