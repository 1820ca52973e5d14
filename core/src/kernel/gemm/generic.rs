//! The specification, in plain Rust.

use super::{Requantise, Rows, RowsMut, Weights, check, place};

pub(super) fn gemm(
    a: &Rows<'_>,
    weights: &Weights<'_>,
    requantise: &Requantise<'_>,
    residual: Option<&Rows<'_>>,
    out: &mut RowsMut<'_>,
) {
    check(a, weights, requantise, residual, out);
    let groups = weights.inputs / 4;
    for i in 0..a.count {
        let row = &a.data[i * a.stride..][..weights.inputs];
        for n in 0..weights.outputs {
            let products = row.iter().enumerate().map(|(k, &value)| {
                let weight = weights.packed[place(n, k, groups)].cast_signed();
                i32::from(value) * i32::from(weight)
            });
            let sum = weights.bias[n].wrapping_add(products.sum());
            let residual = residual.map(|rows| rows.data[i * rows.stride + n]);
            out.data[i * out.stride + n] = requantise.apply(n, sum, residual);
        }
    }
}
