"""The four stages of a run: how many steps, at which sizes, with which learning rate.

1. `local`: every stage of the student alone, on the teacher's input of it.
2. `chain`: the student as one network, the same loss at every boundary. One cosine spans these two.
3. `large`: the chain on larger crops of varying aspect, with a smaller learning rate and a cosine of its own. The last
   blocks see 4×4 maps in a 128-px crop, so they have most to learn here. It can be made longer after the fact.
4. `tuned`: as `large`, towards the teacher that `tune.py` made; a last cosine.
"""

import math
from dataclasses import dataclass

SMALL_SIZES = ((128, 128),)
LARGE_SIZES = ((192, 192), (160, 224), (224, 160), (192, 256), (256, 192), (128, 192), (192, 128))
WARM_UP_STEPS = 100


@dataclass(frozen=True)
class Stage:
    """`sizes` are (height, width) of crops; `smallest` is the least share of a photo's area that a crop covers."""

    name: str
    sizes: tuple[tuple[int, int], ...]
    smallest: float


LOCAL = Stage("local", SMALL_SIZES, 0.25)
CHAIN = Stage("chain", SMALL_SIZES, 0.25)
LARGE = Stage("large", LARGE_SIZES, 0.35)
TUNED = Stage("tuned", LARGE_SIZES, 0.35)


@dataclass(frozen=True)
class Schedule:
    """Steps of each stage and the peak learning rates of the cosines."""

    local: int
    chain: int
    large: int
    rate: float = 3e-3
    large_rate: float = 1e-3
    tuned: int = 0
    tuned_rate: float = 1e-3

    @property
    def small(self) -> int:
        return self.local + self.chain

    @property
    def steps(self) -> int:
        return self.small + self.large + self.tuned

    def __call__(self, step: int) -> Stage:
        """The stage that the given step (from 0) belongs to."""
        if step < self.small:
            return LOCAL if step < self.local else CHAIN
        return LARGE if step < self.small + self.large else TUNED

    def learning_rate(self, step: int) -> float:
        if step < self.small:
            return self.rate * _cosine(step, self.small)
        if step < self.small + self.large:
            return self.large_rate * _cosine(step - self.small, self.large)
        return self.tuned_rate * _cosine(step - self.small - self.large, self.tuned)


def _cosine(step: int, steps: int) -> float:
    """From 1 to 0, after a short linear warm-up (of a hundredth of the steps at most)."""
    warm_up = min(1.0, (step + 1) / min(WARM_UP_STEPS, max(1, steps // 100)))
    return warm_up * 0.5 * (1 + math.cos(math.pi * step / steps))
