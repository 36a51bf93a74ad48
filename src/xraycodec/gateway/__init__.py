"""A store-and-forward DICOM node: ``docs/gateway.md``.

::

    C-STORE ──receiver──▶ spool ──preparation──▶ spool ──forwarding──▶ gateway, PACS or folder
                (on disk,    (a pool of processes:          (associations kept open,
                 then Success) private or standard syntax)   retried until it is there)

The spool's state is the only truth: every arrow is a transaction, and a process that is killed
between two of them goes on from the last one.
"""

from __future__ import annotations
