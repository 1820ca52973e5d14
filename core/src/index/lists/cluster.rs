//! Centroids of the lists: k-means (Lloyd, *Least squares quantization in PCM*, 1982) in numbers that add up to the
//! same in any order, so that equal rows give equal lists on every machine and with any number of threads.

use super::encode::Rows;
use crate::kernel::{Cpu, dot};

/// Rows a list that the centroids are trained on.
const SAMPLE: usize = 48;
const ROUNDS: usize = 10;
/// Of these, rounds at the end that only move centroids.
const SETTLING: usize = 4;
/// A list whose squared distances add up to so many times the mean is parted.
const PARTED_AT: f64 = 2.0;
/// Weights of rows are integers of this precision.
const WEIGHT_BITS: u32 = 24;
/// Rows that one task assigns.
const BATCH: usize = 1024;

/// A centroid a list.
#[derive(Clone, Debug)]
pub(super) struct Centroids {
    dim: usize,
    /// `dim` numbers each.
    pub(super) rows: Vec<i8>,
    /// A centroid is this times its numbers.
    pub(super) scales: Vec<f32>,
    /// Half of the squared length.
    half_squares: Vec<f32>,
}

impl Centroids {
    /// At most `lists` centroids for rows of which there is one at least.
    pub(super) fn train(cpu: Cpu, rows: &Rows<'_>, lists: usize) -> Self {
        let spread = |count: usize| {
            let count = count.min(rows.len());
            (0..count).map(move |i| i * rows.len() / count)
        };
        let mut centroids = Self::empty(rows.dim);
        for row in spread(lists) {
            centroids.push(rows.row(row).iter().map(|&q| f64::from(q) * rows.unit(row)));
        }
        let sample: Vec<u32> = spread(lists * SAMPLE).map(|row| row as u32).collect();
        for round in 0..ROUNDS {
            let nearest = centroids.assign(cpu, rows, &sample);
            centroids = centroids.moved(rows, &sample, &nearest);
            if round < ROUNDS - SETTLING {
                centroids.part(rows, &sample, &nearest);
            }
        }
        centroids
    }

    /// Lists that hold too much are parted: the smallest lists give up their place, to start anew at the row that is
    /// furthest from its centroid there. Without this some lists stay a union of far clusters while others share one.
    fn part(&mut self, rows: &Rows<'_>, sample: &[u32], nearest: &[u32]) {
        let mut spread = vec![0.0; self.len()];
        let mut furthest = vec![(f32::NEG_INFINITY, 0); self.len()];
        let mut counts = vec![0u32; self.len()];
        for (&row, &list) in sample.iter().zip(nearest) {
            let squared = self.squared_distance(rows, row as usize, list as usize);
            spread[list as usize] += f64::from(squared);
            counts[list as usize] += 1;
            if squared > furthest[list as usize].0 {
                furthest[list as usize] = (squared, row);
            }
        }
        let mean = spread.iter().sum::<f64>() / self.len() as f64;
        let mut widest: Vec<usize> = (0..self.len())
            .filter(|&list| spread[list] > PARTED_AT * mean)
            .collect();
        widest.sort_by(|&a, &b| spread[b].total_cmp(&spread[a]).then(a.cmp(&b)));
        let mut smallest: Vec<usize> = (0..self.len()).collect();
        smallest.sort_by_key(|&list| (counts[list], list));
        for (&wide, &small) in widest.iter().zip(&smallest[..self.len() / 8]) {
            let row = furthest[wide].1 as usize;
            let unit = rows.unit(row);
            self.put(small, rows.row(row).iter().map(|&q| f64::from(q) * unit));
        }
    }

    /// From a row, a unit vector, to a centroid.
    fn squared_distance(&self, rows: &Rows<'_>, row: usize, list: usize) -> f32 {
        let products = rows.row(row).iter().zip(self.row(list));
        let dot: i32 = products.map(|(&x, &c)| i32::from(x) * i32::from(c)).sum();
        let dot = dot as f32 * self.scales[list] * rows.units[row];
        1.0 - 2.0 * dot + 2.0 * self.half_squares[list]
    }

