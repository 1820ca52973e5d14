//! Constants: weights, biases.

use super::schema::{Tensor, element};

/// Weights in float, and in the 8 bits that the file has them in: `place` says where each stands.
type Constants = (Vec<f32>, Option<(Vec<i8>, Vec<f32>)>);

pub(super) fn constants(
    tensor: &Tensor<'_>,
    count: usize,
    outputs: usize,
    place: impl Fn(usize) -> usize,
) -> Result<Constants, String> {
    let width = if tensor.element == element::FLOAT32 {
        4
    } else {
        1
    };
    if count.checked_mul(width) != Some(tensor.data.len()) {
        return Err(format!(
            "{count} weights expected, found {} bytes",
            tensor.data.len()
        ));
    }
    if tensor.element == element::FLOAT32 {
        let floats = numbers(tensor, count)?;
        return Ok(((0..count).map(|at| floats[place(at)]).collect(), None));
    }
    let stored: Vec<f32> = match tensor.scales.len() {
        count if count == 1 || count == outputs => {
            let scales = tensor.scales.iter();
            scales.map(|&scale| f32::from_le_bytes(scale)).collect()
        }
        count => return Err(format!("a scale, or {outputs}, expected, found {count}")),
    };
    let scales: Vec<f32> = stored.iter().cycle().take(outputs).copied().collect();
    if !scales
        .iter()
        .all(|scale| scale.is_finite() && *scale >= 0.0)
    {
        return Err("scales from 0 on expected".to_owned());
    }
    let row = count / outputs;
    match tensor.element {
        element::INT8 if tensor.zeros.iter().all(|&zero| zero == [0; 8]) => {
            let bytes: Vec<i8> = (0..count)
                .map(|at| tensor.data[place(at)].cast_signed())
                .collect();
            let floats = bytes
                .iter()
                .enumerate()
                .map(|(at, &byte)| f32::from(byte) * scales[at / row]);
            Ok((floats.collect(), Some((bytes, scales))))
        }
        element::UINT8 => {
            let zero = tensor.zero(0).unwrap_or(0).clamp(0, 255) as f32;
            let real = |at: usize| (f32::from(tensor.data[place(at)]) - zero) * scales[at / row];
            Ok(((0..count).map(real).collect(), None))
        }
        other => Err(format!(
            "weights of float or 8 bits expected, found element type {other}"
        )),
    }
}

/// A constant of `count` floats, or of integers with their scales.
pub(super) fn numbers(tensor: &Tensor<'_>, count: usize) -> Result<Vec<f32>, String> {
    let (words, _) = tensor.data.as_chunks::<4>();
    if words.len() != count {
        return Err(format!("{count} numbers expected, found {}", words.len()));
    }
    let values: Vec<f32> = match tensor.element {
        element::FLOAT32 => words.iter().map(|&word| f32::from_le_bytes(word)).collect(),
        element::INT32 => {
            let scale = |at: usize| match tensor.scales.len() {
                1 => tensor.scale(0),
                _ => tensor.scale(at),
            };
            let real = |(at, &word): (usize, &[u8; 4])| {
                Some((f64::from(i32::from_le_bytes(word)) * f64::from(scale(at)?)) as f32)
            };
            let values = words.iter().enumerate().map(real).collect::<Option<_>>();
            values.ok_or("a bias without its scales")?
        }
        other => return Err(format!("numbers expected, found element type {other}")),
    };
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(values),
        false => Err("finite numbers expected".to_owned()),
    }
}
