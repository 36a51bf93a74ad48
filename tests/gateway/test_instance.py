from __future__ import annotations

import zlib
from io import BytesIO

import pytest
from gateway_building import DIGITAL_X_RAY, native, radiograph
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom.dsutils import encode

from xraycodec.errors import CorruptImageError
from xraycodec.gateway.instance import (
    data_set_of,
    describe_received,
    file_pieces,
    identify,
    mark_preview,
)


@pytest.mark.parametrize("is_base", [False, True])
@pytest.mark.parametrize("preview_of", [None, "1.2.3"])
@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    ],
)
def test_an_instance_is_known_in_every_encoding(
    syntax: str, preview_of: str | None, is_base: bool
) -> None:
    dataset = radiograph(1)
    if preview_of:
        mark_preview(dataset, preview_of, is_base=is_base)
    if syntax == DeflatedExplicitVRLittleEndian:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = deflater.compress(native(dataset)) + deflater.flush()
    else:
        data = encode(dataset, syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian)
        assert data is not None
    found = identify(data, syntax)
    assert found.uid == dataset.SOPInstanceUID
    assert found.sop_class == DIGITAL_X_RAY
    assert found.modality == "DX"
    assert found.preview_of == preview_of
    assert found.is_base is (is_base and preview_of is not None)


def test_what_was_derived_from_a_preview_is_none() -> None:
    dataset = radiograph(1)
    mark_preview(dataset, "1.2.3", is_base=True)
    dataset.SOPInstanceUID = "1.2.4"
    assert identify(native(dataset), ExplicitVRLittleEndian).preview_of is None
    assert not identify(native(dataset), ExplicitVRLittleEndian).is_base
    mark_preview(dataset, "1.2.4")
    assert identify(native(dataset), ExplicitVRLittleEndian).preview_of is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x08",
        b"\x08\x00\x18\x00UI\xff\xff1.2",
        native(radiograph(1))[:20],
        # A name that would lead out of the spool or of a folder.
        b"\x08\x00\x16\x00UI\x04\x001.2\0\x08\x00\x18\x00UI\x06\x00../../",
    ],
)
def test_what_has_no_identity_is_damage(data: bytes) -> None:
    with pytest.raises(CorruptImageError):
        identify(data, ExplicitVRLittleEndian)


def test_the_file_holds_the_data_set_byte_for_byte() -> None:
    dataset = radiograph(1)
    data = native(dataset)
    received = describe_received(
        identify(data, ExplicitVRLittleEndian), data, ExplicitVRLittleEndian
    )
    file = b"".join(file_pieces(received, data, "SENDER"))
    assert file.endswith(data)
    assert data_set_of(file) == data
    found = dcmread(BytesIO(file))
    assert found == dataset
    assert found.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert found.file_meta.SourceApplicationEntityTitle == "SENDER"


def test_the_digest_is_of_content_and_syntax() -> None:
    data = native(radiograph(1))
    identity = identify(data, ExplicitVRLittleEndian)
    one = describe_received(identity, data, ExplicitVRLittleEndian)
    assert one == describe_received(identity, memoryview(data), ExplicitVRLittleEndian)
    assert one.digest != describe_received(identity, data + b"\0\0", ExplicitVRLittleEndian).digest
    assert one.digest != describe_received(identity, data, ImplicitVRLittleEndian).digest
