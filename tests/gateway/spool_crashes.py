"""Kills a process at every call into C that the spool makes; run by test_spool_crashes.py.

A preview and its image go all the way: stored, prepared, sent, the preview withdrawn. The preview
is a base, which is kept until the image is stored; ahead of the image another base is sent, which
stays until the image is. Each child process begins with a fresh spool and is killed by SIGKILL at
its n-th call (SQLite's, a file's, the system's). Then this process opens the spool as the next
start does, and goes on as sender, worker and forwarder would. However often that is done, the
destination has the instance, whole, and once.

Prints how many points there were.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import xraycodec.gateway.spool as under_test
from xraycodec.files.atomic import write_atomically
from xraycodec.gateway.config import REMAINDER
from xraycodec.gateway.records import OURSELVES, Arrival, Part, Received, Rendition, Route
from xraycodec.gateway.spool import Spool

_FOLDER = str(Path(under_test.__file__).parent)
_CONTENT = b"instance" * 99
_PREVIEW = b"preview" * 99
_INSTANCE = Received("1.2.3", "ab" * 32, "1.2.840.1", "1.2.840.10008.1.2.1", len(_CONTENT))
_EARLIER = Received(
    "1.2.4", "cd" * 32, "1.2.840.1", "1.2.840.10008.1.2.1", len(_PREVIEW), preview_of="1.2.3"
)
_ROUTES = (
    Route("hub", Part.PREVIEW, "as-received"),
    Route("hub", Part.IMAGE, REMAINDER),
)
_EARLIER_ROUTES = (
    Route("hub", Part.IMAGE, "xrc"),
    Route(OURSELVES, Part.PREVIEW, "as-received"),
)
_OWN_PREVIEW = "1.2.5"


def _go_on(folder: Path, arrived: Path) -> None:
    """Do all that is left to do; safe to be called again after a kill."""
    spool = Spool(folder / "spool")
    told = folder / "told"
    # The senders: each sends until it is told Success, and then never again.
    for instance, content, routes in (
        (_EARLIER, _PREVIEW, _EARLIER_ROUTES),
        (_INSTANCE, _CONTENT, _ROUTES),
    ):
        mark = told.with_suffix(f".{instance.uid}")
        if not mark.exists():
            if instance is _INSTANCE:
                # Before it is known, the base that it may need is there.
                base = spool.read_base(_EARLIER.digest, _INSTANCE.uid)
                known = spool.ledger.look_up(_INSTANCE) is Arrival.KNOWN
                assert (base == _PREVIEW) is not known
            arrival = spool.store(instance, routes, [content])
            assert arrival is not Arrival.CONFLICT
            mark.touch()
            _forward(spool, arrived)
    _forward(spool, arrived)
    assert spool.ledger.waiting() == 0
    spool.close()


def _forward(spool: Spool, arrived: Path) -> None:
    while _prepare_next(spool) or _send_next(spool, arrived):
        pass


def _prepare_next(spool: Spool) -> bool:
    delivery = spool.claim_to_prepare(("hub",))
    if delivery is None:
        return False
    sent = delivery.rendition
    source = spool.source(delivery).read_bytes()
    if delivery.part is Part.PREVIEW:
        prepared = source[:9]
        write_atomically(spool.prepared(delivery), prepared, overwrite=True)
        sent = Rendition(_OWN_PREVIEW, sent.sop_class, "2.25.1", len(prepared), True)
    elif delivery.part is Part.IMAGE:
        base = spool.base(delivery)
        assert (base.read_bytes() if base else None) == (
            source[:9] if delivery.syntax == REMAINDER else None
        )
        prepared = source[::-1]
        write_atomically(spool.prepared(delivery), prepared, overwrite=True)
        sent = Rendition(sent.uid, sent.sop_class, "2.25.1", len(prepared), True)
    spool.set_prepared(delivery, sent)
    return True


def _send_next(spool: Spool, arrived: Path) -> bool:
    ready = spool.claim_to_send("hub")
    if ready is None:
        return False
    data = spool.file_to_send(ready).read_bytes()
    if ready.part is Part.WITHDRAWAL:
        for _, uid in spool.ledger.previews_at(ready.instance_uid, "hub"):
            (arrived / uid).unlink(missing_ok=True)
    else:
        # The destination knows instances by their UIDs; the same again is no other.
        place = arrived / ready.rendition.uid
        assert not place.exists() or place.read_bytes() == data
        write_atomically(place, data, overwrite=True)
    spool.set_delivered(ready)
    return True


def _killed_at(point: int, folder: Path, arrived: Path) -> bool:
    """Run in a child that dies at a call; return whether it got that far."""
    child = os.fork()
    if child == 0:
        left = point

        def count(frame: FrameType, event: str, _: Any) -> None:
            nonlocal left
            if event == "c_call" and frame.f_code.co_filename.startswith(_FOLDER):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.setprofile(count)
            _go_on(folder, arrived)
            sys.setprofile(None)
        except BaseException as error:
            sys.setprofile(None)
            sys.stderr.write(f"point {point}: {error!r}\n")
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, f"point {point} failed without a kill"
    return False


def main(base: Path, step: int) -> None:
    point = 1
    tried = 0
    while True:
        folder = base / str(point)
        arrived = folder / "arrived"
        arrived.mkdir(parents=True)
        killed = _killed_at(point, folder, arrived)
        _go_on(folder, arrived)
        names = sorted(path.name for path in arrived.iterdir())
        assert names == ["1.2.3", _OWN_PREVIEW], (point, names)
        assert (arrived / "1.2.3").read_bytes() == _CONTENT[::-1], point
        for queue in ("incoming", "instances", "prepared"):
            assert not any((folder / "spool" / queue).iterdir()), (point, queue)
        shutil.rmtree(folder)
        tried += 1
        if not killed:
            break
        point += step
    sys.stdout.write(f"{tried}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
