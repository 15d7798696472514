"""Files that a reader finds whole or not at all."""

import os
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Write a file under a temporary name beside `path`, then rename it to `path`.

    Missing parent folders are made; what was at `path` stays until the new file is complete.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target: a rename is atomic only within one file system.
    # The process id keeps two ranks or two jobs from writing into each other's file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        # Left over only where writing failed; after the rename it is gone already.
        temporary.unlink(missing_ok=True)
