"""Reading a stream that is to be decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from xraycodec.container.assembly import Assembly, check_end
from xraycodec.container.framing import Buffer, Chunk, byte_view, walk
from xraycodec.container.header import Header, unpack_header
from xraycodec.container.index import locate_payloads
from xraycodec.errors import TruncatedError
from xraycodec.image import DicomFile, Loss, SpareBits
from xraycodec.limits import DEFAULT_LIMITS, Limits


@dataclass(frozen=True, eq=False)
class Container:
    """Content of a stream whose every chunk was checked.

    Attributes:
        header: what the image is.
        parameters: the codec's own.
        dicom: data set without pixels, explicit VR little endian, or ``None``.
        dicom_file: how a DICOM file held it, or ``None``.
        losses: lossy compression before that of this stream.
        spare_bits: bits of the DICOM file's cells around the bits stored, or ``None``.
        payloads: of the tiles, in coding order (layer, frame, row of tiles, column), views of the
            parsed bytes; :meth:`Header.payload_index` gives their places. Fewer than
            ``header.payload_count``, the first of them, only if the file was cut off.
        pixel_hash: 32 bytes to compare with :func:`~xraycodec.container.hash_pixels`; empty if
            the file was cut off before it.
        complete: ``False`` if the file was cut off.
        chunks: every chunk, ancillary ones too, in order.
    """

    header: Header
    parameters: bytes
    dicom: bytes | None
    payloads: Sequence[memoryview]
    pixel_hash: bytes
    complete: bool
    chunks: tuple[Chunk, ...]
    dicom_file: DicomFile | None = None
    losses: tuple[Loss, ...] = ()
    spare_bits: SpareBits | None = None

    def of_frames(self, frames: range) -> Container:
        """The stream as if it had these frames alone; its digest and spare bits stay those of all.

        Only for a whole stream.
        """
        header = replace(self.header, frames=len(frames))
        tiles = header.tiles_down * header.tiles_across
        payloads = [
            self.payloads[number]
            for layer in range(header.layers)
            for number in range(
                (layer * self.header.frames + frames.start) * tiles,
                (layer * self.header.frames + frames.stop) * tiles,
            )
        ]
        return replace(self, header=header, payloads=payloads)


def parse(
    data: Buffer, limits: Limits = DEFAULT_LIMITS, *, allow_truncated: bool = False
) -> Container:
    """Read a stream and check everything but what only a codec can.

    Args:
        data: the whole stream and nothing else; see
            :func:`~xraycodec.container.read_length` for one inside a longer buffer. The
            payloads refer to it.
        limits: sizes to accept.
        allow_truncated: return what a file that was cut off still holds, if that includes its
            index. A payload counts as intact if its whole DATA chunk is there and its CRC-32
            holds.

    Raises:
        NotXrcError: no signature at byte 0.
        TruncatedError: the file ends before DONE does; the message counts the intact tiles.
        CorruptError: the bytes contradict the format or a CRC-32.
        UnsupportedFormatError: a version, critical chunk, code or reserved bit of a later writer.
        LimitError: a size exceeds ``limits``.
    """
    view = byte_view(data)
    assembly = Assembly(limits, len(view))
    chunks: list[Chunk] = []
    complete = True
    try:
        for chunk in walk(view, limits):
            assembly.accept(chunk, chunk.payload(view))
            chunks.append(chunk)
        check_end(chunks[-1], len(view))
    except TruncatedError as cut:
        if not allow_truncated:
            raise TruncatedError(f"{cut}; {_count_intact(assembly)}") from None
        complete = False
    header, parameters, index = assembly.header, assembly.parameters, assembly.index
    if header is None or parameters is None or index is None:
        raise TruncatedError(
            f"the file ends at byte {len(view)}, before the end of 'INDX'; no tile can be found"
        )
    return Container(
        header=header,
        parameters=parameters,
        dicom=assembly.dicom,
        payloads=locate_payloads(view, index, assembly.data_starts),
        pixel_hash=assembly.pixel_hash or b"",
        complete=complete,
        chunks=tuple(chunks),
        dicom_file=assembly.dicom_file,
        losses=assembly.losses,
        spare_bits=assembly.spare_bits,
    )


def read_header(data: Buffer, limits: Limits = DEFAULT_LIMITS) -> Header:
    """Read HEAD from the first 84 bytes of a stream, or more.

    Raises:
        NotXrcError: no signature at byte 0.
        TruncatedError: ``data`` ends before HEAD does.
        CorruptError: the first chunk is not a sound HEAD.
        UnsupportedFormatError: a version, code or reserved bit of a later writer.
        LimitError: a size exceeds ``limits``.
    """
    view = byte_view(data)
    head = next(walk(view, limits))
    payload = head.payload(view)
    Assembly(limits).accept(head, payload)  # refuses all but a sound HEAD here
    return unpack_header(payload, head.place)


def _count_intact(assembly: Assembly) -> str:
    header, intact = assembly.header, assembly.intact
    if header is None:
        return "no tile is intact"
    if header.layers == 1:
        return f"{intact.sum()} of {header.tile_count} tiles are intact"
    # Of a stream that was cut off, what is intact is a prefix: whole layers, then part of one.
    whole, rest = divmod(int(intact.sum()), header.tile_count)
    partly = f", and {rest} of {header.tile_count} tiles of the next" if rest else ""
    return f"{whole} of {header.layers} layers are intact{partly}"
