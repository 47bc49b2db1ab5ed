"""How much memory there is to use, a container's limit respected."""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")


def free_memory(proc: Path = PROC, cgroup: Path = CGROUP) -> int:
    """Bytes this process may still take: what the system has, or a tighter limit of its cgroup.

    What files are cached there counts as free, since it is given back when asked for.
    """
    return max(0, min([_of_system(proc), *_of_groups(proc, cgroup)]))


def processes_beside() -> int:
    """Ranks on this machine; the launcher says how many, and without a word it is one."""
    told = os.environ.get("LOCAL_WORLD_SIZE", "")
    return int(told) if told.isdigit() and int(told) > 0 else 1


def _of_system(proc: Path) -> int:
    try:
        lines = (proc / "meminfo").read_text().splitlines()
        found = dict(line.split(":", 1) for line in lines)
        return int(found["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        # Other systems tell only the whole; half of it is a fair guess of what is free.
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _of_groups(proc: Path, cgroup: Path) -> list[int]:
    """What is left in this process's memory group and in each above it."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return []
    rooms = []
    for line in lines:
        _, kinds, name = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        top = cgroup / "memory" if kinds else cgroup
        here = top / name.lstrip("/")
        # In a container the name may be the host's, and the group is the top of what is seen.
        for folder in (here, *here.parents) if here.is_relative_to(top) else (top,):
            room = _left(folder)
            if room is not None:
                rooms.append(room)
            if folder == top:
                break
    return rooms


def _left(folder: Path) -> int | None:
    """Of one group, in the words of version 2 or 1; none where there is no limit."""
    for limit, usage, cached in (
        ("memory.max", "memory.current", ("active_file", "inactive_file")),
        (
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            ("total_active_file", "total_inactive_file"),
        ),
    ):
        try:
            told = (folder / limit).read_text().strip()
            used = int((folder / usage).read_text())
            lines = (folder / "memory.stat").read_text().splitlines()
        except (OSError, ValueError):
            continue
        if not told.isdigit():
            return None
        stat = {name: int(value) for name, value in (line.split() for line in lines)}
        return int(told) - used + sum(stat.get(name, 0) for name in cached)
    return None
