"""Lossless and near-lossless, exact on every machine: ``spec/lattice.md``."""

from xraycodec.codecs.lattice.codec import PROFILES, Lattice

__all__ = ["PROFILES", "Lattice"]
