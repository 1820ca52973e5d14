//! Rows of weights to signed bytes, symmetric, with the scale that loses least.
//!
//! A row is made *pair safe*: of two neighbours (in the order in which kernels read them) the
//! positive ones add up to 128 at most, the negative ones to -128 at least. Then AVX2's product of
//! two pairs of bytes cannot saturate, and the fast instruction is exact. The price is a fraction
//! of a bit in rows with large neighbours; the search below pays it where it costs least.

/// Candidate scales between the largest that can be needed and half of it.
const CANDIDATES: usize = 32;

/// Quantises one row. `importance` weighs the squared error of each weight (the mean square of what
/// it is multiplied with); `pairs` gives, for each place of the row, the place of its neighbour.
///
/// `real = byte · scale`; a row of zeros gets the scale `least`, others at least that.
pub(super) fn quantise_row(
    row: &[f32],
    importance: &[f32],
    pairs: &[Option<usize>],
    least: f32,
) -> (Vec<i8>, f32) {
    let peak = row
        .iter()
        .fold(0.0f32, |peak, weight| peak.max(weight.abs()));
    if peak == 0.0 {
        return (vec![0; row.len()], least);
    }
    // At this scale no pair is unsafe before rounding, and rounding is repaired.
    let widest = row
        .iter()
        .zip(pairs)
        .filter_map(|(&weight, &other)| Some(weight + row[other?]))
        .fold(0.0f32, |widest, sum| widest.max(sum.abs()));
    let largest = (peak / 127.0).max(widest / 128.0);
    let mut best = (f64::INFINITY, Vec::new(), largest);
    for candidate in 0..CANDIDATES {
        let scale = largest * (1.0 - 0.5 * candidate as f32 / CANDIDATES as f32);
        let scale = scale.max(least);
        let mut bytes: Vec<i32> = row
            .iter()
            .map(|weight| (weight / scale).round_ties_even().clamp(-127.0, 127.0) as i32)
            .collect();
        repair(&mut bytes, row, pairs, scale);
        let error: f64 = bytes
            .iter()
            .zip(row)
            .zip(importance)
            .map(|((&byte, &weight), &importance)| {
                let error = f64::from(byte as f32 * scale - weight);
                error * error * f64::from(importance)
            })
            .sum();
        // Where activations overflow no error is a number, and the first candidate stays.
        if candidate == 0 || error < best.0 {
            best = (error, bytes, scale);
        }
    }
    let (_, bytes, scale) = best;
    (bytes.into_iter().map(|byte| byte as i8).collect(), scale)
}

/// Takes from unsafe pairs what is too much, from the one that was rounded up further first.
fn repair(bytes: &mut [i32], row: &[f32], pairs: &[Option<usize>], scale: f32) {
    for (at, &other) in pairs.iter().enumerate() {
        let Some(other) = other.filter(|&other| other > at) else {
            continue;
        };
        let sign = bytes[at].signum();
        if sign != bytes[other].signum() {
            continue;
        }
        while (bytes[at] + bytes[other]).abs() > 128 {
            // How far each lies beyond its real value, away from zero.
            let beyond = |place: usize| (bytes[place] as f32 - row[place] / scale) * sign as f32;
            let place = if beyond(at) >= beyond(other) {
                at
            } else {
                other
            };
            bytes[place] -= sign;
        }
    }
}

/// Neighbours of a row that is multiplied in its own order.
pub(super) fn neighbours(length: usize) -> Vec<Option<usize>> {
    (0..length)
        .map(|at| Some(at ^ 1).filter(|&other| other < length))
        .collect()
}

/// Neighbours of a depthwise window: one above the other, in fours from the top.
pub(super) fn depthwise_neighbours(size: usize) -> Vec<Option<usize>> {
    (0..size * size)
        .map(|at| {
            let other = ((at / size) ^ 1) * size + at % size;
            Some(other).filter(|&other| other < size * size)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_are_pair_safe_and_close(row in proptest::collection::vec(-3.0f32..3.0, 1..40)) {
            let pairs = neighbours(row.len());
            let (bytes, scale) = quantise_row(&row, &vec![1.0; row.len()], &pairs, 1e-12);
            let peak = row.iter().fold(0.0f32, |peak, weight| peak.max(weight.abs()));
            for (at, pair) in bytes.chunks(2).enumerate() {
                let sum = |sign: i32| -> i32 {
                    pair.iter().map(|&byte| (i32::from(byte) * sign).max(0)).sum()
                };
                prop_assert!(sum(1) <= 128 && sum(-1) <= 128, "pair {at}: {pair:?}");
            }
            for (&byte, &weight) in bytes.iter().zip(&row) {
                let error = (f32::from(byte) * scale - weight).abs();
                prop_assert!(error <= 0.51 * peak, "{weight} became {byte} at {scale}");
            }
        }
    }

    #[test]
    fn a_row_of_zeros_stays_zero() {
        let row = quantise_row(&[0.0; 3], &[1.0; 3], &neighbours(3), 0.5);
        assert_eq!(row, (vec![0; 3], 0.5));
    }

    #[test]
    fn a_row_keeps_its_length_where_no_error_is_a_number() {
        for importance in [f32::INFINITY, f32::NAN] {
            let (bytes, _) = quantise_row(&[0.3, 1e30], &[importance; 2], &neighbours(2), 1e-20);
            assert_eq!(bytes.len(), 2);
        }
    }

    #[test]
    fn windows_pair_rows_in_fours() {
        let pairs = depthwise_neighbours(3);
        assert_eq!((pairs[0], pairs[4], pairs[7]), (Some(3), Some(1), None));
        assert_eq!(depthwise_neighbours(5)[22], None);
        assert_eq!(depthwise_neighbours(5)[12], Some(17));
    }
}
