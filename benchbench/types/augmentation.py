"""Classical augmentation: which changes an image may undergo that leave its class what it is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Augmentation(BaseModel):
    """Random changes, drawn anew for every image. The defaults suit photographs.

    A field of zero (or false) leaves that change out. Saturation and hue leave grey images as they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    flip: bool = Field(True, description="Mirror left and right, half of the time.")
    crop: float = Field(0.125, ge=0, le=0.5, description="Shift by up to this fraction of the size; edges repeat.")
    rotation: float = Field(15.0, ge=0, le=180, description="Turn by up to so many degrees either way.")
    brightness: float = Field(0.2, ge=0, lt=1, description="Brightness factor in 1 - b .. 1 + b.")
    contrast: float = Field(0.2, ge=0, lt=1, description="Contrast factor in 1 - c .. 1 + c.")
    saturation: float = Field(0.2, ge=0, lt=1, description="Saturation factor in 1 - s .. 1 + s.")
    hue: float = Field(0.05, ge=0, le=0.5, description="Hue shift in -h .. h of the colour circle.")
    cutout: float = Field(0.0, ge=0, le=1, description="Side of a square made grey, as a fraction of the size.")
