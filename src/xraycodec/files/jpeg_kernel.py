"""The compiled walk over entropy-coded data of a JPEG scan; clauses are those of T.81.

Importing this module imports numba; import it inside the function that needs it.
"""

from __future__ import annotations

from typing import Any

from xraycodec.entropy.compilation import kernel

LOSSLESS, SEQUENTIAL, DC_FIRST, DC_REFINING, AC_FIRST, AC_REFINING = range(6)
"""Kinds of scans: annex H, annex F.2.2, and annex G.1.2 by what they send."""

WHOLE, CUT, NO_CODE, BEYOND_BAND, LEFT_OVER, NO_RESTART, RUN_OVER = range(7)
"""Outcomes of `walk`."""
WITH_AC_CODES = frozenset((SEQUENTIAL, AC_FIRST, AC_REFINING))


@kernel
def _fill(data: Any, position: Any, bits: Any, count: Any, padded: Any) -> Any:
    """Have 49 bits or more; from a marker on they are zeros, which ``padded`` counts (F.2.2.5)."""
    while count <= 48:
        octet = 0
        if position < data.size and data[position] != 0xFF:
            octet = data[position]
            position += 1
        elif position + 1 < data.size and data[position + 1] == 0:
            octet = 0xFF
            position += 2
        else:
            padded += 8
        bits = (bits << 8) | octet
        count += 8
    return position, bits, count, padded


@kernel
def _at_marker(data: Any, position: Any) -> Any:
    """Whether entropy-coded data end: a byte FF of theirs is stuffed with 0 (B.1.1.5)."""
    if position + 1 >= data.size:
        return position >= data.size
    return data[position] == 0xFF and data[position + 1] != 0


@kernel
def _restart(data: Any, position: Any, number: Any) -> Any:
    """Position after RSTm, which fill bytes may precede (B.1.1.2); -1 if it is not there."""
    while position + 1 < data.size and data[position] == 0xFF and data[position + 1] == 0xFF:
        position += 1
    if position + 1 >= data.size or data[position] != 0xFF or data[position + 1] != 0xD0 + number:
        return -1
    return position + 2


@kernel
def walk(
    data: Any,
    position: Any,
    units: Any,
    interval: Any,
    scan: Any,
    dc_codes: Any,
    ac_codes: Any,
    coded: Any,
) -> Any:
    """Decode every Huffman code of a scan of one component, and nothing of its samples.

    Args:
        data: bytes of the file.
        position: of the first byte of the entropy-coded data.
        units: samples of a lossless scan, blocks of any other.
        interval: units between restart markers, at least 1.
        scan: kind, first and last coefficient of the band (Ss, Se).
        dc_codes: ``256 * length + value`` of the code that each 16 bits begin with, 0 for none;
            of the differences in a lossless scan.
        ac_codes: the same for the other coefficients.
        coded: for each block of a progressive image, a mask of its coefficients that are not 0;
            updated.

    Returns:
        The outcome, the units that are sound, and the position after what was read.
    """
    kind, first, last = scan
    bits, count, padded = 0, 0, 0
    run, restarts = 0, 0
    next_restart = interval
    for unit in range(units):
        if unit == next_restart:
            if run > 0:
                return RUN_OVER, unit, position
            if count - padded >= 8 or not _at_marker(data, position):
                return LEFT_OVER, unit, position
            after = _restart(data, position, restarts & 7)
            if after < 0:
                return NO_RESTART, unit, position
            position = after
            restarts += 1
            next_restart += interval
            bits, count, padded = 0, 0, 0

        index = first
        if kind <= DC_FIRST:
            position, bits, count, padded = _fill(data, position, bits, count, padded)
            code = dc_codes[(bits >> (count - 16)) & 0xFFFF]
            if code == 0:
                return NO_CODE, unit, position
            size = code & 0xFF
            # The difference of 32768 has no bits of its own (H.1.2.2).
            count -= (code >> 8) + (size if size < 16 else 0)
            index = 1
        elif kind == DC_REFINING:
            position, bits, count, padded = _fill(data, position, bits, count, padded)
            count -= 1

        mask = coded[unit] if kind >= AC_FIRST else 0
        if kind == SEQUENTIAL or (kind >= AC_FIRST and run == 0):
            while index <= last:
                position, bits, count, padded = _fill(data, position, bits, count, padded)
                code = ac_codes[(bits >> (count - 16)) & 0xFFFF]
                if code == 0:
                    return NO_CODE, unit, position
                zeros, size = (code >> 4) & 15, code & 15
                count -= code >> 8
                if size == 0 and zeros < 15:
                    if kind == SEQUENTIAL:
                        # Runs of blocks are for progressive scans (F.1.2.2.1, G.1.2.2).
                        if zeros > 0:
                            return NO_CODE, unit, position
                    else:
                        count -= zeros
                        run = (1 << zeros) + ((bits >> count) & ((1 << zeros) - 1))
                    break
                if kind == AC_REFINING:
                    if size > 1:
                        return NO_CODE, unit, position
                    count -= size
                    # Bits of the coefficients known before lie between (G.1.2.3).
                    while index <= last:
                        if (mask >> index) & 1:
                            if count < 1:
                                position, bits, count, padded = _fill(
                                    data, position, bits, count, padded
                                )
                            count -= 1
                        else:
                            if zeros == 0:
                                break
                            zeros -= 1
                        index += 1
                else:
                    count -= size
                    index += zeros
                if index > last:
                    return BEYOND_BAND, unit, position
                if size > 0 and kind != SEQUENTIAL:
                    mask |= 1 << index
                index += 1
        if kind >= AC_FIRST:
            if run > 0:
                if kind == AC_REFINING:
                    while index <= last:
                        if (mask >> index) & 1:
                            if count < 1:
                                position, bits, count, padded = _fill(
                                    data, position, bits, count, padded
                                )
                            count -= 1
                        index += 1
                run -= 1
            coded[unit] = mask
        if count < padded:
            return CUT, unit, position
    if run > 0:
        return RUN_OVER, units, position
    if count - padded >= 8 or not _at_marker(data, position):
        return LEFT_OVER, units, position
    return WHOLE, units, position
