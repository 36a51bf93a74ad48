"""The coder against pinned bytes, the reference decoder, the ideal size and hostile streams."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xraycodec
from xraycodec.entropy import FrequencyTables, decode, encode
from xraycodec.errors import CorruptError, FormatError, TruncatedError

from . import reference

SPEC = Path(__file__).parents[2] / "spec" / "entropy.md"
INT32 = st.integers(-(2**31), 2**31 - 1)
SMALL = FrequencyTables(
    np.array([-1], np.int32), np.array([3], np.uint16), np.array([10000, 50000, 5000, 536], "u2")
)
CERTAIN = FrequencyTables.from_counts([np.array([1, 0])], [7])


def int32(*values: int) -> npt.NDArray[np.int32]:
    return np.array(values, np.int32)


def zeros(number: int) -> npt.NDArray[np.int64]:
    return np.zeros(number, np.int64)


def spec_block(name: str) -> str:
    found = re.search(rf"```{name}\n(.*?)```", SPEC.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return found[1]


class TestSpec:
    def test_example(self) -> None:
        tables = FrequencyTables.from_bytes(bytes.fromhex(spec_block("tables")))
        assert tables.to_bytes() == SMALL.to_bytes()
        stream = bytes.fromhex(spec_block("stream"))
        values = int32(*map(int, spec_block("values").split()))
        assert encode(values, zeros(values.size), tables) == stream
        np.testing.assert_array_equal(decode(stream, zeros(values.size), tables), values)

    def test_pops_of_the_example(self) -> None:
        tables = reference.read_tables(bytes.fromhex(spec_block("tables")))
        decoder = reference.Decoder(bytes.fromhex(spec_block("stream")))
        assert decoder.run([0] * 6, tables) == [int(v) for v in spec_block("values").split()]
        assert decoder.trace == spec_block("pops").splitlines()


class TestPinned:
    """Streams written by version 1: these bytes decode for ever."""

    @pytest.mark.parametrize(
        ("tables", "values", "stream"),
        [
            (SMALL, [], ""),
            (SMALL, [0], "c063010000000100"),
            (SMALL, [0, 0], "c0630100c0630100"),
            (SMALL, [1, -1, 0, 0, 1], "c8f2f00030040900"),
            (SMALL, [2**31 - 1, -(2**31)], "30ffdd0778ff1a08fefffcfffffffcff"),
            (CERTAIN, [7] * 9, "0500010004000100"),
            (CERTAIN, [7, 8, 7], "02000100ffff40000000"),
        ],
    )
    def test_stream(self, tables: FrequencyTables, values: list[int], stream: str) -> None:
        assert encode(int32(*values), zeros(len(values)), tables).hex() == stream
        assert decode(bytes.fromhex(stream), zeros(len(values)), tables).tolist() == values


@st.composite
def coded_sequences(draw: st.DrawFn) -> tuple[FrequencyTables, list[int], list[int]]:
    """Tables, values within and outside of them, and the number of the table of each."""
    counts = draw(
        st.lists(st.lists(st.integers(0, 5000), min_size=2, max_size=30), min_size=1, max_size=6)
    )
    minimum = st.one_of(
        st.integers(-40, 40), st.just(-(2**31)), st.integers(2**31 - 40, 2**31 - 30)
    )
    minimums = [draw(minimum) for _ in counts]
    tables = FrequencyTables.from_counts([np.array(table) for table in counts], minimums)
    table_index = draw(st.lists(st.integers(0, len(counts) - 1), max_size=40))
    values = []
    for table in table_index:
        near = st.integers(-3, len(counts[table]) + 3).map(minimums[table].__add__)
        values.append(draw(st.one_of(near.filter(lambda v: -(2**31) <= v < 2**31), INT32)))
    return tables, values, table_index


class TestRoundTrip:
    @given(coded_sequences())
    def test_kernel_and_reference(
        self, sequence: tuple[FrequencyTables, list[int], list[int]]
    ) -> None:
        tables, values, table_index = sequence
        index = np.array(table_index, np.int64)
        stream = encode(int32(*values), index, tables)
        decoded = decode(stream, index, tables)
        assert decoded.dtype == np.int32
        assert decoded.tolist() == values
        read = reference.read_tables(tables.to_bytes())
        assert reference.decode(stream, table_index, read) == values

    @pytest.mark.parametrize("minimum", [-(2**31), -1, 0, 2**31 - 3])
    def test_escapes_at_every_magnitude(self, minimum: int) -> None:
        tables = FrequencyTables.from_counts([np.array([1, 2, 1, 0])], [minimum])
        powers = {sign * 2**power for power in range(32) for sign in (1, -1)}
        around = {power + shift for power in powers for shift in (-1, 0, 1)}
        values = int32(*sorted(v for v in around if -(2**31) <= v < 2**31))
        stream = encode(values, zeros(values.size), tables)
        np.testing.assert_array_equal(decode(stream, zeros(values.size), tables), values)

    def test_one_symbol_costs_almost_nothing(self) -> None:
        values = np.full(10_000, 7, np.int32)
        stream = encode(values, zeros(values.size), CERTAIN)
        assert len(stream) <= 10
        np.testing.assert_array_equal(decode(stream, zeros(values.size), CERTAIN), values)

    def test_all_escapes(self) -> None:
        values = np.random.default_rng(5).integers(-(2**31), 2**31, 999).astype(np.int32)
        stream = encode(values, zeros(values.size), CERTAIN)
        np.testing.assert_array_equal(decode(stream, zeros(values.size), CERTAIN), values)

    def test_most_symbols_and_most_tables(self) -> None:
        flat = FrequencyTables.from_counts([np.ones(65536, np.int64)], [-30000])
        values = np.arange(-30100, 35600, 7, dtype=np.int32)
        stream = encode(values, zeros(values.size), flat)
        np.testing.assert_array_equal(decode(stream, zeros(values.size), flat), values)

        number = 1 << 14
        many = FrequencyTables.from_counts([np.array([3, 1])] * number, list(range(number)))
        index = np.arange(number)[::-1]
        values = index.astype(np.int32)
        stream = encode(values, index, many)
        np.testing.assert_array_equal(decode(stream, index, many), values)

    @pytest.mark.parametrize("dtype", ["u1", "i1", ">u2", "u4", "<i8", ">i8"])
    def test_any_integer_type_of_table_numbers(self, dtype: str) -> None:
        tables = FrequencyTables.from_counts([np.array([5, 1]), np.array([1, 1, 1])], [0, 3])
        values = int32(0, 4, 3, 0)
        plain = encode(values, np.array([0, 1, 1, 0]), tables)
        index = np.array([0, 1, 1, 0]).astype(dtype)
        assert encode(values, index, tables) == plain
        np.testing.assert_array_equal(decode(plain, index, tables), values)

    def test_views_strided_unaligned_and_read_only(self) -> None:
        values = int32(0, 1, -1, 0, 5, 0)
        stream = encode(values, zeros(6), SMALL)
        strided = np.repeat(values, 2)[::2]
        unaligned = np.frombuffer(b"?" + values.tobytes(), np.int32, offset=1)
        index = np.frombuffer(b"?" + zeros(6).astype(np.uint16).tobytes(), np.uint16, offset=1)
        assert encode(strided, index, SMALL) == stream
        assert encode(unaligned, index, SMALL) == stream
        within = memoryview(b"?" + stream + b"?")[1:-1]
        np.testing.assert_array_equal(decode(within, index, SMALL), values)


class TestSize:
    @staticmethod
    def overhead_bytes(frequencies: npt.NDArray[np.int64], number: int) -> tuple[float, float]:
        """Size of an iid sequence above its ideal size, and the ideal size, both in bytes."""
        tables = FrequencyTables.from_counts([frequencies], [0])
        actual = tables.frequencies_of(0).astype(np.int64)
        slots = np.random.default_rng(3).integers(0, 65536 - actual[-1], number)
        values = np.searchsorted(np.cumsum(actual), slots, side="right").astype(np.int32)
        ideal = float(np.sum(16 - np.log2(actual[values]))) / 8
        return len(encode(values, zeros(number), tables)) - ideal, ideal

    def test_wide_distribution(self) -> None:
        distance = np.abs(np.arange(-60, 61))
        frequencies = np.append((1e6 * np.exp(-distance / 8)).astype(np.int64), 0)
        overhead, ideal = self.overhead_bytes(frequencies, 200_000)
        assert overhead <= 0.001 * ideal + 8

    @pytest.mark.parametrize("certain", [900, 970, 990, 997])
    def test_narrow_distribution(self, certain: int) -> None:
        # Section 2 of the spec allows 0.2 % where one symbol is nearly certain.
        rest = (1000 - certain) * 50
        overhead, ideal = self.overhead_bytes(np.array([rest, certain * 100, rest, 0]), 200_000)
        assert overhead <= 0.0025 * ideal + 8

    def test_short_sequence(self) -> None:
        assert len(encode(int32(0), zeros(1), SMALL)) == 8


class TestRejection:
    """One test for each rule of section 3."""

    STREAM = bytes.fromhex("d0c60b00 077ad826 bf3e 0080")  # the spec's example

    def test_rule_1_bytes_for_no_values(self) -> None:
        with pytest.raises(CorruptError, match="for no symbols has 8 bytes"):
            decode(bytes(8), zeros(0), SMALL)

    @pytest.mark.parametrize("size", range(8))
    def test_rule_2_less_than_the_states(self, size: int) -> None:
        with pytest.raises(TruncatedError, match=f"has {size} bytes; its states alone take 8"):
            decode(self.STREAM[:size], zeros(6), SMALL)

    def test_rule_3_odd_length(self) -> None:
        with pytest.raises(CorruptError, match="has 11 bytes; allowed are even numbers"):
            decode(self.STREAM[:11], zeros(6), SMALL)

    @pytest.mark.parametrize("state", [0, 1])
    def test_rule_4_start_state(self, state: int) -> None:
        states = np.array([65536, 65536], "<u4")
        states[state] = 65535
        with pytest.raises(CorruptError, match="begins with a state under 65536"):
            decode(states.tobytes(), zeros(1), CERTAIN)

    def test_rule_5_exhausted(self) -> None:
        with pytest.raises(TruncatedError, match="ends after 5 of 6 symbols"):
            decode(self.STREAM[:-2], zeros(6), SMALL)

    @pytest.mark.parametrize(("value", "minimum"), [(2**31 - 1, 1), (-(2**31), -1)])
    def test_rule_6_no_int32(self, value: int, minimum: int) -> None:
        # The same bytes under a table that lies further out in the direction of the escape.
        near = FrequencyTables.from_counts([np.array([1, 1])], [0])
        beyond = FrequencyTables.from_counts([np.array([1, 1])], [minimum])
        stream = encode(int32(value), zeros(1), near)
        with pytest.raises(CorruptError, match="escaped value after 0 of 1 symbols"):
            decode(stream, zeros(1), beyond)

    def test_rule_7_trailing_word(self) -> None:
        with pytest.raises(CorruptError, match="bytes left after 6 of 6 symbols"):
            decode(self.STREAM + b"\0\0", zeros(6), SMALL)

    @pytest.mark.parametrize("state", [0, 1])
    def test_rule_8_final_state(self, state: int) -> None:
        states = np.array([65537, 65536], "<u4")  # the one stream of a single 7
        assert decode(states.tobytes(), zeros(1), CERTAIN).tolist() == [7]
        states[state] += 1
        with pytest.raises(CorruptError, match="does not end in the states"):
            decode(states.tobytes(), zeros(1), CERTAIN)

    def test_longer_than_its_values_can_be(self) -> None:
        with pytest.raises(CorruptError, match="1 symbols take 16 at most"):
            decode(self.STREAM[:8] + bytes(10), zeros(1), SMALL)


class TestHostileStreams:
    @staticmethod
    def check(stream: bytes, number: int) -> None:
        """Kernel and reference agree; what is accepted is the one stream of its values."""
        read = reference.read_tables(SMALL.to_bytes())
        try:
            values = decode(stream, zeros(number), SMALL)
        except FormatError:
            with pytest.raises(reference.RefusedError):
                reference.decode(stream, [0] * number, read)
            return
        assert reference.decode(stream, [0] * number, read) == values.tolist()
        assert encode(values, zeros(number), SMALL) == stream

    @settings(max_examples=300)
    @given(st.lists(st.one_of(st.integers(-1, 1), INT32), max_size=30), st.data())
    def test_changed(self, values: list[int], data: st.DataObject) -> None:
        stream = bytearray(encode(int32(*values), zeros(len(values)), SMALL))
        for _ in range(data.draw(st.integers(0, 3)) if stream else 0):
            stream[data.draw(st.integers(0, len(stream) - 1))] ^= data.draw(st.integers(1, 255))
        stream = stream[: data.draw(st.integers(0, len(stream)))]
        stream += data.draw(st.binary(max_size=6))
        self.check(bytes(stream), len(values))

    @settings(max_examples=300)
    @given(st.binary(max_size=100), st.integers(0, 40))
    def test_any_bytes(self, stream: bytes, number: int) -> None:
        self.check(stream, number)

    def test_long_noise_is_refused(self) -> None:
        # One process, many streams: memory errors of the loops would show here.
        rng = np.random.default_rng(11)
        for size in range(8, 2008, 10):
            with pytest.raises(FormatError):
                decode(rng.bytes(size), zeros(4 * size), SMALL)


class TestArguments:
    @pytest.mark.parametrize(
        ("values", "index", "message"),
        [
            (np.zeros(2, np.int64), zeros(2), "values are int64"),
            (np.zeros(2, ">i4"), zeros(2), "values are >i4"),
            (np.zeros((2, 1), np.int32), zeros(2), r"shape \(2, 1\)"),
            (int32(0, 0), np.zeros(2), "table numbers are float64"),
            (int32(0, 0), np.zeros(2, bool), "table numbers are bool"),
            (int32(0, 0), np.zeros((1, 2), int), r"table numbers are int64 of shape \(1, 2\)"),
            (int32(0, 0), zeros(3), "2 values, but 3 table numbers"),
            (int32(0), np.array([1]), "from 1 to 1; allowed are 0 to 0"),
            (int32(0), np.array([-1]), "from -1 to -1"),
            (int32(0), np.array([65536]), "from 65536 to 65536"),
            (int32(0), np.array([2**64 - 1], np.uint64), "allowed are 0 to 0"),
        ],
    )
    def test_encode(self, values: np.ndarray, index: np.ndarray, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            encode(values, index, SMALL)

    @pytest.mark.parametrize("index", [np.zeros(2), np.zeros((1, 2), int), np.array([1])])
    def test_decode(self, index: np.ndarray) -> None:
        with pytest.raises(ValueError, match="table numbers"):
            decode(bytes(8), index, SMALL)


def run_python(code: str, **environment: str) -> str:
    source = str(Path(xraycodec.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": source, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestCompilation:
    def test_import_does_not_load_numba(self) -> None:
        code = (
            "import sys, numpy as np, xraycodec.entropy as e\n"
            "t = e.FrequencyTables.from_counts([np.array([1, 1])], [0])\n"
            "assert e.encode(np.zeros(0, 'i4'), np.zeros(0, int), t) == b''\n"
            "print('numba' in sys.modules)"
        )
        assert run_python(code).strip() == "False"

    def test_works_where_no_cache_can_be_written(self, tmp_path: Path) -> None:
        package = tmp_path / "xraycodec"
        shutil.copytree(
            Path(xraycodec.__file__).parent / "entropy",
            package / "entropy",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        shutil.copy(Path(xraycodec.__file__).with_name("errors.py"), package)
        (package / "__init__.py").touch()
        # Files where numba would make its folders stop even a privileged user.
        (package / "entropy" / "__pycache__").touch()
        blocked = tmp_path / "blocked"
        blocked.touch()
        code = (
            "import numpy as np, xraycodec.entropy as e\n"
            "t = e.FrequencyTables.from_counts([np.array([1, 1])], [0])\n"
            "v = np.array([0, 9], 'i4'); i = np.zeros(2, int)\n"
            "print(e.decode(e.encode(v, i, t), i, t).tolist())\n"
            "print(e.__file__)"
        )
        printed = run_python(
            code,
            PYTHONPATH=str(tmp_path),
            HOME=str(blocked),
            XDG_CACHE_HOME=str(blocked),
            NUMBA_CACHE_DIR=str(blocked),
        )
        assert printed.splitlines() == ["[0, 9]", str(package / "entropy" / "__init__.py")]
        assert not list(tmp_path.rglob("*.nbi"))
