//! Same-figure mining: which photos of a catalogue show the same thing, without labels.
//!
//! Photos that are among each other's nearest and alike enough are candidates; the geometric check of their local
//! features decides. What holds together becomes a group, what is the same photo again a set of near duplicates.

use rayon::prelude::*;

use crate::descriptor::LocalFeatures;
use crate::kernel::Cpu;
use crate::kernel::dot;
use crate::rerank::{Evidence, Rerank};

/// Length of a descriptor in int8 steps.
const UNIT: f32 = 127.0;

/// A photo as mining sees it.
#[derive(Clone, Debug)]
pub struct MinedPhoto {
    /// Its descriptor, a unit vector.
    pub descriptor: Vec<f32>,
    /// Its local features.
    pub local: LocalFeatures,
}

/// What counts as the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MiningOptions {
    /// Nearest photos that are looked at, each way: both must be among the other's.
    pub neighbours: usize,
    /// Least cosine of a candidate.
    pub least_score: f32,
    /// Least matching cells that lie alike.
    pub least_inliers: usize,
    /// Least cosine of near duplicates.
    pub duplicate_score: f32,
}

impl Default for MiningOptions {
    /// Ten neighbours of a cosine of 0.35 with twelve matching cells; duplicates from 0.95.
    fn default() -> Self {
        Self {
            neighbours: 10,
            least_score: 0.35,
            least_inliers: 12,
            duplicate_score: 0.95,
        }
    }
}

/// Two photos that show the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MinedPair {
    /// Number of a photo.
    pub first: usize,
    /// Number of a later photo.
    pub second: usize,
    /// Cosine of their descriptors.
    pub score: f32,
    /// What their local features say.
    pub evidence: Evidence,
}

impl MinedPair {
    /// Whether the one is nearly the same picture as the other: as large, upright, in the same place.
    pub fn is_duplicate(&self, options: &MiningOptions) -> bool {
        let alignment = &self.evidence.alignment;
        self.score >= options.duplicate_score
            && (0.9..=1.1).contains(&alignment.scale)
            && alignment.rotation.abs() <= 5.0
            && alignment.moved <= 0.05
    }
}

/// What was found among photos.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mined {
    /// Pairs in the order of their photos.
    pub pairs: Vec<MinedPair>,
    /// Sets of at least two photos that pairs hold together, each ascending, in the order of their first photo.
    pub groups: Vec<Vec<usize>>,
    /// The same of pairs that are near duplicates.
    pub duplicates: Vec<Vec<usize>>,
}

/// Finds pairs and groups. `progress` is told the photos that are done.
///
/// O(n² · dim) in int8 for the neighbours, O(n · neighbours · cells²) for the check. The same on every machine, with any
/// number of threads.
pub fn mine(
    photos: &[MinedPhoto],
    options: &MiningOptions,
    progress: &(dyn Fn(usize) + Sync),
) -> Mined {
    let nearest = neighbours(photos, options);
    let verified: Vec<Vec<MinedPair>> = nearest
        .par_iter()
        .enumerate()
        .map(|(first, found)| {
            let later = found.iter().filter(|(second, _)| *second > first);
            let mutual =
                later.filter(|(second, _)| nearest[*second].iter().any(|(n, _)| *n == first));
            let pairs =
                mutual.filter_map(|&(second, score)| check(photos, first, second, score, options));
            let mut pairs: Vec<_> = pairs.collect();
            pairs.sort_by_key(|pair| pair.second);
            progress(1);
            pairs
        })
        .collect();
    let pairs: Vec<MinedPair> = verified.into_iter().flatten().collect();
    let same = pairs.iter().filter(|pair| pair.is_duplicate(options));
    Mined {
        groups: connected(photos.len(), pairs.iter()),
        duplicates: connected(photos.len(), same),
        pairs,
    }
}

/// For each photo the nearest others of at least the least score, best first.
fn neighbours(photos: &[MinedPhoto], options: &MiningOptions) -> Vec<Vec<(usize, f32)>> {
    let Some(dim) = photos.first().map(|photo| photo.descriptor.len()) else {
        return Vec::new();
    };
    let rows: Vec<i8> = photos
        .iter()
        .flat_map(|photo| {
            photo
                .descriptor
                .iter()
                .map(|value| (value * UNIT).round() as i8)
        })
        .collect();
    let dot_rows = dot::dot_rows(Cpu::native());
    rows.par_chunks_exact(dim)
        .enumerate()
        .map(|(number, row)| {
            let mut dots = vec![0; photos.len()];
            dot_rows(row, &rows, &mut dots);
            let mut found: Vec<(usize, f32)> = dots
                .into_iter()
                .map(|dot| dot as f32 / (UNIT * UNIT))
                .enumerate()
                .filter(|&(other, score)| other != number && score >= options.least_score)
                .collect();
            found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            found.truncate(options.neighbours);
            found
        })
        .collect()
}

