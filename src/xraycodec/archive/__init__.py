"""Archives: from trees, lists and object stores of radiographs to ``.xrc`` files, and back.

::

    trees, lists, buckets ──scanning──▶ manifest (SQLite) ──claim──▶ batches of items
                                            ▲                            │
                                       outcomes                pool: processes or a Dask cluster
                                            └────────────────────────────┤ task: one file
                                                                         ▼
                                                               place: folder or object store

One process writes the manifest; workers get paths and settings, never data, and read and write
files themselves. ``docs/archive.md`` gives the manifest's schema and what a kill at any moment
leaves behind.
"""

from __future__ import annotations
