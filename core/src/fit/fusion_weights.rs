//! Weights of parts, searched on groups of photos: late fusion by how well it retrieves.
//!
//! The similarity of two descriptors is Σ w_p² s_p / Σ w_p², s_p the cosine of part p: a
//! non-negative combination of what each part says. One factor after another is varied, and kept
//! where it raises the mean average precision of every photo asked for the others of its group.

use rayon::prelude::*;

use super::{FitError, Kept};
use crate::descriptor::{Learned, Recipe, to_unit_length};

/// Photos in groups of two or more that a search needs.
const LEAST: usize = 40;
/// Factors of a step, coarse ones first.
const STEPS: [f64; 3] = [2.0, 1.4, 1.15];

/// Sets the weights of the recipe's parts.
pub(super) fn search(
    recipe: &mut Recipe,
    learned: &Learned,
    kept: &[Kept],
) -> Result<(), FitError> {
    let labelled: Vec<&Kept> = kept.iter().filter(|kept| kept.group.is_some()).collect();
    let twin = |one: &&&Kept| {
        labelled
            .iter()
            .filter(|other| other.group == one.group)
            .count()
            > 1
    };
    let found = labelled.iter().filter(twin).count();
    if found < LEAST {
        return Err(FitError::TooFewLabels {
            needed: LEAST,
            found,
        });
    }
    let groups: Vec<&str> = labelled
        .iter()
        .flat_map(|kept| kept.group.as_deref())
        .collect();
    let similarities: Vec<Vec<f64>> = (0..recipe.parts.len())
        .map(|part| similarities(&labelled, learned, part))
        .collect();
    let mut weights: Vec<f64> = recipe
        .parts
        .iter()
        .map(|part| f64::from(part.weight))
        .collect();
    let mut best = mean_average_precision(&similarities, &weights, &groups);
    for factor in STEPS {
        let mut improved = true;
        while improved {
            improved = false;
            for part in 0..weights.len() {
                for factor in [factor, 1.0 / factor] {
                    let mut tried = weights.clone();
                    tried[part] = (tried[part] * factor).clamp(0.05, 20.0);
                    let score = mean_average_precision(&similarities, &tried, &groups);
                    // Below this a change is luck.
                    if score > best + 1e-4 {
                        (best, weights, improved) = (score, tried, true);
                    }
                }
            }
        }
    }
    for (part, weight) in recipe.parts.iter_mut().zip(weights) {
        part.weight = weight as f32;
    }
    Ok(())
}

/// Cosines of all pairs in one part, row by row.
fn similarities(kept: &[&Kept], learned: &Learned, part: usize) -> Vec<f64> {
    let vectors: Vec<Vec<f32>> = kept
        .par_iter()
        .map(|kept| {
            let mut vector = learned.whitenings[part].apply(&kept.pooled[part]);
            to_unit_length(&mut vector);
            vector
        })
        .collect();
    let row = |a: &Vec<f32>| -> Vec<f64> {
        let dot = |b: &Vec<f32>| {
            a.iter()
                .zip(b)
                .map(|(&a, &b)| f64::from(a) * f64::from(b))
                .sum()
        };
        vectors.iter().map(dot).collect()
    };
    vectors.par_iter().map(row).collect::<Vec<_>>().concat()
}

fn mean_average_precision(similarities: &[Vec<f64>], weights: &[f64], groups: &[&str]) -> f64 {
    let n = groups.len();
    let of_query = |query: usize| -> Option<f64> {
        let score = |other: usize| -> f64 {
            let parts = similarities.iter().zip(weights);
            parts.map(|(s, w)| w * w * s[query * n + other]).sum()
        };
        let mut ranked: Vec<(f64, usize)> = (0..n)
            .filter(|&o| o != query)
            .map(|o| (score(o), o))
            .collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let (mut found, mut precision) = (0.0, 0.0);
        for (rank, (_, other)) in ranked.iter().enumerate() {
            if groups[*other] == groups[query] {
                found += 1.0;
                precision += found / (rank + 1) as f64;
            }
        }
        (found > 0.0).then(|| precision / found)
    };
    let scores: Vec<f64> = (0..n).into_par_iter().filter_map(of_query).collect();
    scores.iter().sum::<f64>() / scores.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::{Part, Pool, Whitening};

    /// One part tells groups apart, the other is noise: the first must gain weight.
    #[test]
    fn the_part_that_retrieves_gains_weight() {
        let mut rng = fastrand::Rng::with_seed(4);
        let kept: Vec<Kept> = (0..60)
            .map(|i| {
                let angle = (i / 3) as f32 * 0.31;
                let mut noise = || rng.f32() - 0.5;
                let good = vec![angle.cos() + 0.1 * noise(), angle.sin() + 0.1 * noise()];
                let bad = vec![noise(), noise()];
                Kept {
                    pooled: vec![good, bad],
                    group: Some(format!("{}", i / 3)),
                }
            })
            .collect();
        let plain = Whitening::new(vec![0.0; 2], &[1.0, 0.0, 0.0, 1.0]).unwrap();
        let learned = Learned::from(vec![plain.clone(), plain]);
        let part = |tap| Part::new(tap, Pool::Average, 2);
        let mut recipe = Recipe::new("r", vec![part("good"), part("bad")]);
        search(&mut recipe, &learned, &kept).unwrap();
        let [good, bad] = &recipe.parts[..] else {
            panic!("two parts")
        };
        assert!(
            good.weight > 3.0 * bad.weight,
            "{} {}",
            good.weight,
            bad.weight
        );
        assert_eq!(recipe.check(), Ok(()));
    }

    #[test]
    fn few_labels_are_refused_with_the_number_needed() {
        let mut recipe = Recipe::new("r", vec![Part::new("t", Pool::Average, 1)]);
        let refused = search(&mut recipe, &Learned::default(), &[]).unwrap_err();
        assert!(
            refused.to_string().contains("at least 40 photos"),
            "{refused}"
        );
    }
}
