"""
Which file systems a journal must not be on: those where a lock, an fsync or a rename may mean nothing to other machines.

Limits: Linux tells where a folder is mounted from; on macOS nothing is refused.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from otel_llmcost.errors import SettingsError

__all__ = ["network_filesystem", "refuse_network"]

_NETWORK: Final = re.compile(
    "9p|afs|beegfs|ceph|cifs|coda|davfs|gfs2|glusterfs|gpfs|lustre|ncpfs|nfs4?|ocfs2|orangefs|panfs|pvfs2|smb3|smbfs|"
    r"fuse\.(?:blobfuse2?|ceph(?:-fuse)?|cvmfs2|davfs|gcsfuse|glusterfs|goofys|juicefs|mfs|moosefs|mountpoint-s3|rclone|"
    "s3fs|seaweedfs|sshfs)"
)
_MOUNTS: Final = Path("/proc/self/mountinfo")


def refuse_network(directory: Path) -> None:
    """Raise `SettingsError` if the folder is, or would be made, on a network file system."""
    if kind := network_filesystem(directory):
        raise SettingsError(
            f"the journal folder {str(directory)!r} is on a network file system ({kind}), where neither locks nor an fsync "
            "can be relied on: set OTEL_LLMCOST_JOURNAL_DIR to a folder on a local disk"
        )


def network_filesystem(directory: Path) -> str | None:
    """Name the network file system that the folder is on, or its nearest parent that exists; None for a local one."""
    device = None
    for place in (directory, *directory.parents):
        try:
            device = place.stat().st_dev
            break
        except OSError:
            continue
    if device is None:
        return None
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    numbers = f"{os.major(device)}:{os.minor(device)}"
    kinds = (_kind(mount, numbers) for mount in mounts)
    return next((kind for kind in kinds if _NETWORK.fullmatch(kind)), None)


def _kind(mount: str, device: str) -> str:
    """Give the type of the file system in a line of mountinfo, if it is that device's, else nothing. See proc(5)."""
    before, _, after = mount.partition(" - ")
    fields, what = before.split(" "), after.split(" ")
    if len(fields) < 3 or fields[2] != device:
        return ""
    if what[0] == "9p" and "trans=fd" in what[-1].split(","):
        return ""  # a sandbox's own root (gVisor), or a disk of the same machine (WSL)
    return what[0]
