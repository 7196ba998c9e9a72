"""Several processes that share a training, as `torchrun` begins them; or one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Processes:
    """Where this process stands among those that share the work.

    Attributes:
        rank: Its number, from 0.
        count: How many there are.
        device: On which it computes.
    """

    rank: int
    count: int
    device: torch.device

    @classmethod
    @contextmanager
    def joined(cls, device: str | None = None) -> Iterator[Processes]:
        """Those that `torchrun` began, or this one alone; `device` as for `loop.train`."""
        kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
        if "LOCAL_RANK" not in os.environ:
            yield cls(0, 1, torch.device(kind))
            return
        place = torch.device(kind)
        if kind == "cuda":
            place = torch.device(kind, int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(place)
        dist.init_process_group("nccl" if kind == "cuda" else "gloo")
        try:
            yield cls(dist.get_rank(), dist.get_world_size(), place)
        finally:
            dist.destroy_process_group()

    @property
    def first(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0

    def mean(self, value: Tensor) -> Tensor:
        """The mean of all processes' values."""
        if self.count > 1:
            value = value.clone()
            dist.all_reduce(value)
            value /= self.count
        return value

    def all(self, good: bool) -> bool:
        """Whether it is so in all processes."""
        return (
            good
            if self.count == 1
            else float(self.mean(torch.tensor(float(good), device=self.device))) == 1.0
        )

    def told(self, value: int) -> int:
        """The value of the first process."""
        if self.count == 1:
            return value
        shared = torch.tensor(value, device=self.device)
        dist.broadcast(shared, 0)
        return int(shared)


def rank() -> int:
    """The number of this process among those that `torchrun` began; 0 if it is alone."""
    return int(os.environ.get("RANK", "0"))


def count() -> int:
    """How many processes `torchrun` began; 1 if this one is alone."""
    return int(os.environ.get("WORLD_SIZE", "1"))