    fn empty(dim: usize) -> Self {
        Self {
            dim,
            rows: Vec::new(),
            scales: Vec::new(),
            half_squares: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.scales.len()
    }

    pub(super) fn row(&self, list: usize) -> &[i8] {
        &self.rows[list * self.dim..][..self.dim]
    }

    fn push(&mut self, centroid: impl Iterator<Item = f64> + Clone) {
        let list = self.len();
        self.rows.resize(self.rows.len() + self.dim, 0);
        self.scales.push(0.0);
        self.half_squares.push(0.0);
        self.put(list, centroid);
    }

    /// Replaces a centroid; it is rounded to 8 bits.
    fn put(&mut self, list: usize, centroid: impl Iterator<Item = f64> + Clone) {
        let largest = centroid
            .clone()
            .fold(0.0f64, |largest, v| largest.max(v.abs()));
        let scale = (largest / 127.0) as f32;
        let step = f64::from(scale);
        let row = &mut self.rows[list * self.dim..][..self.dim];
        for (q, v) in row.iter_mut().zip(centroid) {
            *q = if step > 0.0 {
                (v / step).round() as i8
            } else {
                0
            };
        }
        let squares: i64 = row.iter().map(|&q| i64::from(q) * i64::from(q)).sum();
        self.scales[list] = scale;
        self.half_squares[list] = (0.5 * squares as f64 * step * step) as f32;
    }

    /// The nearest centroid of each of the rows named, by Euclidean distance, the first of equals.
    pub(super) fn assign(&self, cpu: Cpu, rows: &Rows<'_>, named: &[u32]) -> Vec<u32> {
        let assign_batch = |named: &[u32]| -> Vec<u32> {
            let kernel = dot::dot_rows(cpu);
            let mut dots = vec![0; self.len()];
            let nearest = |&row: &u32| {
                kernel(rows.row(row as usize), &self.rows, &mut dots);
                self.nearest(&dots, rows.unit(row as usize) as f32)
            };
            named.iter().map(nearest).collect()
        };
        #[cfg(feature = "threads")]
        {
            use rayon::prelude::*;
            let batches: Vec<Vec<u32>> = named.par_chunks(BATCH).map(assign_batch).collect();
            batches.concat()
        }
        #[cfg(not(feature = "threads"))]
        named.chunks(BATCH).flat_map(assign_batch).collect()
    }

    fn nearest(&self, dots: &[i32], unit: f32) -> u32 {
        let (mut nearest, mut best) = (0, f32::NEG_INFINITY);
        let centroids = self.scales.iter().zip(&self.half_squares);
        for (list, (&dot, (&scale, &half_square))) in dots.iter().zip(centroids).enumerate() {
            let score = dot as f32 * (scale * unit) - half_square;
            if score > best {
                (nearest, best) = (list as u32, score);
            }
        }
        nearest
    }

    /// Each centroid in the mean of its rows; one without rows stays.
    fn moved(&self, rows: &Rows<'_>, sample: &[u32], nearest: &[u32]) -> Self {
        let mut sums = vec![0i64; self.rows.len()];
        let mut counts = vec![0u32; self.len()];
        for (&row, &list) in sample.iter().zip(nearest) {
            let weight = (rows.unit(row as usize) * f64::from(1u32 << WEIGHT_BITS)).round() as i64;
            let sums = &mut sums[list as usize * self.dim..][..self.dim];
            for (sum, &q) in sums.iter_mut().zip(rows.row(row as usize)) {
                *sum += i64::from(q) * weight;
            }
            counts[list as usize] += 1;
        }
        let mut moved = Self::empty(self.dim);
        for (list, &count) in counts.iter().enumerate() {
            if count == 0 {
                let scale = f64::from(self.scales[list]);
                moved.push(self.row(list).iter().map(|&q| f64::from(q) * scale));
            } else {
                let unit = 1.0 / (f64::from(count) * f64::from(1u32 << WEIGHT_BITS));
                moved.push(
                    sums[list * self.dim..][..self.dim]
                        .iter()
                        .map(|&sum| sum as f64 * unit),
                );
            }
        }
        moved
    }
}
