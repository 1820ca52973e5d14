"""How wide and how deep a student is: channels at the teacher's boundaries and between them.

`DEFAULT` keeps the teacher's boundaries and has half of its hidden channels. `WIDE_END` spends its multiply-adds
otherwise: not on stem channels that are silent in the teacher, and on four fifths of the channels of c51, but on the
last block, which has the most to learn and stands at the smallest map. `NANO` is narrower everywhere and leaves two
residual blocks out; what it learns at a boundary is a projection of the teacher's map (`targets.py`). All widths are
multiples of 8, to which the int8 plan pads them.
"""

from dataclasses import dataclass

from teacher import BLOCKS, C39_CHANNELS, C39_INPUT_BOUNDARY, LAST_CHANNELS, STEM_CHANNELS


@dataclass(frozen=True)
class Shape:
    """`outputs` and `hidden` are channels of each of the 17 blocks; a residual block with 0 hidden ones is left out."""

    name: str
    stem: int
    outputs: tuple[int, ...]
    hidden: tuple[int, ...]
    c39: int
    c51: int

    def __post_init__(self):
        assert len(self.outputs) == len(self.hidden) == len(BLOCKS)
        for number, block in enumerate(BLOCKS):
            assert self.hidden[number] > 0 or block.residual, f"block {number} changes the map: it cannot be left out"
            assert not block.residual or self.inputs(number) == self.outputs[number], f"block {number} adds its input"

    def inputs(self, block: int) -> int:
        return self.outputs[block - 1] if block else self.stem

    @property
    def narrow(self) -> bool:
        """Whether any map is narrower than the teacher's."""
        teacher = (STEM_CHANNELS, *(block.outputs for block in BLOCKS), C39_CHANNELS, LAST_CHANNELS)
        return (self.stem, *self.outputs, self.c39, self.c51) != teacher

    def multiply_adds(self, height: int, width: int) -> int:
        """Of one pass over an image whose sides are multiples of 32, with all taps."""
        places = height * width // 4
        total = places * 27 * self.stem
        for number, block in enumerate(BLOCKS):
            hidden, inputs = self.hidden[number], self.inputs(number)
            total += places * inputs * hidden if hidden != inputs or block.expansion != 1 else 0
            places //= block.stride**2
            total += places * hidden * (9 + self.outputs[number])
            if number + 1 == C39_INPUT_BOUNDARY:
                total += places * self.outputs[number] * self.c39
        return total + places * self.outputs[-1] * self.c51


DEFAULT = Shape(
    name="default",
    stem=STEM_CHANNELS,
    outputs=tuple(block.outputs for block in BLOCKS),
    hidden=tuple(block.inputs * min(block.expansion, 3) for block in BLOCKS),
    c39=C39_CHANNELS,
    c51=LAST_CHANNELS,
)

# Eight of the teacher's 32 stem channels are silent. By itself, on the teacher's maps, the last block leaves 32 % of the
# variance on held-out photos (`warm_start.py`); that of `DEFAULT` left 55 % after its local stage (log/held_out.csv).
WIDE_END = Shape(
    name="wide-end",
    stem=24,
    outputs=DEFAULT.outputs,
    hidden=(24, *DEFAULT.hidden[1:16], 960),
    c39=DEFAULT.c39,
    c51=1024,
)

NANO = Shape(
    name="nano",
    stem=16,
    outputs=(8, 16, 16, 24, 24, 24, 40, 40, 40, 40, 64, 64, 64, 80, 80, 80, 112),
    hidden=(16, 32, 32, 48, 48, 0, 72, 120, 0, 120, 120, 192, 192, 192, 240, 240, 240),
    c39=448,
    c51=320,
)

SHAPES = {shape.name: shape for shape in (DEFAULT, WIDE_END, NANO)}
