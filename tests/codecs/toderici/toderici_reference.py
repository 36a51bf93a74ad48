"""Decoding TODE as spec/toderici.md says it: a tile at a time, sharing little with the codec."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec import entropy
from xraycodec.container import parse
from xraycodec.entropy import FrequencyTables
from xraycodec.exact.ort import open_session
from xraycodec.exact.pack import find_pack


def decode(data: bytes, layers: int | None = None) -> npt.NDArray[np.int64]:
    """Pixels, ``(frame, row, column)``, from the first layers, or all."""
    stream = parse(data)
    header = stream.header
    layers = header.layers if layers is None else layers
    pack = find_pack(header.model)
    bits = pack.properties["bits"]
    tables = FrequencyTables.from_bytes(pack.members["frequencies.bin"])
    decoder = open_session(pack.members["decoder.onnx"], 1)
    version, inverted, _, low, span = struct.unpack("<BBHiI", stream.parameters)
    assert version == 1
    floor, ceiling = (0, 2**header.bits_stored - 1)
    if header.signed:
        floor, ceiling = (-(2 ** (header.bits_stored - 1)), 2 ** (header.bits_stored - 1) - 1)
    floor, ceiling = max(floor, low), min(ceiling, low + span)
    pixels = np.zeros((header.frames, header.rows, header.columns), np.int64)
    for frame in range(header.frames):
        for row in range(header.tiles_down):
            for column in range(header.tiles_across):
                height, width = header.tile_shape(row, column)
                p, q = -(-height // 16), -(-width // 16)
                states: dict[str, Any] = {}
                for value in decoder.get_inputs()[1:]:
                    cells = (1, 2, 4, 8)[int(value.name.removeprefix("state_")) // 2]
                    states[value.name] = np.zeros(
                        (1, value.shape[1], cells * p, cells * q), np.float32
                    )
                known: list[npt.NDArray[np.int32]] = []
                for t in range(layers):
                    index = np.zeros((bits, p, q), np.int64)
                    for k in range(bits):
                        last = known[t - 1][k] if t >= 1 else 0
                        before = known[t - 2][k] if t >= 2 else 0
                        index[k] = (t * bits + k) * 4 + 2 * last + before
                    payload = stream.payloads[header.payload_index(t, frame, row, column)]
                    values = entropy.decode(payload, index.ravel(), tables)
                    known.append(values.reshape(bits, p, q))
                    b = np.where(known[-1] == 1, 1, -1).astype(np.float32)[None]
                    names = ["x", *(name.replace("state", "next") for name in states)]
                    x, *following = decoder.run(names, {"b": b, **states})
                    states = dict(zip(states, following, strict=True))
                x = x[0, 0]
                if inverted:
                    x = 1 - x
                found = np.rint(x * np.float32(span) + low).clip(floor, ceiling)
                top, left = row * header.tile, column * header.tile
                pixels[frame, top : top + height, left : left + width] = found[:height, :width]
    return pixels
