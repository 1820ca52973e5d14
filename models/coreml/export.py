"""Writes a bundle's network as a Core ML program, for `pocketlens::backbone::delegate::CoreMl`.

    python export.py BUNDLE --out NETWORK.mlpackage [--size 320x256 …]

Same weights (8 bits, a scale an output channel), same taps; what is between layers is half-precision floats instead of
bytes. Input `image`: 32-bit floats 0..255, 1×3×H×W, RGB, at any of the sizes; outputs: a map 1×C×H×W for each tap. Runs
anywhere that coremltools does; predictions need a device of Apple's.
"""

import argparse
from pathlib import Path

import coremltools as ct
import numpy as np
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import get_new_symbol

from plan import Layer, Plan, Refused, read

TARGET = ct.target.iOS16  # the first that keeps 8-bit weights in the package
PHONE_SIZES = [(256, 320), (320, 256), (320, 320), (192, 320), (320, 192)]


def program(plan: Plan, taps: list[str]):
    """The MIL program, whose outputs bear the names of the taps."""
    height, width = get_new_symbol(), get_new_symbol()

    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 3, height, width))], opset_version=TARGET)
    def network(image):
        names = {value: name for name, value in plan.taps.items() if name in taps}
        # Less the byte that stands around the photo: then padding is zeros.
        values = {0: mb.sub(x=image, y=np.float32(plan.fill))}
        for layer in plan.layers[: max(names)]:
            values[layer.output] = _operation(layer, [values[value] for value in layer.inputs], names.get(layer.output))
        return tuple(values[plan.taps[name]] for name in taps)

    return network


def _operation(layer: Layer, inputs: list, name: str | None):
    if layer.kind == "convolution":
        x = _convolution(layer, inputs)
    elif layer.kind == "add":
        x = mb.add(x=inputs[0], y=inputs[1])
    elif layer.kind == "multiply":
        x = mb.mul(x=inputs[0], y=inputs[1])
    elif layer.kind == "global_average":
        x = mb.reduce_mean(x=inputs[0], axes=[2, 3], keep_dims=True)
    else:
        pool = mb.max_pool if layer.kind == "maximum" else mb.avg_pool
        window = {"kernel_sizes": layer.size, "strides": layer.stride, "pad_type": "custom", "pad": _pad(layer)}
        if layer.kind == "average":
            window["exclude_padding_from_average"] = True
        x = pool(x=inputs[0], **window)
    bounds = {"alpha": np.float32(layer.low), "beta": np.float32(layer.high)}
    return mb.clip(x=x, **bounds, name=name) if name else mb.clip(x=x, **bounds)


def _convolution(layer: Layer, inputs: list):
    weights = mb.constexpr_affine_dequantize(
        quantized_data=layer.weights, zero_point=np.int8(0), scale=layer.scales, axis=np.int32(0)
    )
    x = mb.conv(
        x=inputs[0],
        weight=weights,
        bias=layer.bias,
        strides=layer.stride,
        dilations=layer.dilation,
        groups=layer.groups,
        pad_type="custom",
        pad=_pad(layer),
    )
    if layer.hard_swish:
        gate = mb.clip(x=mb.add(x=x, y=np.float32(3)), alpha=np.float32(0), beta=np.float32(6))
        x = mb.mul(x=mb.mul(x=x, y=gate), y=np.float32(1 / 6))
    return mb.add(x=x, y=inputs[1]) if layer.residual else x


def _pad(layer: Layer) -> list[int]:
    top, left, bottom, right = layer.padding
    return [top, bottom, left, right]


def export(bundle: Path, sizes: list[tuple[int, int]] | None = None) -> ct.models.MLModel:
    """The model of a bundle at (height, width) of `sizes`, the first the default; at a phone's usual ones when absent."""
    plan = read(bundle)
    possible = plan.sizes()
    sizes = sizes or [size for size in PHONE_SIZES if size in possible] or possible
    if unknown := [size for size in sizes if size not in possible]:
        raise Refused(f"sizes of {bundle} are among {possible}, found {unknown}")
    shapes = [(1, 3, *size) for size in sizes]
    shape = shapes[0] if len(shapes) == 1 else ct.EnumeratedShapes(shapes=shapes, default=shapes[0])
    model = ct.convert(
        program(plan, list(plan.taps)),
        convert_to="mlprogram",
        minimum_deployment_target=TARGET,
        inputs=[ct.TensorType(name="image", shape=shape)],
        skip_model_load=True,
    )
    model.short_description = f"Feature maps of {bundle.name}: {', '.join(plan.taps)}"
    return model


def size(text: str) -> tuple[int, int]:
    width, height = text.split("x")
    return int(height), int(width)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="an .mlpackage")
    parser.add_argument("--size", type=size, nargs="+", help="WIDTHxHEIGHT of the network's input, the default first")
    arguments = parser.parse_args()
    try:
        model = export(arguments.bundle, arguments.size)
    except Refused as reason:
        raise SystemExit(f"export.py: {reason}") from None
    model.save(str(arguments.out))


if __name__ == "__main__":
    main()
