"""Entropy coding: integers to bytes under frozen integer tables, and back.

::

    values ──────────┐                        ┌──────────▶ values
    table_index ─────┼─▶ encode ─▶ bytes ─▶ decode ◀───── table_index
    FrequencyTables ─┘                        └────────── FrequencyTables

The format, its arithmetic and a worked example are in ``spec/entropy.md``. No probability is ever
computed from a float, so every machine codes the same bytes.
"""

from xraycodec.entropy.coder import decode, encode
from xraycodec.entropy.tables import FrequencyTables

__all__ = ["FrequencyTables", "decode", "encode"]
