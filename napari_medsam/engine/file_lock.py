"""A lock on an open file that the operating system takes back when its holder dies, however it dies."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import msvcrt
    import os

    # Locks are mandatory on Windows: a byte far beyond the end leaves the file readable for everybody. The C runtime
    # counts the positions of locks in 32 bits.
    _BYTE = 2**31 - 2

    def lock(descriptor: int) -> bool:
        """Lock the open file for this opening alone; False if another holds it."""
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        try:
            os.lseek(descriptor, _BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, place, os.SEEK_SET)
        return True

else:
    import fcntl

    def lock(descriptor: int) -> bool:
        """Lock the open file for this opening alone; False if another holds it."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
