"""A plugin class under trial."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import torch

P = TypeVar("P")

CPU = torch.device("cpu")


class Trial(Generic[P]):
    """Makes objects of one class with one config.

    Args:
        cls: The class.
        config: Its config; None is the default.
    """

    def __init__(self, cls: type[P], config: Any = None) -> None:
        self.cls = cls
        self.config = config

    def make(self) -> P:
        """A fresh object."""
        return self.cls() if self.config is None else self.cls(self.config)  # type: ignore[call-arg]
