"""Marking of lossy DICOM objects, for everything that writes them.

An image that `xraycodec.decompress` gave is marked by
:func:`~xraycodec.files.dicom_writer.to_data_set` already.
"""

from __future__ import annotations

from xraycodec.files.dicom_lossy import (
    UID_POLICIES,
    UidPolicy,
    mark_losses,
    mark_lossy,
    renew_instance,
)

__all__ = ["UID_POLICIES", "UidPolicy", "mark_losses", "mark_lossy", "renew_instance"]
