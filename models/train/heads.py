"""A recipe's whitenings as a module: each part pooled, made a unit vector, whitened, made a unit vector again.

It starts at the whitening learned from views (`whitening.learned_whitening`) and is trained along with the network,
but it does not leave with it: whoever uses the network fits its whitening anew.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from recipe import THREE_TAPS, Recipe, shares, whitenings
from whitening import Whitening


class Heads(nn.Module):
    """One linear whitening a tap, about the mean of the batch at hand.

    The mean drifts with the network, along directions that whitening magnifies: held at where it started, each step
    adds a little of one and the same vector to all descriptors, and in a hundred steps their similarity is lost in it.
    The answer has every part as a unit vector: N×parts×d, padded with zeros to the longest part's d.

    The joint descriptor is the parts one after another, each scaled by the root of its share, so the similarity of two
    joint descriptors is the mean of the similarities of their parts, weighted by `shares`.
    """

    def __init__(self, learned: dict[str, Whitening], recipe: Recipe = THREE_TAPS):
        super().__init__()
        self.taps, self.recipe = [part.tap for part in recipe], recipe
        self.register_buffer("shares", shares(recipe), persistent=False)  # the recipe has them
        self.layers = nn.ModuleList()
        for _, projection in (learned[tap] for tap in self.taps):
            layer = nn.Linear(projection.shape[1], projection.shape[0], bias=False)
            layer.weight.data.copy_(torch.from_numpy(projection))
            self.layers.append(layer)

    @property
    def dimensions(self) -> int:
        return max(layer.out_features for layer in self.layers)

    @staticmethod
    def learned(vectors: dict[str, np.ndarray], recipe: Recipe = THREE_TAPS) -> "Heads":
        """From pooled taps of views, photos×views×C each."""
        return Heads(whitenings(vectors, recipe), recipe)

    def forward(self, vectors: dict[str, torch.Tensor]) -> torch.Tensor:
        centred = [vectors[tap] - vectors[tap].mean(dim=0) for tap in self.taps]
        parts = [F.normalize(layer(rows), dim=1) for rows, layer in zip(centred, self.layers, strict=True)]
        return torch.stack([F.pad(part, (0, self.dimensions - part.shape[1])) for part in parts], dim=1)

    def joint(self, vectors: dict[str, torch.Tensor]) -> torch.Tensor:
        """N×(parts·d): the joint descriptor, a unit vector."""
        return (self(vectors) * self.shares.sqrt()[:, None]).flatten(1)
