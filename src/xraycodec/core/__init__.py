"""The native core: C functions of ``core/``, loaded through ctypes.

The build hook (hatch_build.py) puts the library beside this file. The environment variable
``XRAYCODEC_CPU`` forces a variant of its kernels: ``plain``, ``avx2`` or ``vnni``; without it the
processor decides. All variants give the same bytes.
"""

from __future__ import annotations

from xraycodec.core.library import MissingCoreError, load

__all__ = ["MissingCoreError", "load"]