fn check(
    photos: &[MinedPhoto],
    first: usize,
    second: usize,
    score: f32,
    options: &MiningOptions,
) -> Option<MinedPair> {
    let other = std::slice::from_ref(&photos[second].local);
    let evidence = Rerank::default().look(&photos[first].local, other)?;
    let pair = MinedPair {
        first,
        second,
        score,
        evidence,
    };
    (evidence.alignment.inliers >= options.least_inliers).then_some(pair)
}

/// Sets of photos that pairs connect.
fn connected<'a>(count: usize, pairs: impl Iterator<Item = &'a MinedPair>) -> Vec<Vec<usize>> {
    let mut parents: Vec<usize> = (0..count).collect();
    fn root(parents: &mut [usize], mut photo: usize) -> usize {
        while parents[photo] != photo {
            parents[photo] = parents[parents[photo]];
            photo = parents[photo];
        }
        photo
    }
    for pair in pairs {
        let (a, b) = (
            root(&mut parents, pair.first),
            root(&mut parents, pair.second),
        );
        parents[a.max(b)] = a.min(b);
    }
    let mut sets = vec![Vec::new(); count];
    for photo in 0..count {
        let root = root(&mut parents, photo);
        sets[root].push(photo);
    }
    sets.retain(|set| set.len() > 1);
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIM: usize = 16;

    /// A photo of a thing: 6×6 cells of it, moved by some cells over a random ground.
    fn photo(thing: u64, shift: usize, noise: u64) -> MinedPhoto {
        let mut of_thing = fastrand::Rng::with_seed(thing);
        let mut of_ground = fastrand::Rng::with_seed(1000 + noise);
        let cells: Vec<Vec<u8>> = (0..36)
            .map(|_| (0..DIM).map(|_| of_thing.u8(..)).collect())
            .collect();
        let mut bytes = vec![8, 8];
        for at in 0..64usize {
            let (y, x) = (at / 8, at % 8);
            let inside = y.checked_sub(shift).zip(x.checked_sub(shift));
            match inside.filter(|&(y, x)| y < 6 && x < 6) {
                Some((y, x)) => bytes.extend(&cells[6 * y + x]),
                None => bytes.extend((0..DIM).map(|_| of_ground.u8(..))),
            }
        }
        let mut descriptor = vec![0.0; DIM];
        descriptor[thing as usize % DIM] = 1.0;
        descriptor[noise as usize % DIM] += 0.1;
        crate::descriptor::to_unit_length(&mut descriptor);
        MinedPhoto {
            descriptor,
            local: LocalFeatures::from_bytes(&bytes, DIM).unwrap().0,
        }
    }

    #[test]
    fn photos_of_one_thing_come_together() {
        // 5 and 21 have the same descriptor but not the same cells.
        let things = [(5, 0), (7, 1), (5, 2), (21, 0), (7, 0), (5, 1), (9, 0)];
        let photos: Vec<_> = things
            .iter()
            .zip(0..)
            .map(|(&(thing, shift), number)| photo(thing, shift, number))
            .collect();
        let options = MiningOptions::default();
        let found = mine(&photos, &options, &|_| ());
        assert_eq!(found.groups, [vec![0, 2, 5], vec![1, 4]]);
        assert!(
            found
                .pairs
                .iter()
                .all(|pair| pair.evidence.alignment.inliers >= 30)
        );
        assert_eq!(mine(&[], &options, &|_| ()), Mined::default());
    }

    #[test]
    fn duplicates_are_the_same_picture() {
        let photos = [
            photo(3, 1, 50),
            photo(4, 0, 2),
            photo(3, 1, 50),
            photo(3, 0, 9),
        ];
        let found = mine(&photos, &MiningOptions::default(), &|_| ());
        assert_eq!(found.duplicates, [[0, 2]]);
        assert_eq!(found.groups, [[0, 2, 3]]);
    }
}
