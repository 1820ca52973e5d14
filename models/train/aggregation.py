"""Aggregations with learned parameters: maps (N×C×H×W) to vectors, as the recipes of the library pool them.

`NetVlad` and `SecondOrder` give what `net_vlad` and `second_order` of `core/src/descriptor` give for equal codebooks,
`Gem` what `gem` does for equal powers, and `Fusion` joins parts by the weights that a recipe holds. What is learned
here leaves as a recipe and a codebook; the library has no other arithmetic for it.
"""

import torch
from torch import nn
from torch.nn import functional as F

EPSILON = 1e-6


class NetVlad(nn.Module):
    """Sums of residuals to K centres under a soft assignment (Arandjelovic et al., "NetVLAD", 2016, eq. 4).

    Local features are projected (C → d) and made unit vectors. The assignment is the softmax of -α‖x - c_k‖², whose
    parts may move apart in training: it is held as weights 2αc_k and biases -α‖c_k‖² of its own, which start there.
    """

    def __init__(self, projection: torch.Tensor, mean: torch.Tensor, centres: torch.Tensor, alpha: float = 10.0):
        """`projection` d×C, `mean` C, `centres` K×d."""
        super().__init__()
        self.register_buffer("mean", mean.clone())
        self.projection = nn.Parameter(projection.clone())
        self.centres = nn.Parameter(centres.clone())
        self.weights = nn.Parameter(2 * alpha * centres)
        self.biases = nn.Parameter(-alpha * centres.square().sum(1))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """N×(K·d): each centre's sum a unit vector, the whole a unit vector."""
        features = maps.flatten(2).transpose(1, 2) - self.mean  # N×places×C
        features = F.normalize(features @ self.projection.T, dim=2)
        assignment = F.softmax(features @ self.weights.T + self.biases, dim=2)  # N×places×K
        sums = assignment.transpose(1, 2) @ features - assignment.sum(1)[:, :, None] * self.centres
        return F.normalize(F.normalize(sums, dim=2).flatten(1), dim=1)


class Gem(nn.Module):
    """The generalised mean, (mean xᵖ)^(1/p), with a power that is learned, one or one a channel.

    Radenović et al., "Fine-tuning CNN image retrieval with no human annotation", 2018, eq. 3. Power 1 is the mean, a
    large one the maximum.
    """

    def __init__(self, power: float = 3.0, channels: int = 1):
        super().__init__()
        self.log_power = nn.Parameter(torch.full((channels,), power).log())

    @property
    def power(self) -> torch.Tensor:
        return self.log_power.exp()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        power = self.power.reshape(1, -1, 1, 1)
        return maps.clamp_min(EPSILON).pow(power).mean(dim=(2, 3)).pow(1 / self.power)


class SecondOrder(nn.Module):
    """Covariance of projected local features under a signed square root, as the upper triangle (Lin et al., "Bilinear
    CNNs", 2015; `second_order` with root `signed`); the projection is learned."""

    def __init__(self, projection: torch.Tensor, mean: torch.Tensor):
        """`projection` d×C, `mean` C."""
        super().__init__()
        self.register_buffer("mean", mean.clone())
        self.projection = nn.Parameter(projection.clone())
        rows, columns = torch.triu_indices(len(projection), len(projection))
        self.register_buffer("rows", rows)
        self.register_buffer("columns", columns)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """N×d(d+1)/2, not of length one."""
        features = maps.flatten(2).transpose(1, 2) - self.mean
        features = F.normalize(features @ self.projection.T, dim=2)
        centred = features - features.mean(dim=1, keepdim=True)
        covariance = centred.transpose(1, 2) @ centred / features.shape[1]
        # The root's slope at zero is infinite; so near to it, a line does.
        rooted = covariance.sign() * ((covariance.abs() + EPSILON).sqrt() - EPSILON**0.5)
        twice = torch.where(self.rows == self.columns, 1.0, 2**0.5)
        return rooted[:, self.rows, self.columns] * twice


class Fusion(nn.Module):
    """Unit vectors of several taps joined by learned weights, the whole of length one.

    The similarity of two joint vectors is then the mean of their parts' similarities under the weights' squares; these
    sum to one, as `shares` says.
    """

    def __init__(self, parts: int):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(parts))

    @property
    def shares(self) -> torch.Tensor:
        return F.softmax(self.logits, dim=0)

    def forward(self, parts: list[torch.Tensor]) -> torch.Tensor:
        scaled = [F.normalize(part, dim=1) * share for part, share in zip(parts, self.shares.sqrt(), strict=True)]
        return torch.cat(scaled, dim=1)
