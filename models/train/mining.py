"""Which pairs and triplets of a batch to learn from: those that the network still gets wrong.

Of all triplets of a batch nearly all are fulfilled already and teach nothing. Both rules look at the batch as it is
described now; they choose indices, without gradients.
"""

import torch

from metric import distances


@torch.no_grad()
def all_triplets(labels: torch.Tensor) -> torch.Tensor:
    """T×3 indices (anchor, positive, negative) of all triplets of N labels."""
    same = labels[:, None] == labels[None, :]
    positive = same & ~_itself(labels)
    return (positive[:, :, None] & ~same[:, None, :]).nonzero()


@torch.no_grad()
def batch_hard(descriptors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """For every anchor its farthest positive and its nearest negative (Hermans et al., 2017, eq. 5)."""
    apart = distances(descriptors, descriptors)
    same = labels[:, None] == labels[None, :]
    positive = same & ~_itself(labels)
    anchors = (positive.any(1) & (~same).any(1)).nonzero().squeeze(1)
    farthest = apart.masked_fill(~positive, -torch.inf).argmax(1)
    nearest = apart.masked_fill(same, torch.inf).argmin(1)
    return torch.stack([anchors, farthest[anchors], nearest[anchors]], dim=1)


@torch.no_grad()
def semi_hard(descriptors: torch.Tensor, labels: torch.Tensor, margin: float = 0.2) -> torch.Tensor:
    """For every pair of the same the nearest negative that is farther than the positive (Schroff et al., 2015, eq. 4).

    Only where it violates the margin, d²(a, n) < d²(a, p) + margin; the very nearest negatives are passed over, for
    early in training they collapse the network (all descriptors the same).
    """
    squares = distances(descriptors, descriptors).square()
    same = labels[:, None] == labels[None, :]
    chosen = []
    for anchor, positive in (same & ~_itself(labels)).nonzero().tolist():
        own = squares[anchor, positive]
        candidates = squares[anchor].masked_fill(same[anchor] | (squares[anchor] <= own), torch.inf)
        negative = int(candidates.argmin())
        if candidates[negative] < own + margin:
            chosen.append((anchor, positive, negative))
    return torch.tensor(chosen, dtype=torch.long, device=labels.device).reshape(-1, 3)


@torch.no_grad()
def hardest_negatives(query: torch.Tensor, candidates: torch.Tensor, count: int) -> torch.Tensor:
    """Indices of the `count` candidates (M×d) nearest to the query (d), nearest first: those of a ranking loss."""
    return (candidates - query).square().sum(1).topk(min(count, len(candidates)), largest=False).indices


def _itself(labels: torch.Tensor) -> torch.Tensor:
    """N×N: whether row and column are one and the same sample."""
    return torch.eye(len(labels), dtype=torch.bool, device=labels.device)
