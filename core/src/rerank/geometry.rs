//! The geometric check: do the cells that look alike also lie alike?
//!
//! Two mutual matches fix a similarity transform (translation, scale, rotation); each pair of the strongest is tried,
//! and the transform that most of the others agree with wins (hypothesise and verify, as in RANSAC, Fischler & Bolles,
//! CACM 1981, but without chance: all pairs of the strongest are tried).

use super::correspondence::Correspondence;
use super::ranks;
use crate::descriptor::LocalFeatures;

/// Matches from which transforms are made: all of their pairs.
const STRONGEST: usize = 12;
/// Least distance of the two matches of a pair, in units of the longer side: nearer ones fix no transform.
const APART: f64 = 0.2;
/// Largest change of scale, either way.
const SCALE: f64 = 2.5;
/// How far from its place a match may lie, in units of the longer side.
const TOLERANCE: f64 = 0.1;

/// How one photo lies in the other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Alignment {
    /// Sum of the cubed cosines of the matches that agree: 0 where no transform fits; a photo on itself has its number
    /// of cells.
    pub strength: f64,
    /// Matches that agree.
    pub inliers: usize,
    /// Size of the thing in the second photo by its size in the first, 0.4 to 2.5.
    pub scale: f64,
    /// Clockwise turn from the first photo to the second, in degrees, -180 to 180.
    pub rotation: f64,
    /// How far the matches that agree have moved, on average, in units of the longer side.
    pub moved: f64,
}

/// The best similarity transform from `first` to `second`. O(cells + 66 · matches).
pub fn align(
    first: &LocalFeatures,
    second: &LocalFeatures,
    correspondence: &Correspondence,
) -> Alignment {
    let [from, to]: [Vec<(f64, f64)>; 2] = [first.centres().collect(), second.centres().collect()];
    let mutual = correspondence.mutual().into_iter();
    let alike = mutual.filter(|pair| pair.cosine > 0.0);
    let matches: Vec<Match> = alike
        .map(|pair| Match {
            from: from[pair.first],
            to: to[pair.second],
            weight: pair.cosine * pair.cosine * pair.cosine,
        })
        .collect();
    best_transform(&matches)
}

#[derive(Clone, Copy)]
struct Match {
    from: (f64, f64),
    to: (f64, f64),
    weight: f64,
}

/// `to = turn · from + shift` in the complex plane.
#[derive(Clone, Copy)]
struct Transform {
    turn: (f64, f64),
    shift: (f64, f64),
}

fn best_transform(matches: &[Match]) -> Alignment {
    let weights: Vec<f64> = matches.iter().map(|one| one.weight).collect();
    let mut strongest = ranks(&weights);
    strongest.truncate(STRONGEST);
    let lanes = Lanes::of(matches);
    let mut best = Alignment::default();
    for (number, &a) in strongest.iter().enumerate() {
        for &b in &strongest[..number] {
            let Some(transform) = Transform::of(&matches[a], &matches[b]) else {
                continue;
            };
            let (inliers, strength) = lanes.agreeing(&transform);
            // The two that made it agree always: they are no evidence.
            if inliers > 2.0 && strength > best.strength {
                let (x, y) = transform.turn;
                let agreeing = matches.iter().filter(|other| transform.agrees(other));
                let ways = agreeing.map(|other| length(minus(other.to, other.from)));
                best = Alignment {
                    strength,
                    inliers: inliers as usize,
                    scale: length((x, y)),
                    rotation: libm::atan2(y, x).to_degrees(),
                    moved: ways.sum::<f64>() / inliers,
                };
            }
        }
    }
    best
}

impl Transform {
    fn of(a: &Match, b: &Match) -> Option<Self> {
        let (from, to) = (minus(b.from, a.from), minus(b.to, a.to));
        if square(from) < APART * APART || square(to) < APART * APART {
            return None;
        }
        let turn = over(to, from);
        if !(1.0 / (SCALE * SCALE)..=SCALE * SCALE).contains(&square(turn)) {
            return None;
        }
        let shift = minus(a.to, times(turn, a.from));
        Some(Self { turn, shift })
    }

