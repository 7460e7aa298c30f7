"""Which images stand in which batch: a function of the seed and the step, so that training can resume."""

from __future__ import annotations

import torch
from torch import Tensor

from benchbench.seeding import torch_generator


class BatchPlan:
    """An endless sequence of shuffled epochs, cut into batches of one size.

    Batch ``t`` holds positions ``t*B .. (t+1)*B`` of that sequence; it may span two epochs, and a batch
    larger than the data takes whole epochs. No state: any batch can be asked for at any time.

    Args:
        count: Number of images, at least 1.
        batch_size: Images a batch, at least 1.
        seed: Decides the order, together with the epoch.
        device: Where the indices shall be. An epoch's order is drawn on the CPU and copied once: a copy a step would
            make the GPU wait for the host.
    """

    def __init__(self, count: int, batch_size: int, seed: int, device: torch.device | None = None) -> None:
        self.count = count
        self.batch_size = batch_size
        self.seed = seed
        self.device = device
        self._cached: tuple[int, Tensor] = (-1, torch.empty(0, dtype=torch.int64))

    def _epoch(self, epoch: int) -> Tensor:
        if self._cached[0] != epoch:
            order = torch.randperm(self.count, generator=torch_generator(self.seed, "epoch", epoch))
            if self.device is not None and self.device.type == "cuda":  # from pinned memory the host need not wait
                order = order.pin_memory().to(self.device, non_blocking=True)
            self._cached = (epoch, order)
        return self._cached[1]

    def batch(self, step: int) -> Tensor:
        """Indices of batch ``step``, ``int64 (batch_size,)`` on the device."""
        position, end = step * self.batch_size, (step + 1) * self.batch_size
        parts = []
        while position < end:
            epoch, offset = divmod(position, self.count)
            taken = min(self.count - offset, end - position)
            parts.append(self._epoch(epoch)[offset : offset + taken])
            position += taken
        return torch.cat(parts)
