"""The model packs that the package ships, by name, each with its digest.

Names that stand here mean these packs and no others, whatever lies in ``XRAYCODEC_MODELS``. The
last part of a name such as ``wavelet-2`` numbers an older model, kept for the files made with it.
"""

from __future__ import annotations

from collections.abc import Mapping

PINNED: Mapping[str, str] = {
    "lattice-best": "137203f2a7a3c5a7798ee32bc1e1d3152686b333948b110fbbd2fea9a432ed31",
    "lattice-fast": "fe04fb87e8f274d610c6a00f8f77f7d01fe0d5c5f5ac91f1a7d6c2433ab55a77",
    "lattice-guided-1": "14a5a77cc0045edd11b4f6c77825a084ee2a4afcf70dba02cf24b63833ed4da8",
    "lattice-guided": "f73aca8b9492e8cad822068ceb7a8a52f508402758dda7eefd5d073d9690f56c",
    "rnn-conv-compact-128": "2b3fe0fc0ec29b597a37fd6eb88df57c134702a47d10a9cde96eb6c87741edfb",
    "rnn-conv-compact-256": "33f5bd0d58ecfd278c32895855e15c729659c6608c3548d67f9af668cffb5348",
    "toderici-compact": "07b4e93952877d3b1c5961a12cd9d87e315589f76a15be27bf07539fe7d53250",
    "wavelet-1": "c7694d4513c6d63451701466dabc5b43ea203012b8757deebabc1b7e881b7ae1",
    "wavelet-2": "cedaafd5418300bcbe2551128a12e615d5fed8bff0dc51eaa429fb6a659dfae9",
    "wavelet-3": "a4effd6767001001079f9534a98a6e03349ee7742add8dded0fbcfcedd827950",
    "wavelet": "c1a6593aa38d78ec82fc417faf21d650e3273ce39f5b80e7f211a4f58fd97b53",
}
"""File name, without its suffix, to the SHA-256 of the manifest."""
