//! Constants of an ONNX file. A tensor is read only when its data is as long as its shape says, so
//! that no shape can ask for memory that the file does not pay for.

use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::DataType;

/// A constant, row-major.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub(super) dims: Vec<usize>,
    pub(super) data: Data,
    /// The 8-bit weights that the floats were made from, with a scale each of the first axis.
    pub(super) quantised: Option<(Vec<i8>, Vec<f32>)>,
}

#[derive(Clone, Debug)]
pub(super) enum Data {
    Float(Vec<f32>),
    Integer(Vec<i64>, Kind),
}

/// What matters of an integer type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Unsigned8,
    Signed8,
    Wide,
}

impl Tensor {
    /// `Err` says what was expected and what was found.
    pub(super) fn read(proto: &TensorProto) -> Result<Self, String> {
        if proto.data_location == Some(1) || !proto.external_data.is_empty() {
            return Err("its data lies in another file; save the model as one file".to_owned());
        }
        let mut dims = Vec::new();
        let mut count = 1usize;
        for &dim in &proto.dims {
            let size = usize::try_from(dim).ok();
            let product = size.and_then(|size| count.checked_mul(size));
            let (Some(size), Some(product)) = (size, product) else {
                return Err(format!("no tensor has the shape {:?}", short(&proto.dims)));
            };
            dims.push(size);
            count = product;
        }
        let kind = DataType::try_from(proto.data_type)
            .map_err(|_| format!("data type {} is not known", proto.data_type))?;
        let data = read_data(proto, kind).ok_or_else(|| {
            format!(
                "floats or integers expected, found {}",
                kind.as_str_name().to_lowercase()
            )
        })?;
        let found = match &data {
            Data::Float(values) => values.len(),
            Data::Integer(values, _) => values.len(),
        };
        if found != count {
            return Err(format!(
                "{count} values expected from the shape {:?}, found {found}",
                short(&proto.dims)
            ));
        }
        Ok(Self {
            dims,
            data,
            quantised: None,
        })
    }

    pub(super) fn floats(&self) -> Option<&[f32]> {
        match &self.data {
            Data::Float(values) => Some(values),
            Data::Integer(..) => None,
        }
    }

    pub(super) fn integers(&self) -> Option<&[i64]> {
        match &self.data {
            Data::Integer(values, _) => Some(values),
            Data::Float(_) => None,
        }
    }

    /// The floats, when every one is finite.
    pub(super) fn finite(&self) -> Result<&[f32], String> {
        let values = self.floats().ok_or("floats expected, found integers")?;
        match values.iter().find(|value| !value.is_finite()) {
            None => Ok(values),
            Some(value) => Err(format!("finite numbers expected, found {value}")),
        }
    }

    /// The one number of a scalar or a tensor of one element.
    pub(super) fn scalar(&self) -> Option<f32> {
        match &self.data {
            Data::Float(values) if values.len() == 1 => Some(values[0]),
            Data::Integer(values, _) if values.len() == 1 => Some(values[0] as f32),
            _ => None,
        }
    }

    /// What DequantizeLinear makes of integers: `(q - zero) · scale`, along `axis` where scales are
    /// many.
    pub(super) fn dequantised(
        &self,
        scales: &Self,
        zeros: Option<&Self>,
        axis: i64,
    ) -> Result<Self, String> {
        let Data::Integer(values, kind) = &self.data else {
            return Err("integers expected, found floats".to_owned());
        };
        let scales = scales.finite()?;
        let zeros = match zeros {
            None => vec![0; scales.len()],
            Some(zeros) => zeros
                .integers()
                .ok_or("an integer zero point expected")?
                .to_vec(),
        };
        if zeros.len() != scales.len() || scales.iter().any(|&scale| scale <= 0.0) {
            return Err("scales above 0 and as many zero points expected".to_owned());
        }
        let axis = match axis {
            axis if axis < 0 => axis + self.dims.len() as i64,
            axis => axis,
        };
        let along = usize::try_from(axis)
            .ok()
            .and_then(|axis| self.dims.get(axis).copied());
        let inner = match (scales.len(), along) {
            (1, _) => values.len().max(1),
            (count, Some(size)) if count == size => self.dims[axis as usize + 1..]
                .iter()
                .product::<usize>()
                .max(1),
            (count, _) => {
                return Err(format!(
                    "{count} scales do not fit axis {axis} of {:?}",
                    self.dims
                ));
            }
        };
        let floats = values.iter().enumerate().map(|(at, &value)| {
            let channel = at / inner % scales.len();
            // The difference of what stands in 8 or 32 bits is exact in double precision.
            ((value as f64 - zeros[channel] as f64) * f64::from(scales[channel])) as f32
        });
        let symmetric = *kind == Kind::Signed8 && zeros.iter().all(|&zero| zero == 0);
        let outputs = self.dims.first().copied().unwrap_or_default();
        let quantised = (symmetric && (scales.len() == 1 || axis == 0)).then(|| {
            let each = match scales {
                [one] => vec![*one; outputs],
                many => many.to_vec(),
            };
            (values.iter().map(|&value| value as i8).collect(), each)
        });
        Ok(Self {
            dims: self.dims.clone(),
            data: Data::Float(floats.collect()),
            quantised,
        })
    }
}

