from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Networks this small run faster on one thread than on threads that wait for each other."""
    torch = pytest.importorskip("torch", reason="training needs torch: xraycodec[train]")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
