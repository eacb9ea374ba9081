"""CPU time and memory of a process, as the operating system counts them."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path

__all__ = ["cpu_s", "rss_mb"]

_LINUX = platform.system() == "Linux"
_CPU_CLOCK = 2  # CPUCLOCK_SCHED of linux/posix-timers.h


def cpu_s(pid: int) -> float:
    """User and system time of a process, all its threads included, in seconds.

    On Linux from the process's CPU clock (clock_getcpuclockid(3)): what /proc/PID/stat has, in ns instead of ticks.
    """
    if _LINUX:
        return time.clock_gettime((~pid) << 3 | _CPU_CLOCK)
    return parse_time(_ps(pid, "time"))


def rss_mb(pid: int) -> float:
    """Resident memory, in MB."""
    if _LINUX:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return int(_ps(pid, "rss")) * 1024 / 1e6


def _ps(pid: int, column: str) -> str:
    command = ["ps", "-o", f"{column}=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - fixed words


def parse_time(text: str) -> float:
    """Seconds of ps's `[[days-]hours:]minutes:seconds`, with or without a fraction."""
    days, _, clock = text.rpartition("-")
    total = 0.0
    for part in clock.split(":"):
        total = total * 60 + float(part)
    return int(days or 0) * 86_400 + total
