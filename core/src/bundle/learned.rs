//! What a recipe learned, as bytes: the sections `whit` and `code` of a bundle.
//!
//! A whitening: channels and dim as u32, the mean, the projection. `whit`: one a part. `code`: for
//! each part the number of its codebooks as u32, and each as a whitening, the number of centres and
//! of Gaussians (that number or 0) as u32, the centres, the weights and deviations of Gaussians;
//! behind the parts the joint projection, or nothing. All numbers are little-endian, values f32.

use crate::descriptor::{Codebook, Learned, Mixture, Whitening};

pub(super) fn whitenings_to_bytes(whitenings: &[Whitening]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for whitening in whitenings {
        put_whitening(&mut bytes, whitening);
    }
    bytes
}

pub(super) fn whitenings_from_bytes(mut bytes: &[u8]) -> Option<Vec<Whitening>> {
    let mut whitenings = Vec::new();
    while !bytes.is_empty() {
        whitenings.push(take_whitening(&mut bytes)?);
    }
    Some(whitenings)
}

/// Nothing where there is neither a codebook nor a joint projection.
pub(super) fn codebooks_to_bytes(learned: &Learned, parts: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    if learned.joint.is_none() && learned.codebooks.iter().all(Vec::is_empty) {
        return bytes;
    }
    for part in 0..parts {
        let codebooks = learned.codebooks(part);
        put_number(&mut bytes, codebooks.len());
        for codebook in codebooks {
            put_whitening(&mut bytes, codebook.projection());
            let centres = codebook.centres().len() / codebook.local();
            put_number(&mut bytes, centres);
            put_number(&mut bytes, codebook.mixture().map_or(0, |_| centres));
            put_values(&mut bytes, codebook.centres());
            if let Some(mixture) = codebook.mixture() {
                put_values(&mut bytes, &mixture.weights);
                put_values(&mut bytes, &mixture.deviations);
            }
        }
    }
    if let Some(joint) = &learned.joint {
        put_whitening(&mut bytes, joint);
    }
    bytes
}

type Codebooks = (Vec<Vec<Codebook>>, Option<Whitening>);

pub(super) fn codebooks_from_bytes(mut bytes: &[u8], parts: usize) -> Option<Codebooks> {
    let bytes = &mut bytes;
    let mut all = Vec::new();
    for _ in 0..parts {
        let mut codebooks = Vec::new();
        for _ in 0..take_number(bytes)? {
            let projection = take_whitening(bytes)?;
            let (centres, gaussians) = (take_number(bytes)?, take_number(bytes)?);
            let length = centres.checked_mul(projection.dim())?;
            let values = take_values(bytes, length)?;
            let mixture = match gaussians {
                0 => None,
                _ if gaussians == centres => Some(Mixture {
                    weights: take_values(bytes, centres)?,
                    deviations: take_values(bytes, length)?,
                }),
                _ => return None,
            };
            codebooks.push(Codebook::new(projection, values, mixture)?);
        }
        all.push(codebooks);
    }
    let joint = if bytes.is_empty() {
        None
    } else {
        Some(take_whitening(bytes)?)
    };
    bytes.is_empty().then_some((all, joint))
}

fn put_number(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend((number as u32).to_le_bytes());
}

fn put_values(bytes: &mut Vec<u8>, values: &[f32]) {
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn put_whitening(bytes: &mut Vec<u8>, whitening: &Whitening) {
    put_number(bytes, whitening.channels());
    put_number(bytes, whitening.dim());
    put_values(bytes, whitening.mean());
    put_values(bytes, &whitening.projection());
}

fn take_number(bytes: &mut &[u8]) -> Option<usize> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*number) as usize)
}

fn take_values(bytes: &mut &[u8], count: usize) -> Option<Vec<f32>> {
    let values = take_words(bytes, count)?.iter().copied();
    Some(values.map(f32::from_le_bytes).collect())
}

fn take_words<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [[u8; 4]]> {
    // Split before anything is allocated: a hostile length fails here.
    let (block, rest) = bytes.split_at_checked(count.checked_mul(4)?)?;
    *bytes = rest;
    Some(block.as_chunks().0)
}

fn take_whitening(bytes: &mut &[u8]) -> Option<Whitening> {
    let (channels, dim) = (take_number(bytes)?, take_number(bytes)?);
    let mean = take_values(bytes, channels)?;
    Whitening::from_bytes(mean, take_words(bytes, channels.checked_mul(dim)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whitening(channels: usize, dim: usize) -> Whitening {
        let projection: Vec<f32> = (0..channels * dim).map(|v| v as f32).collect();
        Whitening::new(vec![0.5; channels], &projection).unwrap()
    }

    fn learned() -> Learned {
        let mixture = Mixture {
            weights: vec![0.25, 0.75],
            deviations: vec![1.0, 2.0, 3.0, 4.0],
        };
        let centres = vec![1.0, -1.0, 0.5, 2.0];
        let codebook = |mixture| Codebook::new(whitening(3, 2), centres.clone(), mixture).unwrap();
        Learned {
            whitenings: vec![whitening(3, 2), whitening(4, 1), whitening(4, 2)],
            codebooks: vec![
                vec![],
                vec![codebook(Some(mixture))],
                vec![codebook(None), codebook(None)],
            ],
            joint: Some(whitening(5, 3)),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let learned = learned();
        let bytes = whitenings_to_bytes(&learned.whitenings);
        assert_eq!(
            whitenings_from_bytes(&bytes),
            Some(learned.whitenings.clone())
        );
        let bytes = codebooks_to_bytes(&learned, 3);
        let (codebooks, joint) = codebooks_from_bytes(&bytes, 3).unwrap();
        assert_eq!(
            (codebooks, joint),
            (learned.codebooks.clone(), learned.joint.clone())
        );
        assert!(codebooks_to_bytes(&Learned::from(learned.whitenings), 3).is_empty());
    }

    #[test]
    fn hostile_lengths_are_refused_before_allocation() {
        let mut bytes = whitenings_to_bytes(&[whitening(2, 1)]);
        assert!(whitenings_from_bytes(&bytes[..5]).is_none());
        bytes[..8].copy_from_slice(&[0xff; 8]);
        assert!(whitenings_from_bytes(&bytes).is_none());
    }

    #[test]
    fn every_cut_and_every_wild_number_is_refused() {
        let whole = codebooks_to_bytes(&learned(), 3);
        for end in 0..whole.len() {
            let cut = codebooks_from_bytes(&whole[..end], 3);
            // Whole parts without their joint projection are a sound section of another recipe.
            assert!(cut.is_none_or(|(_, joint)| joint.is_none()), "{end}");
        }
        for at in (0..whole.len()).step_by(4) {
            let mut wild = whole.clone();
            wild[at..at + 4].copy_from_slice(&[0xff; 4]);
            assert!(codebooks_from_bytes(&wild, 3).is_none(), "{at}");
        }
        assert!(codebooks_from_bytes(&whole, 4).is_none());
    }
}
