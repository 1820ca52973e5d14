//! Choosing a recipe by cross-validation over groups: what a choice is worth on things that it was
//! not made on.
//!
//! Groups are dealt to folds. For each fold the recipe with the best mean over the sets is chosen on
//! the other folds, and scored on the queries of this one.

use std::collections::BTreeSet;

/// A query's group and its average precision.
pub(super) type Query = (String, f64);

/// What was chosen for each fold, and the mean average precision of each set, of queries held out.
#[derive(Debug, PartialEq)]
pub(super) struct HeldOut {
    pub(super) chosen: Vec<usize>,
    pub(super) sets: Vec<f64>,
}

/// `queries[recipe][set]`; every recipe has the same queries. At least two folds.
pub(super) fn held_out(queries: &[Vec<Vec<Query>>], folds: usize) -> HeldOut {
    let sets = queries.first().map_or(0, Vec::len);
    // The fold of each query of each set: groups in the order of their names, dealt in turn.
    let fold_of: Vec<Vec<usize>> = (0..sets)
        .map(|set| {
            let groups: BTreeSet<&str> = queries[0][set].iter().map(|(g, _)| g.as_str()).collect();
            let groups: Vec<&str> = groups.into_iter().collect();
            let place = |group: &str| groups.binary_search(&group).unwrap_or(0) % folds;
            queries[0][set]
                .iter()
                .map(|(group, _)| place(group))
                .collect()
        })
        .collect();
    let mean_of = |recipe: usize, set: usize, keep: &dyn Fn(usize) -> bool| -> f64 {
        let kept = queries[recipe][set].iter().zip(&fold_of[set]);
        let kept: Vec<f64> = kept
            .filter(|(_, fold)| keep(**fold))
            .map(|(q, _)| q.1)
            .collect();
        kept.iter().sum::<f64>() / kept.len().max(1) as f64
    };
    let choose = |fold: usize| {
        let score = |recipe: usize| -> f64 {
            (0..sets)
                .map(|set| mean_of(recipe, set, &|other| other != fold))
                .sum()
        };
        let better = |a: &usize, b: &usize| score(*a).total_cmp(&score(*b)).then(b.cmp(a));
        (0..queries.len()).max_by(better).unwrap_or(0)
    };
    let chosen: Vec<usize> = (0..folds).map(choose).collect();
    let sets = (0..sets).map(|set| {
        let all = fold_of[set].iter().enumerate();
        let held: Vec<f64> = all
            .map(|(at, &fold)| queries[chosen[fold]][set][at].1)
            .collect();
        held.iter().sum::<f64>() / held.len().max(1) as f64
    });
    HeldOut {
        sets: sets.collect(),
        chosen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_scored_on_the_groups_it_was_not_made_on() {
        // Groups a and c are in fold 0, b in fold 1. The first recipe is good on a and c alone.
        let set = |scores: [f64; 3]| -> Vec<Query> {
            ["a", "b", "c"]
                .map(str::to_owned)
                .into_iter()
                .zip(scores)
                .collect()
        };
        let queries = [vec![set([1.0, 0.0, 1.0])], vec![set([0.5, 0.5, 0.5])]];
        let held = held_out(&queries, 2);
        assert_eq!(held.chosen, [1, 0]);
        assert!((held.sets[0] - (0.5 + 0.0 + 0.5) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn one_recipe_has_its_own_score() {
        let set: Vec<Query> = vec![("a".into(), 0.25), ("a".into(), 0.75), ("b".into(), 0.5)];
        let held = held_out(&[vec![set]], 2);
        assert_eq!((held.chosen, held.sets), (vec![0, 0], vec![0.5]));
    }
}
