"""The standard streams of a plugin: nothing reaches stdout but the one document."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

from spidercni.errors import UnreadableInput


class Streams(NamedTuple):
    """File descriptors: where the configuration comes from and where the document goes to."""

    stdin: int
    document: int

    def write(self, document: bytes) -> None:
        """Write all of the document.

        Raises OSError when the reader is gone: the caller must not report success then.
        """
        rest = memoryview(document)
        while rest:
            rest = rest[os.write(self.document, rest) :]


def take_over() -> Streams:
    """Keep stdout for the document: file descriptor 1 becomes a second stderr.

    Libraries and children that print cannot spoil the document then. Descriptors 0 and 2 are opened on /dev/null
    where the caller closed them, so that no file of ours takes their number.
    Raises OSError when there is no stdout: there is no way to answer then.
    """
    stdin = 0 if _is_open(0) else -1  # reading from -1 fails as reading from a closed stdin does
    for number in (0, 2):
        if not _is_open(number):
            _open_null(number)
    if sys.stderr is None:  # closed when Python started; `print(file=None)` would go to stdout
        sys.stderr = os.fdopen(2, "w", closefd=False)
    document = os.dup(1)
    os.dup2(2, 1)
    return Streams(stdin=stdin, document=document)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _open_null(number: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)


def read_all(descriptor: int, limit: int) -> bytes:
    """Read to the end.

    Raises UnreadableInput (code 5), also when there is more than `limit` bytes.
    """
    chunks = []
    left = limit
    try:
        while chunk := os.read(descriptor, 1 << 20):
            chunks.append(chunk)
            left -= len(chunk)
            if left < 0:
                raise UnreadableInput(f"standard input has more than {limit} bytes", "is this a network configuration?")
    except OSError as error:
        raise UnreadableInput("standard input cannot be read", error.strerror or str(error)) from error
    return b"".join(chunks)
