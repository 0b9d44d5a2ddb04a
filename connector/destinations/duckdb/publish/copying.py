"""Copies the bytes of an open file by the cheapest means that its file system has."""

import errno
import fcntl
import os
import sys
from collections.abc import Callable, Iterator

_FICLONE = 0x40049409
"""Linux's request to let a file share another one's blocks on the disk."""
_AT_ONCE = 8 * 1024**2
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

Mean = Callable[[int, int, int, int], int]
"""Copies up to so many bytes of one descriptor to another at an offset; returns how many."""


class Shorter(Exception):
    """The file ended before the size that it had."""


def cloned(source: int, copy: int) -> bool:
    """Lets an empty file share all blocks of another; false if the file system cannot do that."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        fcntl.ioctl(copy, _FICLONE, source)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise
        return False
    return True


def copy_bytes(source: int, copy: int, size: int, going: Callable[[], None]) -> None:
    """Copies the first `size` bytes into an empty file, and leaves its holes as they are.

    `going` is called between portions, and may raise. Raises Shorter if there are fewer bytes, and
    OSError.
    """
    os.ftruncate(copy, size)
    means = list(_MEANS)
    for begin, end in _data(source, size):
        at = begin
        while at < end:
            going()
            at += _portion(means, source, copy, at, min(_AT_ONCE, end - at))


def _portion(means: list[Mean], source: int, copy: int, at: int, count: int) -> int:
    """Copies a portion by the first of the means that works, and forgets those that do not."""
    while True:
        try:
            copied = means[0](source, copy, at, count)
        except OSError as error:
            if len(means) == 1 or error.errno in _NO_ROOM:
                raise
            copied = 0
        if copied:
            return copied
        if len(means) == 1:
            raise Shorter
        # Some file systems refuse it, and some copy nothing without an error.
        means.pop(0)


def _data(source: int, size: int) -> Iterator[tuple[int, int]]:
    """The parts of a file that are no holes, as far as the file system knows them."""
    at = 0
    while at < size:
        try:
            begin = os.lseek(source, at, os.SEEK_DATA)
            end = min(os.lseek(source, begin, os.SEEK_HOLE), size)
        except (OSError, AttributeError) as error:
            if isinstance(error, OSError) and error.errno == errno.ENXIO:
                # Nothing but a hole is left, or the file has become shorter.
                if os.fstat(source).st_size < size:
                    raise Shorter from None
                return
            begin, end = at, size
        if begin < end:
            yield begin, end
        at = max(end, at + 1)


def _in_kernel(source: int, copy: int, at: int, count: int) -> int:
    return os.copy_file_range(source, copy, count, at, at)


def _sent(source: int, copy: int, at: int, count: int) -> int:
    os.lseek(copy, at, os.SEEK_SET)
    return os.sendfile(copy, source, at, count)


def _read_and_written(source: int, copy: int, at: int, count: int) -> int:
    content = memoryview(os.pread(source, count, at))
    written = 0
    while written < len(content):
        written += os.pwrite(copy, content[written:], at + written)
    return written


_MEANS: tuple[Mean, ...] = (
    *((_in_kernel,) if hasattr(os, "copy_file_range") else ()),
    # Elsewhere than on Linux it sends to sockets only.
    *((_sent,) if sys.platform.startswith("linux") else ()),
    _read_and_written,
)
