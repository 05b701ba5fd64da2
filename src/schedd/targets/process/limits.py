"""Resource limits on their way to the kernel: from the model's words to the numbers of setrlimit(2)."""

from __future__ import annotations

import resource
from typing import Final

from schedd.core.model.target import ResourceLimits

_KILLED_AFTER_S: Final = 1
"""What a process that handles SIGXCPU may still compute: that comes at the soft limit, and at the hard one SIGKILL, which tells nothing."""


def kernel_limits(limits: ResourceLimits | None) -> tuple[tuple[int, int, int], ...]:
    """What is to be set: (number of the resource, soft limit, hard limit) each.

    The address space comes last, since whoever sets it may have no memory left for more.
    """
    if limits is None:
        return ()
    bounds = {
        resource.RLIMIT_FSIZE: limits.file_size_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_NPROC: limits.processes,
        resource.RLIMIT_CORE: limits.core_size_bytes,
        resource.RLIMIT_AS: limits.address_space_bytes,
    }
    alike = tuple((number, value, value) for number, value in bounds.items() if value is not None)
    if limits.cpu_time is None:
        return alike
    seconds = int(limits.cpu_time.total_seconds())
    return ((resource.RLIMIT_CPU, seconds, seconds + _KILLED_AFTER_S), *alike)
