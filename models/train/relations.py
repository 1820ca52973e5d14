"""Relations between photos, whatever space they are described in: what a student of other widths can learn as they are.

Park et al., "Relational knowledge distillation", CVPR 2019: not where the teacher puts a photo but how far from each other it
puts photos, by the mean distance of the batch.
"""

import torch
from torch.nn import functional as F


def pooled(maps: torch.Tensor) -> torch.Tensor:
    """N×C unit vectors: the mean over places of N×C×H×W maps."""
    return F.normalize(maps.mean(dim=(2, 3)), dim=1)


def distances(points: torch.Tensor) -> torch.Tensor:
    """Euclidean distances of the N·(N-1)/2 pairs of N×C points, divided by their mean (eq. 4 and 5)."""
    pairs = F.pdist(points)
    return pairs / pairs.mean().clamp_min(1e-8)


def relations(own: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """The distance-wise loss (eq. 6): Huber's, of the difference of each pair's distances; N×C and N×D, N at least 2.

    Nothing of scale, place or rotation counts, on either side. The gradient goes to `own` alone. Of several processes each
    compares the photos of its part of a batch.
    """
    return F.huber_loss(distances(own), distances(teacher.detach()))
