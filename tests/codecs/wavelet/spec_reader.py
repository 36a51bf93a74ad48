"""A decoder written from the words of spec/wavelet.md alone, in plain Python: slow and simple.

What section 9 promises of the sizes of numbers is asserted on the way.
"""

from __future__ import annotations

import itertools
import struct
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from entropy import mixture_reference as mixture
from xraycodec.container import Container
from xraycodec.exact.onnx_reader import read_graph
from xraycodec.exact.operators import Graph
from xraycodec.exact.pack import ModelPack
from xraycodec.exact.reference import evaluate

Plane = list[list[int]]
Shape = tuple[int, int]
PLACES = (0, 3, 1, 2)
BANDS = ((0, 1), (1, 0), (1, 1))
WEIGHTS = (-103949, -3472, 57863, 29066)
HALF = 1 << 15


def clip(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


def shapes_of(rows: int, columns: int) -> list[Shape]:
    """Section 3.1: levels 0 to T."""
    shapes = [(rows, columns)]
    while max(shapes[-1]) > 2:
        shapes.append((-(-shapes[-1][0] // 2), -(-shapes[-1][1] // 2)))
    return shapes


def cells_of(shape: Shape) -> Shape:
    return -(-shape[0] // 2), -(-shape[1] // 2)


def band_shape(below: Shape, band: int) -> Shape:
    """Rows and columns that lie at the band's parities in the level below."""
    row, column = BANDS[band]
    return len(range(row, below[0], 2)), len(range(column, below[1], 2))


def weighted(x: int, w: int) -> int:
    """S of section 3.2."""
    return (x * w + HALF) >> 16


def inside(x: int) -> int:
    assert -(2**31) <= x < 2**31
    return x


def lift(line: list[int]) -> list[int]:
    """Steps 3 and 4, of one row or column."""
    n = len(line)
    if n == 1:
        return line
    for k in (3, 2, 1, 0):
        for i in range(1 - k % 2, n, 2):
            a = line[i - 1] if i > 0 else line[1]
            b = line[i + 1] if i < n - 1 else line[n - 2]
            line[i] = inside(line[i] + weighted(a + b, -WEIGHTS[k]))
    return line


def gain(k: int, n: int) -> int:
    if n == 1:
        return 46341
    return 75341 if k % 2 else 57007


def inverse(plane: Plane, level: int) -> Plane:
    """Section 3.2: from the bands of a level in place to the plane of the level below."""
    rows, columns = len(plane), len(plane[0])
    doubled = 2 if level > 6 else 1
    plane = [
        [
            inside(weighted(weighted(doubled * x, gain(i, rows)), gain(j, columns)))
            for j, x in enumerate(row)
        ]
        for i, row in enumerate(plane)
    ]
    lifted = [lift(list(column)) for column in zip(*plane, strict=True)]
    plane = [lift(list(row)) for row in zip(*lifted, strict=True)]
    return [[clip(x, -(2**26), 2**26) for x in row] for row in plane]


@dataclass(frozen=True)
class Cell:
    """Section 4, of one cell: its scale, and its channels but for those of coefficients."""

    unit: int
    logarithm: int
    of_coefficients: int
    channels: list[int]


def describe(low: Plane, level: int, i: int, j: int) -> Cell:
    rows, columns = len(low), len(low[0])

    def v(r: int, c: int) -> int:
        return low[clip(r, 0, rows - 1)][clip(c, 0, columns - 1)]

    bends = sum(
        abs(2 * v(r, c) - v(r, c - 1) - v(r, c + 1)) + abs(2 * v(r, c) - v(r - 1, c) - v(r + 1, c))
        for r in (2 * i, 2 * i + 1)
        for c in (2 * j, 2 * j + 1)
    )
    b = max(bends, 4096)
    high = b.bit_length() - 1
    s = min(4 * (high - 12) + (b >> (high - 2)) - 4, 63)
    e = (9 + 2 * (s % 4)) << (s // 4)
    details = []
    for p in range(4):
        r, c = min(2 * i + (p >> 1), rows - 1), min(2 * j + p % 2, columns - 1)
        box = sum(v(r + y, c + x) for y in range(-4, 5) for x in range(-4, 5))
        details.append(mixture.fits((81 * v(r, c) - box) * (2**37 // (81 * e))))
    channels = [128 + clip((d + 2**37) >> 38, -128, 127) for d in details]
    channels += [128 + clip((d + 2**40) >> 41, -128, 127) for d in details]
    channels += [min(6 * s, 255), 24 * min(level, 8)]
    logarithm = 4096 + 256 * (s // 4) + (44, 118, 179, 232)[s % 4]
    return Cell(e << 13, logarithm, 2**28 // e, channels)


def strips_of(level: int, cells: Shape) -> list[range]:
    """Section 6.2: rows of cells of each strip."""
    height, width = cells
    count = min(-(-height * width // 2**16), height) if level < 4 else 1
    each = -(-height // count)
    return [range(top, min(top + each, height)) for top in range(0, height, each)]


@dataclass
class Payload:
    """Section 6.2: one layer."""

    plane: Plane
    reaches: dict[int, int]
    in_blocks: set[int]
    streams: list[mixture.Stream]


def read_payload(
    data: bytes, layer: int, shapes: Sequence[Shape], lowest: int, *, blocks: bool
) -> Payload:
    """Of layer 0, the levels go down to the lowest that is given."""
    top = len(shapes) - 1
    plane: Plane = []
    if layer == 0:
        rows, columns = shapes[top]
        for _ in range(rows):
            plane.append(list(struct.unpack_from(f"<{columns}i", data)))
            data = data[4 * columns :]
        assert all(abs(value) < 2**18 for row in plane for value in row)
    own = range(top, lowest - 1, -1) if layer == 0 else [4 - layer] if 4 - layer <= top else []
    in_blocks = {level for level, n in zip(own, data, strict=False) if n > 127}
    assert blocks or not in_blocks
    reaches = {level: 2 ** (n % 128) - 1 for level, n in zip(own, data, strict=False)}
    assert len(reaches) == len(own)
    assert all(reaches[level] for level in in_blocks)
    assert max(reaches.values(), default=0) < 2**18
    data = data[len(own) :]
    streams = []
    if any(reaches.values()):
        level = min(own)
        count = len(strips_of(level, cells_of(shapes[level])))
        sizes = struct.unpack_from(f"<{count - 1}I", data)
        data = data[4 * (count - 1) :]
        for size in (*sizes, len(data) - sum(sizes)):
            streams.append(mixture.Stream(np.frombuffer(data[:size], "<u4").tolist()))
            data = data[size:]
    assert not data
    return Payload(plane, reaches, in_blocks, streams)


Position = tuple[int, int, int]
"""Band, row and column of a coefficient of a phase."""


@dataclass
class Strip:
    """Section 6.3: the coefficients of some rows of cells."""

    rows: range
    stream: mixture.Stream
    components: int
    unit_shift: int
    reach: int
    offsets: defaultdict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))
    counts: defaultdict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))
    tap_weights: list[list[int]] = field(default_factory=lambda: [[0] * 6 for _ in range(3)])
    chosen: dict[Position, int] = field(default_factory=dict)
    errors: dict[Position, int] = field(default_factory=dict)

    def coded_cells(self, width: int) -> set[tuple[int, int]]:
        """Section 6.4: read which blocks are coded; return their cells."""
        flags: dict[tuple[int, int], bool] = {}
        chances, counts = [2**23] * 4, [0] * 4
        for i, j in np.ndindex(-(-len(self.rows) // 16), -(-width // 16)):
            c = flags.get((i, j - 1), False) + 2 * flags.get((i - 1, j), False)
            p, pace = chances[c], 2 * counts[c] + 3
            flags[i, j] = self.stream.state % mixture.WHOLE < p
            if flags[i, j]:
                self.stream.pop(0, p)
                chances[c] += 2 * (mixture.WHOLE - p) // pace
            else:
                self.stream.pop(p, mixture.WHOLE - p)
                chances[c] -= 2 * p // pace
            counts[c] = min(counts[c] + 1, 126)
        return {
            (i, j)
            for i, j in itertools.product(self.rows, range(width))
            if flags[(i - self.rows.start) // 16, j // 16]
        }

    def begin_phase(self) -> None:
        self.chosen, self.errors = {}, {}

    def group(self, t: int, i: int, j: int) -> int:
        def a(band: int, row: int, column: int) -> int:
            return abs(self.chosen.get((band, row, column), 0))

        x = 2 * a(t, i, j - 1) + 2 * a(t, i - 1, j) + a(t, i - 1, j - 1) + a(t, i - 1, j + 1)
        x += a(t, i, j - 2) + a(t, i - 2, j)
        y = sum(a(band, i, j) for band in range(t))
        return 1 + 3 * min((x + 1) >> 1, 2) + min(y, 2)

    def decode(self, cell: Cell, numbers: Sequence[int], t: int, i: int, j: int) -> int:
        group = self.group(t, i, j)
        near = [self.errors.get((t, i + y, j + x), 0) for y, x in mixture.NEAR]
        taps = [mixture.in_deviations(error, cell.logarithm) for error in near]
        h = self.tap_weights[t]
        products = [a * b for a, b in zip(h, taps, strict=True)]
        correction = clip(sum(products) >> 16, -(2**18), 2**18)
        moved = (correction * cell.unit) >> 16
        # A run that has coded nothing corrects nothing.
        run = mixture.Run(1, 1, self.components, self.unit_shift, 1)
        run.offsets = [self.offsets[0, c] + self.offsets[group, c >> 3] for c in range(256)]
        mixed = run.mixture(mixture.Pixel(0, cell.unit, cell.logarithm, numbers))
        mixed = replace(mixed, centres=[centre + moved for centre in mixed.centres])
        bins = mixture.Bins(mixed, 1, 0, -self.reach, 2 * self.reach + 1)
        slot = self.stream.state % mixture.WHOLE
        place = bisect_right(range(bins.count), slot, key=bins.start) - 1
        start, end = bins.start(place), bins.start(place + 1)
        self.stream.pop(start, end - start)
        self.adapt(bins, place, group)
        a = place - self.reach
        error = mixture.fits((a << 16) - mixed.mean + moved) >> 8
        self.errors[t, i, j] = error if a else 0
        self.chosen[t, i, j] = a
        missed = mixture.in_deviations(error, cell.logarithm) - (correction >> 8)
        e = (clip(missed, -2048, 2048) << 28) // (2**16 + sum(z * z for z in taps))
        for k, z in enumerate(taps):
            h[k] = clip(h[k] + ((z * e) >> 10), -(2**25), 2**25)
        return a

    def adapt(self, bins: mixture.Bins, place: int, group: int) -> None:
        c = bins.mixture.context
        g = bins.mixture.moment(bins.boundary(place + 1)) if place + 1 < bins.count else 0
        g -= bins.mixture.moment(bins.boundary(place)) if place > 0 else 0
        gradient = clip(g // (bins.start(place + 1) - bins.start(place)), -32768, 32768)
        for key, first, last in (((0, c), 20, 256), ((group, c >> 3), 6, 96)):
            move = (gradient << 12) // min(self.counts[key] + first, last)
            self.offsets[key] = clip(self.offsets[key] - move, -(2**25), 2**25)
            self.counts[key] += 1


@dataclass(frozen=True)
class Model:
    """Section 5."""

    channels: int
    components: int
    bits: int
    networks: Mapping[str, Graph]
    sets: int

    @staticmethod
    def of(pack: ModelPack) -> Model:
        p = pack.properties
        networks = {name[:-5]: read_graph(data) for name, data in pack.members.items()}
        numbers = p["channels"], p["components"], p["parameter_bits"]
        return Model(*numbers, networks, p.get("sets", 3))

    def correction(self, n: np.int32) -> int:
        """Section 6.1, step 3.4."""
        return clip((int(n) + (1 << (self.bits - 7))) >> (self.bits - 6), -64, 64)


def decode_level(
    level: int, below: Shape, low: Plane, state: Any, payload: Payload | None, model: Model
) -> tuple[Plane, Any]:
    """Section 6.1, step 3: the plane of the level below, and the state."""
    height, width = cells_of((len(low), len(low[0])))
    grid = list(np.ndindex(height, width))
    cells = {(i, j): describe(low, level, i, j) for i, j in grid}
    x = np.full((1, 22 + model.channels, height, width), 128, np.uint8)
    for (i, j), cell in cells.items():
        x[0, 12:22, i, j] = cell.channels
    found: dict[tuple[int, int, int, int], int] = {}
    name = f"set-{min(level, model.sets) - 1}"
    if payload is not None and payload.reaches[level]:
        strips = [
            Strip(rows, stream, model.components, model.bits - 8, payload.reaches[level])
            for rows, stream in zip(
                strips_of(level, (height, width)), payload.streams, strict=True
            )
        ]  # fmt: skip
        coded = set(grid)
        if level in payload.in_blocks:
            coded = set().union(*(strip.coded_cells(width) for strip in strips))
        inside_blocks = np.array([[(i, j) in coded for j in range(width)] for i in range(height)])
        for phase, place in enumerate(PLACES):
            x[:, 22:] = state
            given = evaluate(model.networks[f"{name}-phase-{phase}"], x)
            state = np.where(inside_blocks, given["state"], state)
            numbers = given["numbers"][0].reshape(3, -1, height, width)
            for strip in strips:
                strip.begin_phase()
                for i, j, band in itertools.product(strip.rows, range(width), range(3)):
                    rows, columns = band_shape(below, band)
                    if (i, j) not in coded:
                        continue
                    if 2 * i + (place >> 1) >= rows or 2 * j + place % 2 >= columns:
                        continue
                    a = strip.decode(cells[i, j], numbers[band, :, i, j].tolist(), band, i, j)
                    found[band, place, i, j] = a
                    scaled = (a * cells[i, j].of_coefficients + 2**19) >> 20
                    x[0, 4 * band + place, i, j] = 128 + clip(scaled, -128, 127)
    x[:, 22:] = state
    given = evaluate(model.networks[f"{name}-synthesis"], x)
    plane = [[0] * below[1] for _ in range(below[0])]
    for i, row in enumerate(low):
        plane[2 * i][::2] = row
    for band, (row, column) in enumerate((*BANDS, (0, 0))):
        for p in range(4):
            for i, j in grid:
                r, c = 2 * (2 * i + (p >> 1)) + row, 2 * (2 * j + p % 2) + column
                if r < below[0] and c < below[1]:
                    w = model.correction(given["numbers"][0, 4 * band + p, i, j])
                    plane[r][c] += 256 * found.get((band, p, i, j), 0) + 4 * w
    return inverse(plane, level), given["state"]


def decode_frame(
    shape: Shape,
    payloads: Sequence[bytes],
    model: Model,
    last: int = 0,
    *,
    joined: bool = False,
    to_the_end: bool = True,
    blocks: bool = False,
) -> Plane:
    """Section 6.1: the plane of level `last`, by the payloads of the first layers."""
    shapes = shapes_of(*shape)
    lowest = 1 if joined else 4
    opened = [
        read_payload(data, layer, shapes, lowest, blocks=blocks)
        for layer, data in enumerate(payloads)
    ]
    plane = [[256 * value for value in row] for row in opened[0].plane]
    state = np.zeros((1, model.channels, 1, 1), np.uint8)
    for level in range(len(shapes) - 1, last, -1):
        if level < len(shapes) - 1:
            state = doubled(state, shapes[level])
        layer = 0 if joined else 4 - min(level, 4)
        payload = opened[layer] if layer < len(opened) else None
        plane, state = decode_level(level, shapes[level - 1], plane, state, payload, model)
    for stream in itertools.chain.from_iterable(each.streams for each in opened):
        if to_the_end:
            stream.end()
    if last:
        return plane
    return finish(plane, doubled(state, shape) if len(shapes) > 1 else state, model)


def doubled(state: Any, shape: Shape) -> Any:
    """Section 6.1, step 3.1."""
    height, width = cells_of(shape)
    return state.repeat(2, 2).repeat(2, 3)[:, :, :height, :width]


def finish(plane: Plane, state: Any, model: Model) -> Plane:
    """Section 6.1, step 4."""
    rows, columns = len(plane), len(plane[0])
    height, width = cells_of((rows, columns))
    features = np.empty((1, 10, height, width), np.uint8)
    for i, j in np.ndindex(height, width):
        features[0, :, i, j] = describe(plane, 0, i, j).channels
    given = evaluate(model.networks["finish"], np.concatenate([features, state], 1))["numbers"][0]
    return [
        [
            x + 4 * model.correction(given[2 * (r % 2) + c % 2, r // 2, c // 2])
            for c, x in enumerate(row)
        ]
        for r, row in enumerate(plane)
    ]


def put_back_margins(
    pixels: Plane, padding: int, gains: Sequence[int], lowest: int, highest: int
) -> None:
    """Section 2.3."""
    for place, gain in enumerate(gains):
        line = (0, 1, -1, -2)[place % 4]
        if gain == 128:
            continue
        for k in range(len(pixels) if place > 3 else len(pixels[0])):
            r, c = (k, line) if place > 3 else (line, k)
            scaled = padding + (((pixels[r][c] - padding) * gain + 64) >> 7)
            pixels[r][c] = clip(scaled, lowest, highest)


def read_shutter(data: bytes, rows: int, columns: int) -> tuple[int, list[list[bool]], bytes]:
    """spec/wavelet-shutter.md: the value, the mask and the bytes after the shutter."""
    size, value = struct.unpack_from("<Ii", data)
    assert len(data) >= 8 + size
    stream = mixture.Stream(np.frombuffer(data[8 : 8 + size], "<u4").tolist())
    near = [(0, -1), (0, -2), *((-1, c) for c in range(-4, 5)), *((-2, c) for c in range(-2, 3))]
    hidden: dict[tuple[int, int], bool] = {}
    chances: defaultdict[tuple[bool, ...], int] = defaultdict(lambda: 2**23)
    counts: defaultdict[tuple[bool, ...], int] = defaultdict(int)
    for r, c in np.ndindex(rows, columns):
        context = tuple(hidden.get((r + y, c + x), True) for y, x in near)
        p, pace = chances[context], 2 * counts[context] + 3
        assert 0 < p < mixture.WHOLE
        hidden[r, c] = stream.state % mixture.WHOLE < p
        if hidden[r, c]:
            stream.pop(0, p)
            chances[context] += 2 * (mixture.WHOLE - p) // pace
        else:
            stream.pop(p, mixture.WHOLE - p)
            chances[context] -= 2 * p // pace
        counts[context] = min(counts[context] + 1, 14)
    stream.end()
    mask = [[hidden[r, c] for c in range(columns)] for r in range(rows)]
    return value, mask, data[8 + size :]


def decode(container: Container, pack: ModelPack, layers: int = 4, level: int = 0) -> Any:
    """Pixels, ``(frame, row, column)``, by the first layers, at a level."""
    header = container.header
    assert (header.codec, header.exact, header.max_error) == ("WAVE", True, None)
    assert (header.layers in (1, 4), header.tile) == (True, 0)
    joined = header.layers == 1
    if joined:
        half = (-(-header.rows // 2), -(-header.columns // 2))
        assert len(strips_of(1, cells_of(half))) == 1
    version, flags, q, lowest, highest = struct.unpack_from("<BBIii", container.parameters)
    assert (version, flags & ~14) == (1, 0)
    rest = bytes(container.parameters[14:])
    margins = struct.unpack("<i8B", rest[:12]) if flags & 2 else (0, *8 * (128,))
    rest = rest[12:] if flags & 2 else rest
    value, mask = 0, [[False] * header.columns] * header.rows
    if flags & 4:
        value, mask, rest = read_shutter(rest, header.rows, header.columns)
    assert not rest
    shapes = shapes_of(header.rows, header.columns)
    last = min(level, len(shapes) - 1)
    d = 16 + min(last, 6)
    middle = (lowest + highest) >> 1
    frames = []
    for frame in range(header.frames):
        payloads = [
            bytes(container.payloads[layer * header.frames + frame])
            for layer in range(min(layers, header.layers if joined else 4 - level))
        ]
        plane = decode_frame(
            shapes[0], payloads, Model.of(pack), last, joined=joined,
            to_the_end=not (joined and last), blocks=bool(flags & 8),
        )  # fmt: skip
        pixels = [
            [clip(middle + ((x * q + (1 << (d - 1))) >> d), lowest, highest) for x in row]
            for row in plane
        ]
        if not level:
            put_back_margins(pixels, margins[0], margins[1:], lowest, highest)
        for i, row in enumerate(pixels):
            for j in range(len(row)):
                if mask[i << last][j << last]:
                    row[j] = value
        frames.append(pixels)
    every = 1 << (level - last)
    return np.array(frames)[:, ::every, ::every]
