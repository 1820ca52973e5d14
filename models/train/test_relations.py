"""Relations: a case by hand, what does not count, and what a student learns of them."""

import pytest
import torch
from torch import nn

from loss import distillation
from relations import pooled, relations

TRIANGLE = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])  # distances 3, 4 and 5: 0.75, 1 and 1.25 of their mean
EQUAL = torch.eye(3)  # all alike


def test_by_hand():
    assert relations(TRIANGLE, EQUAL).item() == pytest.approx((0.25**2 / 2 + 0 + 0.25**2 / 2) / 3)


def test_scale_place_and_rotation_do_not_count():
    turned = (7.0 * TRIANGLE + 2.0) @ torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    assert relations(turned, TRIANGLE).item() == pytest.approx(0.0, abs=1e-12)


def test_a_space_of_other_width_takes_over_the_relations():
    generator = torch.Generator().manual_seed(1)
    teacher = torch.randn(12, 5, generator=generator)
    own = nn.Parameter(torch.randn(12, 3, generator=generator))
    optimiser = torch.optim.Adam([own], lr=0.05)
    before = relations(own, teacher).item()
    for _ in range(200):
        optimiser.zero_grad()
        relations(own, teacher).backward()
        optimiser.step()
    assert relations(own, teacher).item() < before / 4


class _Network(nn.Module):
    """Maps that are given: N×C×H×W of every boundary, and c39."""

    def __init__(self, maps: list[torch.Tensor], c39: torch.Tensor):
        super().__init__()
        self.maps, self.c39 = maps, nn.Parameter(c39)

    def forward(self, _: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        return self.maps, self.c39

    def local(self, image: torch.Tensor, _: list[torch.Tensor]) -> tuple[list[torch.Tensor], torch.Tensor]:
        return self(image)


def test_the_loss_of_a_chain_has_them_where_they_are_asked_for():
    generator = torch.Generator().manual_seed(2)
    maps = [torch.randn(4, 2, 2, 2, generator=generator).contiguous(memory_format=torch.channels_last) for _ in range(4)]
    student, teacher = _Network([maps[0]] * 19, maps[1]), _Network([maps[2]] * 19, maps[3])
    image = torch.zeros(4, 3, 8, 8)
    plain, terms = distillation(student, teacher, image, False)
    asked, same = distillation(student, teacher, image, False, relation=0.5)
    between = [relations(pooled(own), pooled(target)) for own, target in ((maps[1], maps[3]), (maps[0], maps[2]))]
    assert torch.equal(terms, same)
    assert asked.item() == pytest.approx(plain.item() + 0.5 * sum(between).item())
    # Block by block the teacher's own maps come in: what is between photos is not the block's.
    assert distillation(student, teacher, image, True, relation=0.5)[0].item() == pytest.approx(plain.item())
    asked.backward()
    assert student.c39.grad.abs().sum() > 0
