"""Instance discrimination: two captures of a photo are to be nearer than captures of different photos.

InfoNCE (van den Oord et al., "Representation learning with contrastive predictive coding", 2018) with a memory of past
descriptors as further negatives (Wu et al., "Unsupervised feature learning via non-parametric instance
discrimination", 2018), and the distillation that keeps the network from forgetting what the photos cannot teach.
"""

import torch
from torch.nn import functional as F

TEMPERATURE = 0.1


class Memory:
    """The latest descriptors (parts as in `heads.Heads`, N×parts×d) and the photos they came from; a ring."""

    def __init__(self, size: int, parts: int, dimensions: int, device: torch.device = torch.device("cpu")):
        self.parts = torch.zeros(size, parts, dimensions, device=device)
        self.photos = torch.full((size,), -1, device=device)  # -1: nothing here yet
        self.next = 0

    def push(self, parts: torch.Tensor, photos: torch.Tensor) -> None:
        places = (self.next + torch.arange(len(photos), device=photos.device)) % len(self.photos)
        self.parts[places], self.photos[places] = parts.detach(), photos
        self.next = (self.next + len(photos)) % len(self.photos)

    def state(self) -> dict:
        return {"parts": self.parts, "photos": self.photos, "next": self.next}

    def restore(self, state: dict) -> None:
        self.parts, self.photos = state["parts"].to(self.parts.device), state["photos"].to(self.photos.device)
        self.next = state["next"]


def similarities(left: torch.Tensor, right: torch.Tensor, shares: torch.Tensor | None = None) -> torch.Tensor:
    """(1 + parts)×N×M cosines of N×parts×d and M×parts×d: of the joint descriptors first, then of each part.

    `shares` says what each part counts in the joint descriptor; without it all count the same.
    """
    of_parts = torch.einsum("npd,mpd->pnm", left, right)
    joint = of_parts.mean(dim=0) if shares is None else torch.einsum("pnm,p->nm", of_parts, shares)
    return torch.cat([joint[None], of_parts])


def info_nce(
    first: torch.Tensor,
    second: torch.Tensor,
    photos: torch.Tensor,
    memory: Memory,
    shares: torch.Tensor | None = None,
) -> torch.Tensor:
    """Losses (1 + parts) of N pairs: of the joint descriptor and of each part, the mean of both directions.

    `photos` (N) tells the photos apart; a memory of one and the same photo is no negative.
    """
    losses = []
    known = photos[:, None] == memory.photos[None, :]
    ignored = known | (memory.photos < 0)[None, :]
    other = (photos[:, None] == photos[None, :]) & ~torch.eye(len(photos), dtype=torch.bool, device=photos.device)
    for one, two in ((first, second), (second, first)):
        within = similarities(one, two, shares).masked_fill(other, -torch.inf)
        past = similarities(one, memory.parts, shares).masked_fill(ignored, -torch.inf)
        logits = torch.cat([within, past], dim=2) / TEMPERATURE  # (1 + parts)×N×(N + memory)
        target = torch.arange(len(photos), device=photos.device).expand(len(logits), -1)
        losses.append(F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none").view_as(target).mean(1))
    return (losses[0] + losses[1]) / 2


def map_distance(own: dict[str, torch.Tensor], target: dict[str, torch.Tensor]) -> torch.Tensor:
    """One minus the cosine between the channels of two maps at each place, the mean over places and taps.

    Places where the target is silent in all channels (flat walls, in c51) have no direction to keep to and count zero.
    """
    distances = []
    for tap, maps in target.items():
        heard = maps.abs().amax(dim=1) > 0
        distances.append(((1 - F.cosine_similarity(own[tap], maps, dim=1)) * heard).mean())
    return torch.stack(distances).mean()
