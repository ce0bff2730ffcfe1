"""The C library's heap, told to give large blocks back: what a pass needs and frees would else stay with the process in pieces."""

from __future__ import annotations

import ctypes
import sys

MMAP_THRESHOLD = -3
"""The number of this option in glibc's <malloc.h>."""
LARGE = 4 << 20
"""Bytes; larger blocks come from the system and go back to it at once.

Left alone, glibc raises this bound to 32 MiB as it sees blocks of that size freed, and keeps the smaller ones in a heap that breaks into
pieces: what a shift over a vocabulary of 151,936 takes then depends on what ran before (190, 497 and 640 MB were seen; with this bound and
the pieces of `shift.CHUNK_BYTES` and `BLOCK_BYTES` 67 and 77). A pass over 1,024 tokens of a model of
135 million weights is no slower with this bound, and a third slower with the one that glibc begins with, 128 KiB.
"""


def give_back_large_blocks() -> bool:
    """For the whole process, from here on; False where the C library is another one."""
    if sys.platform != "linux":
        return False
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    return set_option is not None and set_option(MMAP_THRESHOLD, LARGE) == 1
