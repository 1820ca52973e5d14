//! Planes of samples, and the means of their squares.

/// Samples of one kind, row by row.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// From the first sample on; the last row may end with its last sample.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub row_stride: usize,
    /// Bytes from one sample to the next: 1 for planes of their own, 2 for interleaved chroma.
    pub pixel_stride: usize,
}

/// The means of one row of squares of 1, 2, 4 or 8 samples a side, rounded, halves up.
pub(super) fn means(
    plane: &Plane<'_>,
    [columns, rows]: [u32; 2],
    square: u32,
    row: u32,
    out: &mut Vec<u8>,
) {
    let lines = row * square..((row + 1) * square).min(rows);
    let line = |y: u32| &plane.data[y as usize * plane.row_stride..];
    let columns = columns as usize;
    out.clear();
    if square == 1 {
        return samples(line(row), plane.pixel_stride, columns, out);
    }
    let mut sums = vec![0u16; columns];
    let mut one = Vec::with_capacity(columns);
    for y in lines.clone() {
        one.clear();
        samples(line(y), plane.pixel_stride, columns, &mut one);
        for (sum, &sample) in sums.iter_mut().zip(&one) {
            *sum += u16::from(sample);
        }
    }
    match square {
        2 => fold::<2>(&sums, lines.len(), out),
        4 => fold::<4>(&sums, lines.len(), out),
        _ => fold::<8>(&sums, lines.len(), out),
    }
}

/// The first `columns` samples of a line that are `stride` bytes apart.
fn samples(line: &[u8], stride: usize, columns: usize, out: &mut Vec<u8>) {
    match stride {
        1 => out.extend(&line[..columns]),
        2 => apart::<2>(line, columns, out),
        4 => apart::<4>(line, columns, out),
        _ => out.extend(line.iter().step_by(stride).take(columns)),
    }
}

/// The same for a stride that is known.
fn apart<const STRIDE: usize>(line: &[u8], columns: usize, out: &mut Vec<u8>) {
    // The last row may end with its last sample.
    let (whole, rest) = line.as_chunks::<STRIDE>();
    out.extend(whole.iter().take(columns).map(|chunk| chunk[0]));
    if out.len() < columns {
        out.extend(rest.first());
    }
}

/// The means of squares from the sums of their columns, each over `rows` samples.
fn fold<const SQUARE: usize>(sums: &[u16], rows: usize, out: &mut Vec<u8>) {
    let mean = |sums: &[u16], count: u32| {
        let sum: u32 = sums.iter().map(|&sum| u32::from(sum)).sum();
        ((sum + count / 2) / count) as u8
    };
    let (squares, rest) = sums.as_chunks::<SQUARE>();
    if rows == SQUARE {
        // A power of two that is known: no division.
        out.extend(
            squares
                .iter()
                .map(|sums| mean(sums, (SQUARE * SQUARE) as u32)),
        );
    } else {
        out.extend(
            squares
                .iter()
                .map(|sums| mean(sums, (SQUARE * rows) as u32)),
        );
    }
    if !rest.is_empty() {
        out.push(mean(rest, (rest.len() * rows) as u32));
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Any size, any strides, last rows that end with their last sample: against sums of single samples.
        #[test]
        fn means_are_those_of_the_definition(
            columns in 1u32..40,
            rows in 1u32..20,
            pixel_stride in 1usize..6,
            gap in 0usize..9,
            square in prop_oneof![Just(1u32), Just(2), Just(4), Just(8)],
            noise in vec(any::<u8>(), 6 * 40 * 20 + 9 * 20),
        ) {
            let last = (columns as usize - 1) * pixel_stride;
            let row_stride = last + 1 + gap;
            let data = &noise[..row_stride * (rows as usize - 1) + last + 1];
            let plane = Plane { data, row_stride, pixel_stride };
            let mut found = vec![9];
            for row in 0..rows.div_ceil(square) {
                means(&plane, [columns, rows], square, row, &mut found);
                let expected: Vec<u8> = (0..columns.div_ceil(square)).map(|column| {
                    let of = |at: u32, end: u32| at * square..((at + 1) * square).min(end);
                    let places = of(row, rows).flat_map(|y| of(column, columns).map(move |x| (y, x)));
                    let samples: Vec<f64> = places
                        .map(|(y, x)| f64::from(data[y as usize * row_stride + x as usize * pixel_stride]))
                        .collect();
                    (samples.iter().sum::<f64>() / samples.len() as f64 + 0.5).floor() as u8
                }).collect();
                prop_assert_eq!(&found, &expected);
            }
        }
    }
}