fn read_data(proto: &TensorProto, kind: DataType) -> Option<Data> {
    let raw = &proto.raw_data;
    let narrow = || proto.int32_data.iter().map(|&value| i64::from(value));
    Some(match kind {
        DataType::Float if raw.is_empty() => Data::Float(proto.float_data.clone()),
        DataType::Float => Data::Float(words(raw, f32::from_le_bytes)?),
        DataType::Double if raw.is_empty() => Data::Float(
            proto
                .double_data
                .iter()
                .map(|&value| value as f32)
                .collect(),
        ),
        DataType::Double => Data::Float(words(raw, |word| f64::from_le_bytes(word) as f32)?),
        DataType::Float16 if raw.is_empty() => {
            let halves = proto.int32_data.iter();
            Data::Float(halves.map(|&bits| half(bits as u16)).collect())
        }
        DataType::Float16 => Data::Float(words(raw, |word| half(u16::from_le_bytes(word)))?),
        DataType::Uint8 | DataType::Bool if raw.is_empty() => {
            Data::Integer(narrow().map(|v| v & 0xff).collect(), Kind::Unsigned8)
        }
        DataType::Uint8 | DataType::Bool => {
            Data::Integer(raw.iter().map(|&v| v.into()).collect(), Kind::Unsigned8)
        }
        DataType::Int8 if raw.is_empty() => Data::Integer(
            narrow().map(|v| i64::from(v as i8)).collect(),
            Kind::Signed8,
        ),
        DataType::Int8 => Data::Integer(
            raw.iter().map(|&v| i64::from(v as i8)).collect(),
            Kind::Signed8,
        ),
        DataType::Int32 if raw.is_empty() => Data::Integer(narrow().collect(), Kind::Wide),
        DataType::Int32 => Data::Integer(
            words(raw, |word| i32::from_le_bytes(word).into())?,
            Kind::Wide,
        ),
        DataType::Int64 if raw.is_empty() => Data::Integer(proto.int64_data.clone(), Kind::Wide),
        DataType::Int64 => Data::Integer(words(raw, i64::from_le_bytes)?, Kind::Wide),
        _ => return None,
    })
}

/// Little-endian words; `None` when the last one is cut.
fn words<const N: usize, T>(raw: &[u8], read: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
    let (words, rest) = raw.as_chunks::<N>();
    rest.is_empty()
        .then(|| words.iter().copied().map(read).collect())
}

/// Half precision to single.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2.0f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2.0f32.powi(exponent - 15),
    }
}

/// Shapes come from files: a message shows the first dimensions only.
fn short(dims: &[i64]) -> &[i64] {
    &dims[..dims.len().min(8)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_read() {
        let pairs = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x0001, 2.0f32.powi(-24)),
            (0x7bff, 65504.0),
            (0x3555, 0.333_251_95),
        ];
        for (bits, value) in pairs {
            assert_eq!(half(bits), value);
        }
        assert!(half(0x7e00).is_nan());
    }

    #[test]
    fn shapes_that_the_data_does_not_fill_are_refused() {
        for dims in [vec![-1], vec![i64::MAX, i64::MAX], vec![1 << 40], vec![3]] {
            let proto = TensorProto {
                dims,
                data_type: DataType::Float as i32,
                raw_data: vec![0; 8],
                ..TensorProto::default()
            };
            assert!(Tensor::read(&proto).is_err());
        }
    }
}
