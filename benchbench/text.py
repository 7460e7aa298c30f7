"""Text from data and plugins, as it may be shown."""

from __future__ import annotations

# Two that join letters and emoji, and do no harm.
JOINERS = "\u200c\u200d"


def prints(letter: str) -> bool:
    """Whether a letter shows as itself: no control, nothing that turns the direction of reading, no half of a pair."""
    return letter.isprintable() or letter in JOINERS


def printable(text: object) -> str:
    """Text on one line, in which what does not print is U+FFFD: it could hide what stands there, or break a file."""
    clean = " ".join(str(text).split())
    return "".join(letter if prints(letter) else "\ufffd" for letter in clean)
