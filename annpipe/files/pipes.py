"""Looks at the end of a pipe: whether there is something to read, and whether the other end is closed."""

from __future__ import annotations

import select
import sys
import time

_SECONDS_BETWEEN_LOOKS = 0.02

if sys.platform == "win32":
    import _winapi
    import msvcrt

    def is_readable(descriptor: int, seconds: float) -> bool:
        """Whether, within so many seconds, there is something to read or the other end is closed."""
        deadline = time.monotonic() + seconds
        while _waiting_bytes(descriptor) == 0:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        return True

    def is_closed(descriptor: int) -> bool:
        """Whether the other end is closed, and nothing is left to read."""
        return _waiting_bytes(descriptor) is None

    def _waiting_bytes(descriptor: int) -> int | None:
        """How many bytes wait in a pipe, which `select` does not know here; None where it is closed, or no pipe."""
        try:
            return int(_winapi.PeekNamedPipe(msvcrt.get_osfhandle(descriptor))[0])
        except OSError:
            return None

else:

    def is_readable(descriptor: int, seconds: float) -> bool:
        """Whether, within so many seconds, there is something to read or the other end is closed."""
        return bool(select.select([descriptor], [], [], seconds)[0])

    def is_closed(descriptor: int) -> bool:
        """Whether the other end is closed, also while there is something left to read."""
        poll = select.poll()
        poll.register(descriptor, 0)
        return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))
