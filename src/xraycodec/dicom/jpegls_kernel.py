"""The compiled loop of the JPEG-LS encoder; clauses and capitals are those of T.87.

Importing this module imports numba; import it inside the function that needs it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xraycodec.entropy.compilation import kernel

# J of A.2.1: bits that a run of each index is counted by.
_RUN_BITS = np.array(
    [*(0,) * 4, *(1,) * 4, *(2,) * 4, *(3,) * 4, *(4, 4, 5, 5, 6, 6, 7, 7), *range(8, 16)], np.int64
)
_RESET = 64
_RUN_CONTEXT = 365  # and 366: the interruption of a run, RItype 0 and 1
_MIN_BIAS, _MAX_BIAS = -128, 127
_MAX_RUN_CODE = 24  # bits written at a time for what may be longer

CONTEXTS = 367
MAX_CODE_BYTES = 16
"""Of a code of 64 bits at most, with the bits left over before it and those stuffed after FF."""


def codes_of_row(columns: int) -> int:
    """Codes that a row may need: three a sample; longer runs of ones have more samples."""
    return 3 * columns + 8


@kernel
def write(out: Any, written: Any, codes: Any, widths: Any, count: Any) -> Any:
    """Write codes, most significant bit first; a byte after FF has 7 bits (A.1).

    Args:
        out: bytes, with room for the codes.
        written: the last byte before ``out``, bits of the next one, and their number; updated.
        codes: values.
        widths: their bits, 0 to 64.
        count: codes to write.

    Returns:
        The bytes written; bits that make no whole byte are left for the next call.
    """
    last, pending, waiting = written[0], written[1], written[2]
    position = 0
    for index in range(count):
        left = widths[index]
        while left > 0:
            taken = left if left < 24 else 24
            left -= taken
            pending = (pending << taken) | ((codes[index] >> left) & ((1 << taken) - 1))
            waiting += taken
            while True:
                width = 7 if last == 0xFF else 8
                if waiting < width:
                    break
                waiting -= width
                last = pending >> waiting
                out[position] = last
                position += 1
                pending &= (1 << waiting) - 1
    written[0], written[1], written[2] = last, pending, waiting
    return position


@kernel
def encode_row(
    samples: Any,
    above: Any,
    here: Any,
    learned: Any,
    run: Any,
    codes: Any,
    widths: Any,
    parameters: Any,
    regions: Any,
) -> Any:
    """Codes of one row (A.2 to A.7).

    Args:
        samples: ``(column)``, at most MAXVAL.
        above: ``(column)``, decoded samples of the row above, with one more at each end for what
            stands there (A.2.1).
        here: the same of this row; written.
        learned: ``(kind, context)`` of A, N, B and C; updated.
        run: RUNindex, and Nn of either interruption; updated.
        codes: room for `codes_of_row`; written.
        widths: the same of their bits.
        parameters: MAXVAL, NEAR, RANGE, LIMIT, qbpp.
        regions: of each gradient from ``-MAXVAL`` on, -4 to 4 (A.3.3).

    Returns:
        The number of codes.
    """
    max_value, near, value_range, limit, quantised_bits = parameters
    sizes, counts, biases, corrections = learned
    columns = samples.size
    step = 2 * near + 1
    count = 0
    above[columns + 1] = above[columns]
    here[0] = above[1]
    column = 1
    while column <= columns:
        left, up_left = here[column - 1], above[column - 1]
        up, up_right = above[column], above[column + 1]
        region_1 = regions[max_value + up_right - up]
        region_2 = regions[max_value + up - up_left]
        region_3 = regions[max_value + up_left - left]
        alike = -1  # RItype; below 0, this is no interruption of a run
        longest = limit - quantised_bits - 1
        sign = 1
        if region_1 == 0 and region_2 == 0 and region_3 == 0:
            length = 0
            while column <= columns and abs(samples[column - 1] - left) <= near:
                here[column] = left
                column += 1
                length += 1
            ones = 0
            while length >= 1 << _RUN_BITS[run[0]]:
                length -= 1 << _RUN_BITS[run[0]]
                if run[0] < 31:
                    run[0] += 1
                ones += 1
            if column > columns and length > 0:
                ones += 1
            while ones > 0:
                part = ones if ones < _MAX_RUN_CODE else _MAX_RUN_CODE
                codes[count], widths[count] = (1 << part) - 1, part
                count += 1
                ones -= part
            if column > columns:
                break
            run_bits = _RUN_BITS[run[0]]
            codes[count], widths[count] = length, run_bits + 1
            count += 1
            longest -= run_bits + 1
            if run[0] > 0:
                run[0] -= 1
            up = above[column]
            alike = 1 if abs(left - up) <= near else 0
            context = _RUN_CONTEXT + alike
            prediction = left if alike == 1 else up
            if alike == 0 and left > up:
                sign = -1
            expected = sizes[context]
            if alike == 1:
                expected += counts[context] >> 1
        else:
            context = 81 * region_1 + 9 * region_2 + region_3
            if context < 0:
                context, sign = -context, -1
            low, high = (left, up) if left < up else (up, left)
            if up_left >= high:
                prediction = low
            elif up_left <= low:
                prediction = high
            else:
                prediction = left + up - up_left
            prediction += sign * corrections[context]
            prediction = 0 if prediction < 0 else prediction
            prediction = max_value if prediction > max_value else prediction
            expected = sizes[context]

        # Steps of 2 NEAR + 1, modulo RANGE (A.4.4, A.4.5).
        error = sign * (samples[column - 1] - prediction)
        error = (error + near) // step if error > 0 else -((near - error) // step)
        decoded = prediction + sign * error * step
        decoded = 0 if decoded < 0 else decoded
        here[column] = max_value if decoded > max_value else decoded
        if error < 0:
            error += value_range
        if error >= (value_range + 1) // 2:
            error -= value_range
        k = 0
        while counts[context] << k < expected:
            k += 1

        # Errors mapped to counting numbers, the likelier sign first (A.5.2, A.7.2.2).
        size = abs(error)
        mapped = 2 * size
        if alike >= 0:
            mostly_negative = 2 * run[1 + alike] >= counts[context]
            if error > 0:
                flipped = k == 0 and not mostly_negative
            else:
                flipped = error < 0 and (k != 0 or mostly_negative)
            mapped -= alike
            if flipped:
                mapped -= 1
        elif near == 0 and k == 0 and 2 * biases[context] <= -counts[context]:
            mapped += 1 if error >= 0 else -2
        elif error < 0:
            mapped -= 1

        # A code of limited length (A.5.3).
        quotient = mapped >> k
        if quotient < longest:
            codes[count] = (1 << k) | (mapped & ((1 << k) - 1))
            widths[count] = quotient + 1 + k
        else:
            codes[count] = (1 << quantised_bits) | (mapped - 1)
            widths[count] = longest + 1 + quantised_bits
        count += 1

        # What the context has learned (A.6, A.7.2.2).
        if alike >= 0:
            sizes[context] += (mapped + 1 - alike) >> 1
            if error < 0:
                run[1 + alike] += 1
        else:
            sizes[context] += size
            biases[context] += error * step
        if counts[context] == _RESET:
            sizes[context] >>= 1
            biases[context] >>= 1
            counts[context] >>= 1
            if alike >= 0:
                run[1 + alike] >>= 1
        counts[context] += 1
        if alike < 0:
            bias, n = biases[context], counts[context]
            if bias <= -n:
                biases[context] = bias + n if bias + n > -n else 1 - n
                if corrections[context] > _MIN_BIAS:
                    corrections[context] -= 1
            elif bias > 0:
                biases[context] = bias - n if bias < n else 0
                if corrections[context] < _MAX_BIAS:
                    corrections[context] += 1
        column += 1
    return count
