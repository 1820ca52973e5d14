"""Losses on labelled descriptors: what lies near what, as a catalogue's groups or mined pairs say it should.

Distances are Euclidean unless said otherwise. All take N×d descriptors (unit vectors in use, though none asks for it)
and N integer labels, or the indices that `mining.py` chose, and give a mean over their terms; zero where there are none.
"""

import torch
from torch import nn
from torch.nn import functional as F


def distances(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """N×M Euclidean distances. Written out so that the gradient at distance zero is zero, not NaN."""
    squares = left.square().sum(1)[:, None] + right.square().sum(1)[None, :] - 2 * left @ right.T
    squares = squares.clamp_min(0)
    apart = squares > 1e-12
    return torch.where(apart, torch.where(apart, squares, 1.0).sqrt(), 0.0)


def triplet(
    descriptors: torch.Tensor, triplets: torch.Tensor, margin: float = 0.2, squared: bool = True
) -> torch.Tensor:
    """max(0, d(a, p) - d(a, n) + margin) for T×3 indices (anchor, positive, negative).

    Schroff et al., "FaceNet", 2015, eq. 2: squared distances. Not squared is Hermans et al., "In defense of the triplet
    loss", 2017.
    """
    anchor, positive, negative = (descriptors[triplets[:, place]] for place in range(3))
    near, far = (_apart(anchor, other) for other in (positive, negative))
    near, far = (near, far) if squared else (near.clamp_min(1e-12).sqrt(), far.clamp_min(1e-12).sqrt())
    return _mean(F.relu(near - far + margin))


def cosine_triplet(descriptors: torch.Tensor, triplets: torch.Tensor, margin: float = 0.1) -> torch.Tensor:
    """max(0, cos(a, n) - cos(a, p) + margin): the triplet loss on similarity, blind to the vectors' lengths."""
    anchor, positive, negative = (F.normalize(descriptors[triplets[:, place]], dim=1) for place in range(3))
    return _mean(F.relu((anchor * negative).sum(1) - (anchor * positive).sum(1) + margin))


def contrastive(
    left: torch.Tensor, right: torch.Tensor, same: torch.Tensor, margin: float = 0.7
) -> torch.Tensor:
    """Half of d² for pairs of the same, half of max(0, margin - d)² for others (N×d, N×d, N booleans).

    Hadsell et al., "Dimensionality reduction by learning an invariant mapping", 2006, eq. 4: the Siamese loss.
    """
    squares = _apart(left, right)
    far = F.relu(margin - squares.clamp_min(1e-12).sqrt()).square()
    return _mean(torch.where(same, squares, far)) / 2


def coupled_clusters(descriptors: torch.Tensor, labels: torch.Tensor, margin: float = 0.5) -> torch.Tensor:
    """Positives are to be nearer to their centre than the nearest negative is (Liu et al., "Deep relative distance
    learning: tell the difference between similar vehicles", 2016, eq. 4).

    For each label c with centre m: the mean over its members p of max(0, ‖p - m‖² + margin - ‖n - m‖²) / 2, where n is
    the member of any other label that is nearest to m. A centre is no anchor that a bad photo could spoil.
    """
    terms = []
    for label in labels.unique():
        members = labels == label
        if members.sum() < 2 or members.all():
            continue
        centre = descriptors[members].mean(dim=0)
        near = (descriptors[members] - centre).square().sum(1)
        far = (descriptors[~members] - centre).square().sum(1).min()
        terms.append(F.relu(near + margin - far).mean() / 2)
    return torch.stack(terms).mean() if terms else descriptors.sum() * 0


def weakly_ranked(
    query: torch.Tensor, potential: torch.Tensor, negatives: torch.Tensor, margin: float = 0.1
) -> torch.Tensor:
    """Sum over the negatives of max(0, min_i d²(q, pᵢ) + margin - d²(q, nⱼ)).

    Arandjelovic et al., "NetVLAD", 2016, eq. 7: of the P×d potential positives (photos taken near the query, some of
    which look elsewhere) only the best match is trusted; the N×d negatives are known to be elsewhere. `query` is d.
    """
    best = (potential - query).square().sum(1).min()
    return F.relu(best + margin - (negatives - query).square().sum(1)).sum()


class ArcFace(nn.Module):
    """Softmax over the angles to a learned proxy of each label, the true one's widened by a margin.

    Deng et al., "ArcFace: additive angular margin loss", 2019, eq. 3. With margin 0 it is the normalised softmax over
    proxies (Zhai and Wu, "Classification is a strong baseline for deep metric learning", 2019).
    """

    def __init__(self, labels: int, dimensions: int, margin: float = 0.3, scale: float = 16.0):
        super().__init__()
        self.proxies = nn.Parameter(torch.randn(labels, dimensions) / dimensions**0.5)
        self.margin, self.scale = margin, scale

    def forward(self, descriptors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        cosines = F.normalize(descriptors, dim=1) @ F.normalize(self.proxies, dim=1).T
        own = F.one_hot(labels, len(self.proxies)).bool()
        angles = torch.acos(cosines.clamp(-1 + 1e-6, 1 - 1e-6))
        # Beyond π the cosine would rise again, and pull the wrong way.
        widened = torch.cos((angles + self.margin).clamp_max(torch.pi))
        return F.cross_entropy(self.scale * torch.where(own, widened, cosines), labels)


def _apart(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return (left - right).square().sum(1)


def _mean(terms: torch.Tensor) -> torch.Tensor:
    return terms.mean() if terms.numel() else terms.sum()
