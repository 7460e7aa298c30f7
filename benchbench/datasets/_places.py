"""Where a dataset's files are, as a benchmark file says it."""

from __future__ import annotations

from pathlib import Path

from benchbench.errors import DataMissingError


def place(data_dir: Path, given: str, who: str) -> Path:
    """The path that is meant; whether there is anything is for the caller to say.

    Args:
        data_dir: What ``given`` is relative to.
        given: A path from a config, perhaps absolute or with ``~``.
        who: Named in errors.

    Raises:
        DataMissingError: If no file system can be asked for it: a home of nobody, a name too long, a NUL.
    """
    try:
        path = data_dir / Path(given).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise DataMissingError(
            f"{who}: the config key 'path' is {given[:100]!r}, which cannot be looked at ({str(error)[:100]}); "
            "expected the place of a file or folder"
        ) from error
    return path


def own_images(path: str) -> str:
    """What a dataset of one's own images says before any are named."""
    return f"your own images: where the config key 'path' says, {path!r} unless told"
