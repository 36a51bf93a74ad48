"""Lossy at any rate from one network, exact on every machine: ``spec/wavelet.md``."""

from xraycodec.codecs.wavelet.codec import Wavelet

__all__ = ["Wavelet"]
