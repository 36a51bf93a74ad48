"""The recurrent codec of Toderici et al.: binary codes, a layer an iteration (TODE)."""

from xraycodec.codecs.toderici.codec import Toderici

__all__ = ["Toderici"]
