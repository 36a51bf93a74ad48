"""A decoder written from the words of spec/lattice.md alone, in plain Python: slow and simple.

Pixels that are not known yet are not there, so that a look at one is a `KeyError`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from entropy import mixture_reference as mixture
from xraycodec.container import Container
from xraycodec.exact.onnx_reader import read_graph
from xraycodec.exact.operators import Graph
from xraycodec.exact.pack import ModelPack
from xraycodec.exact.reference import evaluate

Known = dict[tuple[int, int], int]
Coefficients = list[list[list[int]]]
DISTANCES = {(1, 1): [(1, 1), (1, 3), (3, 3)], (1, 0): [(0, 1), (1, 2), (0, 3)],
             (0, 1): [(0, 1), (1, 1), (1, 2), (0, 3)]}  # fmt: skip


def neighbours(phase: tuple[int, int]) -> list[tuple[int, int]]:
    """Section 3: every offset at these distances, sorted."""
    found = {
        (a * p, b * q)
        for near, far in DISTANCES[phase]
        for p, q in ((near, far), (far, near))
        for a in (1, -1)
        for b in (1, -1)
    }
    return sorted(found, key=lambda offset: (offset[0] ** 2 + offset[1] ** 2, *offset))


OFFSETS = {phase: neighbours(phase) for phase in DISTANCES}


@dataclass(frozen=True)
class Levels:
    """Section 2."""

    peak: int
    values: list[int]
    coefficients: Coefficients | None


def read_levels(data: bytes) -> Levels:
    version, flags, peak, lowest = struct.unpack_from("<BBHi", data)
    assert version == 1
    rest = data[8:]
    coefficients = None
    if flags & 1:
        numbers = list(struct.unpack_from("<156b", rest))
        rest = rest[156:]
        coefficients = [
            [[numbers.pop(0) for _ in OFFSETS[phase]] for phase in OFFSETS] for _ in range(3)
        ]
    values = list(range(peak + 1))
    if flags & 2:
        bits = "".join(f"{byte:08b}" for byte in zlib.decompress(rest))
        values = [place for place, bit in enumerate(bits) if bit == "1"]
    return Levels(peak, [lowest + value for value in values], coefficients)


def look(known: Known, shape: tuple[int, int], row: int, column: int) -> int:
    """A pixel, or what the border shows of it."""

    def reflected(place: int, size: int) -> int:
        m = 2 * (size - 1) if size > 1 else 2
        return min(abs(place) % m, m - abs(place) % m)

    rows, columns = shape
    r, c = reflected(row, rows), reflected(column, columns)
    if rows == 1 and r == 1:
        return known[0, c - c % 2]
    if columns == 1 and c == 1:
        return known[r - r % 2, 0]
    return known[r, c]


@dataclass(frozen=True)
class Description:
    """Section 4, of one position."""

    prediction: int
    deviation: int
    logarithm: int
    features: list[int]


def scale_of(activity: int) -> int:
    high = activity.bit_length() - 1
    return 4 * high + (activity >> (high - 2)) - 4


def describe(levels: Sequence[int], coefficients: Sequence[int], q: int, peak: int) -> Description:
    total = sum(c * y for c, y in zip(coefficients, levels, strict=True))
    p = min(max(2 * total, 0), 256 * peak)
    e = [256 * y - p for y in levels]
    s = scale_of(max(sum(map(abs, e[:12])), 768 * q))
    middle = (9 + 2 * (s % 4)) << (s // 4)
    inverse = (3072 << 32) // middle
    half = 2**31
    features = [128 + min(max((x * inverse + half) >> 32, -128), 127) for x in e]
    features.append(min(6 * (s - scale_of(768 * q)), 255))
    features.append(min((p * inverse + half) >> 32, 255))
    features.append(min(((256 * peak - p) * inverse + half) >> 32, 255))
    return Description(
        p, (middle << 8) // 96, 256 * (s // 4) + 1130 + (44, 118, 179, 232)[s % 4], features
    )


class Payload:
    """Section 6.2: the pixels of one layer."""

    def __init__(self, data: bytes, peak: int) -> None:
        self.peak = peak
        self.bits: str | None = None
        if data[0] == 1:
            self.bits = "".join(f"{byte:08b}" for byte in data[1:])
        else:
            assert data[0] == 0
            self.stream = mixture.Stream(np.frombuffer(data[1:], "<u4").tolist())

    def plain(self) -> int:
        assert self.bits is not None
        size = self.peak.bit_length()
        y, self.bits = int(self.bits[:size], 2), self.bits[size:]
        assert y <= self.peak
        return y

    def uniform(self) -> int:
        if self.bits is not None:
            return self.plain()
        slot = self.stream.state % 2**24
        y = min(slot // (2**24 // (self.peak + 1)), self.peak)
        self.stream.pop(*mixture.uniform(y, self.peak))
        return y

    def end(self) -> None:
        if self.bits is None:
            self.stream.end()
        else:
            assert len(self.bits) < 8
            assert "1" not in self.bits


@dataclass(frozen=True)
class Image:
    """What is known of an image before its first tile."""

    levels: Levels
    coefficients: Coefficients
    networks: Mapping[tuple[int, tuple[int, int]], Graph]
    channels: int
    unit_shift: int
    q: int


def decode_tile(shape: tuple[int, int], payloads: Sequence[bytes], image: Image) -> Known:
    """Section 6.1."""
    shapes = [shape]
    while shapes[-1] != (1, 1) or len(shapes) < 4:
        shapes.append((-(-shapes[-1][0] // 2), -(-shapes[-1][1] // 2)))
    peak = image.levels.peak
    opened: dict[int, Payload] = {}

    def payload(level: int) -> Payload:
        layer = 3 - min(level, 3)
        if layer not in opened:
            opened[layer] = Payload(payloads[layer], peak)
        return opened[layer]

    known = {(0, 0): payload(len(shapes) - 1).uniform() if peak else 0}
    state = np.zeros((1, image.channels, 1, 1), np.uint8)
    for level in range(len(shapes) - 2, -1, -1):
        known = {(2 * r, 2 * c): y for (r, c), y in known.items()}
        rows, columns = shapes[level]
        if not peak:
            known = dict.fromkeys(np.ndindex(rows, columns), 0)
        if not peak or (rows, columns) == (1, 1):
            continue
        grid = (-(-rows // 2), -(-columns // 2))
        state = state.repeat(2, 2).repeat(2, 3)[:, :, : grid[0], : grid[1]]
        for phase in OFFSETS:
            pixels = (len(range(phase[0], rows, 2)), len(range(phase[1], columns, 2)))
            if 0 in pixels:
                continue
            state = decode_phase(level, phase, (rows, columns), known, state, payload, image)
    for layer, content in enumerate(payloads):
        assert bool(content) == (layer in opened)
    for each in opened.values():
        each.end()
    return known


def decode_phase(
    level: int,
    phase: tuple[int, int],
    shape: tuple[int, int],
    known: Known,
    state: Any,
    payload: Callable[[int], Payload],
    image: Image,
) -> Any:
    chosen = min(level, 2)
    coefficients = image.coefficients[chosen][list(OFFSETS).index(phase)]
    grid = state.shape[2:]
    described = {
        (i, j): describe(
            [look(known, shape, phase[0] + 2 * i + a, phase[1] + 2 * j + b)
             for a, b in OFFSETS[phase]],
            coefficients, image.q, image.levels.peak,
        )
        for i, j in np.ndindex(*grid)
    }  # fmt: skip
    x = np.array([d.features for d in described.values()], np.uint8).T.reshape(1, -1, *grid)
    found = evaluate(image.networks[chosen, phase], np.concatenate([x, state], 1))
    parameters = found["parameters"]
    width = (shape[1] + 1 - phase[1]) // 2
    run = mixture.Run(
        image.levels.peak, image.q, (parameters.shape[1] + 1) // 3, image.unit_shift, width
    )
    source = payload(level)
    for (i, j), d in described.items():
        row, column = phase[0] + 2 * i, phase[1] + 2 * j
        if row >= shape[0] or column >= shape[1]:
            continue
        if source.bits is not None:
            known[row, column] = source.plain()
            continue
        pixel = mixture.Pixel(
            d.prediction, d.deviation, d.logarithm, parameters[0, :, i, j].tolist()
        )
        known[row, column] = run.decode(pixel, source.stream)
    return found["state"]


def decode(container: Container, pack: ModelPack) -> Any:
    """Every pixel, ``(frame, row, column)``."""
    header = container.header
    levels = read_levels(container.parameters)
    assert header.max_error is not None
    networks = {
        (chosen, phase): read_graph(pack.members[f"set-{chosen}-phase-{index}.onnx"])
        for chosen in range(3)
        for index, phase in enumerate(OFFSETS)
    }
    image = Image(
        levels,
        levels.coefficients or pack.properties["coefficients"],
        networks,
        pack.properties["channels"],
        pack.properties["parameter_bits"] - 8,
        2 * header.max_error + 1,
    )
    pixels = np.empty((header.frames, header.rows, header.columns), np.int64)
    tiles = (-(-header.rows // header.tile), -(-header.columns // header.tile))
    for number, (frame, row, column) in enumerate(np.ndindex(header.frames, *tiles)):
        top, left = row * header.tile, column * header.tile
        shape = (min(header.tile, header.rows - top), min(header.tile, header.columns - left))
        count = header.frames * tiles[0] * tiles[1]
        payloads = [bytes(container.payloads[layer * count + number]) for layer in range(4)]
        for (r, c), y in decode_tile(shape, payloads, image).items():
            pixels[frame, top + r, left + c] = levels.values[y]
    return pixels
