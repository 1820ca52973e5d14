"""What of FashionNet's heads a bundle can say: category and attributes, from the features of the whole photo.

A bundle's attribute head is an output of the network whose values, averaged over places, are logits
(`core/src/attributes.rs`). The mean is linear, so a linear head on the mean of a map is, exactly, the mean of a 1×1
convolution of the map:

    W · mean_x m(x) + b = mean_x (W · m(x) + b)

`FashionHead` says them of that mean and of what is pooled at the key points. The second part has no such form: the
maximum around a place that is found in the photo is no sum over places, and no operator of the plan reads a map at a
place. So a last stage trains heads on the mean alone, with the losses that the paper has for words. Key points and the
descriptor stay behind: a bundle has its recipe for the one and no word for the other.
"""

import json
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from attributes import Truth, attribute_loss
from export import LogitMap
from garments import Vocabulary


class WholeHeads(nn.Module):
    """Category and attributes of the mean of a map alone; N×C×H×W to N×categories and N×attributes logits.

    The channels' means are standardised first: behind a ReLU6 they differ in scale by orders of magnitude. Standardising
    is linear, and leaves inside of the weights.
    """

    def __init__(self, channels: int, categories: int, attributes: int):
        super().__init__()
        # Of all batches, as the network stands still. Channels that hardly vary are not magnified: their weights would
        # be the largest, and the coarsest steps of an int8 plan all that is left to the others.
        self.norm = nn.BatchNorm1d(channels, eps=1e-4, momentum=None, affine=False)
        self.category, self.attributes = nn.Linear(channels, categories), nn.Linear(channels, attributes)
        for layer in (self.category, self.attributes):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean = self.norm(maps.mean(dim=(2, 3)))
        return self.category(mean), self.attributes(mean)

    def loss(self, maps: torch.Tensor, truth: Truth, positive: torch.Tensor) -> torch.Tensor:
        """The two losses of `attributes.losses` that are about words; `positive` as there."""
        category, attributes = self(maps)
        return F.cross_entropy(category, truth.category) + attribute_loss(attributes, truth.attributes, positive)

    @torch.no_grad()
    def logit_maps(self, tap: str) -> tuple[LogitMap, ...]:
        """As outputs of the network that has the map `tap`, for `export.export`; as in evaluation mode."""
        scale = 1 / torch.sqrt(self.norm.running_var + self.norm.eps)
        found = []
        for name, layer in (("category", self.category), ("attributes", self.attributes)):
            weight = layer.weight * scale
            bias = layer.bias - weight @ self.norm.running_mean
            found.append(LogitMap(name, tap, weight.cpu().numpy(), bias.cpu().numpy()))
        return tuple(found)


def write_heads(vocabulary: Vocabulary, path: Path) -> None:
    """What `pocketlens bundle convert --heads` reads: which output says what, a label a channel."""
    spoken = (("category", vocabulary.categories, "one_of"), ("attributes", vocabulary.attributes, "any_of"))
    heads = [
        {"name": name, "tap": name, "labels": list(labels), "labelling": labelling} for name, labels, labelling in spoken
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"attributes": heads}, indent=1) + "\n")
