"""How maps become the parts of a descriptor while training: the recipes of the library that training knows.

`three-taps` and `focused` are those of `core/src/descriptor/presets.rs`, without the last rounding to bytes. A network is
tuned under the recipe that it will be used with: its heads start at the whitening that a fit would learn.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from whitening import SHRINKAGE, Whitening, centre_weights, learned_whitening, supervised_whitening, unit

EPSILON = 1e-6  # a root's slope at zero is infinite


@dataclass(frozen=True)
class Part:
    """One tap: pooled, under a signed power, made a unit vector, whitened to `size` components, weighted.

    `sigma` is the deviation of a Gaussian prior in halves of the shorter side (None: no prior); the places are weighted
    by their distance from the border's mean to the power of `border`.
    """

    tap: str
    size: int
    sigma: float | None = None
    border: int = 0
    power: float = 1.0
    shrinkage: float = SHRINKAGE
    weight: float = 1.0
    stretched: bool = False  # the prior follows the photo's aspect

    def prior(self, height: int, width: int) -> torch.Tensor:
        if self.sigma is None:
            return torch.ones(height, width)
        if self.stretched:
            return torch.from_numpy(centre_weights(height, width))
        rows, columns = (torch.arange(side) + 0.5 - side / 2 for side in (height, width))
        deviation = self.sigma * min(height, width) / 2
        return torch.exp(-(rows[:, None].square() + columns[None, :].square()) / (2 * deviation**2))

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """N×C×H×W → N×C, unit vectors."""
        weights = self.prior(*maps.shape[2:]).to(maps).expand(len(maps), -1, -1)
        if self.border:
            weights = weights * border_distance(maps.detach()) ** self.border
        weights = weights / weights.sum(dim=(1, 2), keepdim=True).clamp_min(1e-12)
        mean = torch.einsum("nchw,nhw->nc", maps, weights)
        if self.power != 1.0:
            mean = mean.sign() * ((mean.abs() + EPSILON) ** self.power - EPSILON**self.power)
        return F.normalize(mean, dim=1)


THREE_TAPS = (
    Part("c20", 64, sigma=0.5, stretched=True),
    Part("c39", 96, sigma=0.5, stretched=True),
    Part("c51", 96),
)
FOCUSED = (
    Part("c39", 128, sigma=0.4, border=1, power=0.5, shrinkage=0.03),
    Part("c42", 64, sigma=0.5, border=2, shrinkage=0.03, weight=0.5),
    Part("c51", 64, sigma=0.5, border=1, power=0.5, shrinkage=0.2, weight=0.6),
)
Recipe = tuple[Part, ...]
RECIPES: dict[str, Recipe] = {"three-taps": THREE_TAPS, "focused": FOCUSED}


def border_distance(maps: torch.Tensor) -> torch.Tensor:
    """N×H×W: how far each place of N×C×H×W is from the mean of the outermost ones."""
    border = torch.ones(maps.shape[2:], dtype=torch.bool, device=maps.device)
    border[1:-1, 1:-1] = False
    mean = maps[:, :, border].mean(dim=2)
    return torch.linalg.vector_norm(maps - mean[:, :, None, None], dim=1)


def pooled(maps: dict[str, torch.Tensor], recipe: Recipe = THREE_TAPS) -> dict[str, torch.Tensor]:
    """N×C×H×W a tap → N×C unit vectors."""
    return {part.tap: part.pool(maps[part.tap]) for part in recipe}


def whitenings(views: dict[str, np.ndarray], recipe: Recipe) -> dict[str, Whitening]:
    """Learned from pooled taps of captures, photos×views×C each."""
    return {part.tap: learned_whitening(views[part.tap], part.size, part.shrinkage) for part in recipe}


def informed_whitenings(
    views: dict[str, np.ndarray], own: dict[str, np.ndarray], labels: np.ndarray, share: float, recipe: Recipe
) -> dict[str, Whitening]:
    """As `whitenings`, with a share of a catalogue's own photos (N×C) and their labels."""
    return {
        part.tap: supervised_whitening(views[part.tap], own[part.tap], labels, part.size, share, part.shrinkage)
        for part in recipe
    }


def described(learned: dict[str, Whitening], taps: dict[str, np.ndarray], recipe: Recipe) -> np.ndarray:
    """Descriptors (photos×d) of pooled taps (photos×C each)."""
    parts = []
    for part in recipe:
        mean, projection = learned[part.tap]
        parts.append(part.weight * unit((taps[part.tap] - mean) @ projection.T))
    return unit(np.concatenate(parts, axis=1))


def shares(recipe: Recipe) -> torch.Tensor:
    """What each part's similarity counts in the similarity of the whole."""
    squares = torch.tensor([part.weight**2 for part in recipe])
    return squares / squares.sum()
