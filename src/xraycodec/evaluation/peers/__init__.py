"""Codecs to compare with each other, classical ones and this package's, behind one interface."""

from __future__ import annotations

from xraycodec.errors import OptionError
from xraycodec.evaluation.peers.classical import classical_peers, classical_variants
from xraycodec.evaluation.peers.klt import klt_peer
from xraycodec.evaluation.peers.ours import our_peers, our_variants
from xraycodec.evaluation.peers.peer import Peer
from xraycodec.evaluation.peers.target import Found, at_size

__all__ = ["Found", "Peer", "at_size", "klt_peer", "peer", "peers", "variants"]


def peers(threads: int = 0) -> tuple[Peer, ...]:
    """Return every codec once, the classical ones first.

    Args:
        threads: of each call, 0 for every core.

    Raises:
        OptionError: a negative number of threads.
    """
    return classical_peers(threads) + our_peers(threads)


def variants(threads: int = 0) -> tuple[Peer, ...]:
    """Return codecs of `peers` at other settings, which `peer` finds by their keys, too."""
    return classical_variants(threads) + our_variants(threads)


def peer(key: str, threads: int = 0) -> Peer:
    """Return the codec that people call ``key``.

    Raises:
        OptionError: there is none, or a negative number of threads.
    """
    found = {known.key: known for known in (*peers(threads), *variants(threads))}
    if key not in found:
        raise OptionError(f"no codec {key!r} to compare with; choose from {', '.join(found)}")
    return found[key]