    fn agrees(&self, other: &Match) -> bool {
        let (x, y) = times(self.turn, other.from);
        let expected = (x + self.shift.0, y + self.shift.1);
        square(minus(other.to, expected)) < TOLERANCE * TOLERANCE
    }
}

/// Matches side by side: a transform is held against some of them at a time.
struct Lanes(Vec<[[f64; WIDTH]; 5]>);

const WIDTH: usize = 4;

impl Lanes {
    /// The last are filled up with matches that weigh nothing and agree with nothing.
    fn of(matches: &[Match]) -> Self {
        let blocks = matches.chunks(WIDTH).map(|block| {
            let mut lanes = [
                [f64::NAN; WIDTH],
                [0.0; WIDTH],
                [0.0; WIDTH],
                [0.0; WIDTH],
                [0.0; WIDTH],
            ];
            for (lane, one) in block.iter().enumerate() {
                let values = [one.from.0, one.from.1, one.to.0, one.to.1, one.weight];
                for (lanes, value) in lanes.iter_mut().zip(values) {
                    lanes[lane] = value;
                }
            }
            lanes
        });
        Self(blocks.collect())
    }

    /// How many agree ([`Transform::agrees`]), and the sum of their weights.
    fn agreeing(&self, transform: &Transform) -> (f64, f64) {
        let (mut counts, mut sums) = ([0.0; WIDTH], [0.0; WIDTH]);
        for [from_x, from_y, to_x, to_y, weights] in &self.0 {
            for lane in 0..WIDTH {
                let one = Match {
                    from: (from_x[lane], from_y[lane]),
                    to: (to_x[lane], to_y[lane]),
                    weight: weights[lane],
                };
                let agrees = f64::from(u8::from(transform.agrees(&one)));
                counts[lane] += agrees;
                sums[lane] += agrees * one.weight;
            }
        }
        (counts.iter().sum(), sums.iter().sum())
    }
}

fn minus(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    (a.0 - b.0, a.1 - b.1)
}

fn times(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0)
}

fn over(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    let (x, y) = times(a, (b.0, -b.1));
    let square = square(b);
    (x / square, y / square)
}

fn square((x, y): (f64, f64)) -> f64 {
    x * x + y * y
}

fn length(a: (f64, f64)) -> f64 {
    square(a).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(count: usize, seed: u64) -> Vec<(f64, f64)> {
        let mut rng = fastrand::Rng::with_seed(seed);
        (0..count).map(|_| (rng.f64(), rng.f64())).collect()
    }

    /// Matches that follow a known transform, and as many that follow none.
    #[test]
    fn the_transform_is_found_among_outliers() {
        let turn = (0.8, 0.6);
        let turn = (turn.0 * 0.7, turn.1 * 0.7);
        let shift = (0.3, -0.1);
        let mut matches = Vec::new();
        for from in cloud(15, 1) {
            let (x, y) = times(turn, from);
            let to = (x + shift.0, y + shift.1);
            matches.push(Match {
                from,
                to,
                weight: 0.8,
            });
        }
        for (from, to) in cloud(15, 2).into_iter().zip(cloud(15, 3)) {
            matches.push(Match {
                from,
                to,
                weight: 0.5,
            });
        }
        let found = best_transform(&matches);
        assert!((15..20).contains(&found.inliers), "{found:?}");
        assert!((found.scale - 0.7).abs() < 0.05, "{found:?}");
        assert!((found.rotation - 36.87).abs() < 3.0, "{found:?}");
        assert!(found.strength >= 12.0);
    }

    #[test]
    fn two_matches_are_no_evidence() {
        let at = |from, to| Match {
            from,
            to,
            weight: 1.0,
        };
        let two = [at((0.1, 0.1), (0.2, 0.2)), at((0.9, 0.9), (0.8, 0.8))];
        assert_eq!(best_transform(&two), Alignment::default());
        assert_eq!(best_transform(&[]), Alignment::default());
        // Far too much smaller.
        let shrunk = cloud(9, 4)
            .into_iter()
            .map(|p| at(p, (p.0 * 0.2, p.1 * 0.2)));
        assert_eq!(best_transform(&shrunk.collect::<Vec<_>>()).inliers, 0);
    }
}
