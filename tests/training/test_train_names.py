"""What a training is called, and what its output says of its use."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from xraycodec.cli import xrc
from xraycodec.cli.train_options import write_pack


@pytest.mark.parametrize("codec", ["lattice", "wavelet", "rnn-conv", "toderici"])
@pytest.mark.parametrize("name", ["../mine", "/tmp/mine", "a b", ""])
def test_a_name_that_no_pack_can_have(codec: str, name: str, tmp_path: Path) -> None:
    arguments = ["train", codec, "--data", str(tmp_path), "--out", str(tmp_path), "--name", name]
    result = CliRunner().invoke(xrc, arguments)
    assert result.exit_code == 2
    assert "is not of the form" in " ".join(result.stderr.split())
    assert not [*tmp_path.iterdir()]


def test_the_output_says_how_to_encode_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pack(b"pack", "mine", tmp_path, "--codec lattice --model")
    assert (tmp_path / "mine.xrcpack").read_bytes() == b"pack"
    assert (
        f"xrc compress --codec lattice --model {tmp_path}/mine.xrcpack" in capsys.readouterr().out
    )
