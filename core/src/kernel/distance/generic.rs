//! The specification, in plain Rust.

use super::{LANES, finish};

pub(super) fn square_distances(rows: &[f32], centre: &[f64], squares: &mut [f64]) {
    super::check_lengths(rows, centre, squares);
    if centre.is_empty() {
        squares.fill(0.0);
        return;
    }
    let (middles, _) = centre.as_chunks::<LANES>();
    for (row, square) in rows.chunks_exact(centre.len()).zip(squares) {
        let mut lanes = [0.0f64; LANES];
        let (values, _) = row.as_chunks::<LANES>();
        for (values, middles) in values.iter().zip(middles) {
            for lane in 0..LANES {
                let difference = f64::from(values[lane]) - middles[lane];
                lanes[lane] += difference * difference;
            }
        }
        *square = finish(lanes, row, centre);
    }
}
