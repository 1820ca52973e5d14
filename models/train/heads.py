"""The descriptor `three taps` as a module: each map pooled, made a unit vector, whitened, made a unit vector again.

It starts at the whitening learned from views (`whitening.learned_whitening`) and is trained along with the network,
but it does not leave with it: whoever uses the network fits its whitening anew.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from whitening import CENTRED, THREE_TAPS, Whitening, centre_weights, learned_whitening


def pooled(maps: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """N×C×H×W a tap → N×C unit vectors: the mean over all places, weighted to the centre for c20 and c39."""
    vectors = {}
    for tap, values in maps.items():
        if tap in CENTRED:
            weights = torch.from_numpy(centre_weights(*values.shape[2:])).to(values.dtype)
            mean = torch.einsum("nchw,hw->nc", values, weights)
        else:
            mean = values.mean(dim=(2, 3))
        vectors[tap] = F.normalize(mean, dim=1)
    return vectors


class Heads(nn.Module):
    """One linear whitening a tap, about the mean of the batch at hand.

    The mean drifts with the network, along directions that whitening magnifies: held at where it started, each step
    adds a little of one and the same vector to all descriptors, and in a hundred steps their similarity is lost in it.
    The answer has every part as a unit vector: N×parts×d, padded with zeros to the longest part's d.

    The joint descriptor is the parts one after another over sqrt(parts), so the similarity of two joint descriptors is
    the mean of the similarities of their parts.
    """

    def __init__(self, whitenings: dict[str, Whitening]):
        super().__init__()
        self.taps = list(whitenings)
        self.layers = nn.ModuleList()
        for _, projection in whitenings.values():
            layer = nn.Linear(projection.shape[1], projection.shape[0], bias=False)
            layer.weight.data.copy_(torch.from_numpy(projection))
            self.layers.append(layer)

    @property
    def dimensions(self) -> int:
        return max(layer.out_features for layer in self.layers)

    @staticmethod
    def learned(vectors: dict[str, np.ndarray]) -> "Heads":
        """From pooled taps of views, photos×views×C each."""
        return Heads({tap: learned_whitening(vectors[tap], size) for tap, size in THREE_TAPS.items()})

    def forward(self, vectors: dict[str, torch.Tensor]) -> torch.Tensor:
        centred = [vectors[tap] - vectors[tap].mean(dim=0) for tap in self.taps]
        parts = [F.normalize(layer(rows), dim=1) for rows, layer in zip(centred, self.layers, strict=True)]
        return torch.stack([F.pad(part, (0, self.dimensions - part.shape[1])) for part in parts], dim=1)
