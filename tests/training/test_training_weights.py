"""Weights that a later run can go on from."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from training_building import TINY, randomise  # noqa: E402

from xraycodec.errors import ModelError  # noqa: E402
from xraycodec.training.network import COMPACT, RNNConv  # noqa: E402
from xraycodec.training.weights import load_weights, save_weights  # noqa: E402


@pytest.fixture
def network():
    return randomise(RNNConv(TINY))


def test_weights_come_back_to_the_precision_of_float16(network, tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(network, path)
    other = RNNConv(TINY)
    load_weights(other, path)
    for name, value in network.state_dict().items():
        if not name.endswith("recurrent"):
            torch.testing.assert_close(other.state_dict()[name], value, rtol=1e-3, atol=1e-6)


def test_another_configuration_is_refused(network, tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(network, path)
    with pytest.raises(ModelError, match="configuration"):
        load_weights(RNNConv(COMPACT), path)


def test_a_file_without_weights_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"no weights")
    with pytest.raises(ModelError, match="holds no weights"):
        load_weights(RNNConv(TINY), path)
