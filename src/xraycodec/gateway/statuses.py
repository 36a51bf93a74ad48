"""Status codes of C-STORE responses (PS3.4 B.2.3, PS3.7 C), what the gateway answers and knows."""

from __future__ import annotations

SUCCESS = 0x0000
DUPLICATE = 0x0111  # what some archives answer for an instance that they hold
INVALID_INSTANCE = 0x0117
NO_DESTINATION = 0x0124  # not authorised
OUT_OF_RESOURCES = 0xA700
WRONG_DATA_SET = 0xA900
CANNOT_UNDERSTAND = 0xC000
CONFLICT = 0xC111
NO_BASE = 0xC121
DAMAGED_REMAINDER = 0xC122

PUT_TOGETHER = 0xB1F0
"""Of a remainder, the one answer that says that the image is there.

A warning, since plain Success proves nothing: a node that takes any transfer syntax would answer it
and hold bytes that are no image.
"""


def is_stored(status: int) -> bool:
    """Whether a status says that the node has the instance, if it was sent whole."""
    # B000, B006 and B007 are warnings of what the node did to its copy; it has one.
    return status in (SUCCESS, DUPLICATE) or 0xB000 <= status <= 0xBFFF


def is_out_of_resources(status: int) -> bool:
    """Whether a status says that the same may be taken later."""
    return 0xA700 <= status <= 0xA7FF
