"""What is owed to whom: the policy of a configuration."""

from __future__ import annotations

from xraycodec.gateway.config import (
    AS_RECEIVED,
    LAYERED_CODEC,
    REMAINDER,
    Config,
    Destination,
    DicomTarget,
)
from xraycodec.gateway.instance import Identity
from xraycodec.gateway.records import OURSELVES, Part, Route


def routes_of(identity: Identity, sender: str, config: Config) -> tuple[Route, ...]:
    """The deliveries that an instance owes.

    Args:
        identity: of the instance.
        sender: calling AE title of who sent it.
        config: of the gateway.
    """
    routes = []
    for destination in config.destinations:
        if destination.modalities and identity.modality not in destination.modalities:
            continue
        if destination.senders and sender not in destination.senders:
            continue
        if identity.preview_of is not None and not destination.forward_previews:
            continue
        syntax = destination.syntax
        if destination.preview is not None and identity.preview_of is None:
            routes.append(Route(destination.name, Part.PREVIEW, AS_RECEIVED))
            syntax = REMAINDER if _takes_remainders(destination) else syntax
        routes.append(Route(destination.name, Part.IMAGE, syntax))
    if identity.is_base and config.limits.base_days:
        routes.append(Route(OURSELVES, Part.PREVIEW, AS_RECEIVED))
    return tuple(routes)


def _takes_remainders(destination: Destination) -> bool:
    """Whether images follow their previews as remainders; a folder holds whole files only."""
    return (
        destination.preview is not None
        and destination.preview.codec == LAYERED_CODEC
        and isinstance(destination.target, DicomTarget)
    )
