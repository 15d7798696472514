"""Standard output and error that may be closed, or take ASCII only: a command goes on all the same."""

import codecs
import errno
import io
import os
import sys
from pathlib import Path
from typing import Any, TextIO

# After `head` has seen enough, or the terminal was closed.
_GONE = frozenset({errno.EPIPE, errno.EIO})
# Name of an error handler.
_AS_UTF8 = "imageclf-as-utf-8"


class _Descriptor(io.FileIO):
    """A descriptor that drops what nobody reads any more."""

    def write(self, data: Any) -> int:
        """Write, and return how many bytes were taken."""
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            return memoryview(data).nbytes


def tolerate_closed_streams() -> None:
    """Let standard output and error of this process drop what nobody reads any more.

    One that was closed before the start becomes the null device. What an encoding lacks, such as letters of a
    path where it is ASCII, is written as UTF-8, so that a script reads the exact path.
    """
    codecs.register_error(_AS_UTF8, _as_utf8)
    sys.stdout, sys.stderr = _outliving(sys.stdout, 1), _outliving(sys.stderr, 2)


def _outliving(stream: TextIO | None, number: int) -> TextIO:
    if stream is None:
        return Path(os.devnull).open("w", encoding="utf-8")
    # A notebook or a test has put something else there.
    if not isinstance(stream, io.TextIOWrapper) or not _is_standard(stream, number):
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Descriptor(number, "w", closefd=False)),
        encoding=stream.encoding,
        errors=_AS_UTF8 if stream.errors == "strict" else stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _as_utf8(error: UnicodeError) -> tuple[bytes, int]:
    """Return what cannot be encoded as UTF-8, bytes of file names that are not UTF-8 as they are."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return error.object[error.start : error.end].encode("utf-8", "surrogateescape"), error.end


def _is_standard(stream: TextIO, number: int) -> bool:
    try:
        return stream.fileno() == number
    except OSError:  # It is no file.
        return False
