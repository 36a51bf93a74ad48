"""docs/python.md: every example in it, in order, as a reader would run it."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import zarr

from xraycodec.plugins.zarr import XrcCodec

GUIDE = Path(__file__).parents[2] / "docs" / "python.md"


def test_the_examples_do_what_they_show(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    zarr.registry.register_codec("xraycodec", XrcCodec)  # test_entry_points.py does without
    text = GUIDE.read_text()
    blocks = list(re.finditer(r"^```pycon\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    assert len(blocks) > 5
    globs: dict[str, object] = {}
    runner = doctest.DocTestRunner(verbose=False)
    for block in blocks:
        line = text.count("\n", 0, block.start(1))
        test = doctest.DocTestParser().get_doctest(block[1], globs, GUIDE.name, str(GUIDE), line)
        runner.run(test, clear_globs=False)
        globs |= test.globs
    results = runner.summarize(verbose=False)
    assert results.attempted > 30
    assert results.failed == 0, capsys.readouterr().out


def test_every_import_of_the_guide_is_there():
    for module in set(re.findall(r"xraycodec\.(?:plugins\.)?\w+", GUIDE.read_text())):
        name = module.removeprefix("xraycodec.").replace(".", "/")
        folder = GUIDE.parents[1] / "src" / "xraycodec"
        public = (folder / "__init__.py").read_text()
        there = (folder / f"{name}.py").is_file() or (folder / name).is_dir()
        assert there or f'"{name}"' in public, module
