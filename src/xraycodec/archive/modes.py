"""Permissions and times of what an archive makes: no more users can read it than its origin."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

from xraycodec.files.atomic import for_another_group

EVERYONE = 0o777
OWNER = 0o700


@dataclass(frozen=True)
class Origin:
    """What a file is made from, and hands its permissions and its time on to it.

    Attributes:
        path: of the local file; empty for an object. Folders that are made for the new file get no
            wider modes than the folders above this one.
        mode, group: its permissions and the group that has them; ``None`` for an object, which has
            neither.
        mtime_ns: the time that the new file gets; ``None`` for that of its writing.
    """

    path: str = ""
    mode: int | None = None
    group: int | None = None
    mtime_ns: int | None = None

    @classmethod
    def of(cls, path: Path | str, found: os.stat_result, mtime_ns: int | None) -> Origin:
        return cls(str(path), found.st_mode, found.st_gid, mtime_ns)

    def mode_for(self, path: Path, *, replace: bool) -> int | None:
        """Permissions of a new file, ``None`` for those that the umask leaves.

        They are those of the origin, and no wider than those of a file that is replaced.
        """
        mode = None if self.mode is None else self.mode & EVERYONE
        if replace:
            with suppress(FileNotFoundError):
                replaced = path.lstat()
                if stat.S_ISREG(replaced.st_mode):
                    mode = EVERYONE if mode is None else mode
                    mode &= _for_group(replaced, self.group)
        return mode

    def modes_above(self, count: int) -> list[int]:
        """Modes for so many folders above the new file, the nearest first."""
        above = list(PurePath(self.path).parents)[:count] if self.path else []
        modes = [_folder_mode(Path(folder)) for folder in above]
        return modes + [EVERYONE] * (count - len(modes))


NO_ORIGIN = Origin()


def set_attributes(descriptor: int, path: Path, mode: int | None, origin: Origin) -> None:
    """Give an open file its group, its permissions and its time.

    Some file systems keep none of them: the file then stays its writer's alone, and of today.
    """
    if mode is not None and hasattr(os, "fchmod"):
        if origin.group is not None:
            with suppress(OSError):
                os.fchown(descriptor, -1, origin.group)
            if os.fstat(descriptor).st_gid != origin.group:
                mode = for_another_group(mode)
        with suppress(OSError):
            os.fchmod(descriptor, mode)
    if origin.mtime_ns is not None:
        with suppress(OSError):
            os.utime(path, ns=(origin.mtime_ns, origin.mtime_ns))


def make_folder(path: Path, mode: int) -> None:
    """Make a folder with a mode, less the umask, and those above it; one that is there stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=mode, exist_ok=True)


def mode_of_root(inputs: Iterable[Path]) -> int:
    """Mode for a folder that is made for files and folders: no wider than that of any folder."""
    mode = EVERYONE
    for path in inputs:
        mode &= _folder_mode(path if os.path.isdir(path) else path.parent)  # noqa: PTH112 - raises nothing
    return mode


def _folder_mode(folder: Path) -> int:
    """Mode for a copy of a folder, which its owner must be able to write to."""
    try:
        return _for_group(folder.stat(), None) | OWNER
    except OSError:
        return OWNER


def _for_group(found: os.stat_result, group: int | None) -> int:
    """Permissions that a file of another group, ``None`` for the process's, may take over."""
    if not hasattr(os, "getegid"):
        return found.st_mode & EVERYONE
    same = found.st_gid == (os.getegid() if group is None else group)
    return found.st_mode & EVERYONE if same else for_another_group(found.st_mode)
