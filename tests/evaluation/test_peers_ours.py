from __future__ import annotations

import pickle
from importlib.util import find_spec

import numpy as np
import pytest

from xraycodec import RnnConv, XRay, compress, decompress
from xraycodec.demo.phantom import chest_phantom
from xraycodec.errors import OptionError
from xraycodec.evaluation.metrics import max_error, psnr_db
from xraycodec.evaluation.peers import at_size, peer, peers, variants
from xraycodec.evaluation.peers.ours import our_peers

SIDE = 96


@pytest.fixture(scope="module")
def chest():
    return chest_phantom(SIDE, SIDE, seed=5, bits_stored=12)


def test_the_codecs_of_this_package():
    keys = [found.key for found in our_peers(1)]
    assert keys[:3] == ["lattice", "wavelet", "rnn-conv"]
    assert ("toderici" in keys) == (find_spec("xraycodec.codecs.toderici") is not None)
    every = [found.key for found in (*peers(), *variants())]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("key", [found.key for found in our_peers(1)])
def test_they_travel_to_another_process(key):
    there = pickle.loads(pickle.dumps(peer(key, threads=1)))
    assert (there.key, there.max_bits) == (key, 16)


def test_lattice_keeps_its_bound(chest):
    codec = peer("lattice", threads=1)
    assert codec.ladder(chest)[:5] == (1, 2, 4, 8, 16)
    assert codec.ladder(chest)[-1] == 96 * 16
    sizes = []
    for error in (None, 4, 64):
        data = codec.encode(chest, error)
        assert max_error(chest.pixels, codec.decode(data)) <= (error or 0)
        sizes.append(len(data))
    assert sizes == sorted(sizes, reverse=True)


def test_rnn_conv_is_the_files_of_the_package(chest):
    codec = peer("rnn-conv", threads=1)
    bare = XRay(chest.pixels, 12)
    data = codec.encode(chest, 16)
    assert data == compress(bare, RnnConv(16, 256, 1))
    found = codec.decode(data)
    assert found.dtype == np.uint16
    assert np.array_equal(found, decompress(data).pixels)
    assert psnr_db(chest.pixels, found, chest.peak) > 20


def test_the_dicom_data_set_is_left_out(chest):
    assert chest.dicom
    assert decompress(peer("rnn-conv").encode(chest, 64)).dicom is None


def test_rnn_conv_at_a_size(chest):
    codec = peer("rnn-conv", threads=1)
    found = at_size(codec, chest, 900, tolerance=0)
    assert found.size_bytes <= 900
    beta = round(256 / found.quality)
    assert 256 / beta == found.quality
    assert len(codec.encode(chest, 256 / (beta + 1))) > 900


@pytest.mark.parametrize(("key", "quality"), [("rnn-conv", 1), ("rnn-conv", 300), ("lattice", -1)])
def test_a_quality_outside_is_refused(chest, key, quality):
    with pytest.raises(OptionError, match=f"{key} takes"):
        peer(key).encode(chest, quality)


def test_rnn_conv_is_never_lossless(chest):
    codec = peer("rnn-conv")
    assert not codec.lossless
    with pytest.raises(OptionError, match="without loss"):
        codec.encode(chest, None)


def test_threads_are_checked():
    with pytest.raises(OptionError, match="-2 threads"):
        our_peers(-2)
