//! Everything that a recipe learned when it was fitted.

use super::{Codebook, Recipe, Whitening};

/// Whitenings, codebooks and the joint projection, in the order of the recipe's parts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Learned {
    /// One a part; none for a recipe that was not fitted.
    pub whitenings: Vec<Whitening>,
    /// Those of each part, none for most; may be left empty where no part has any.
    pub codebooks: Vec<Vec<Codebook>>,
    /// The projection of the joined vector, where the recipe asks for one.
    pub joint: Option<Whitening>,
}

impl From<Vec<Whitening>> for Learned {
    /// Whitenings alone, as most recipes need.
    fn from(whitenings: Vec<Whitening>) -> Self {
        Self {
            whitenings,
            ..Self::default()
        }
    }
}

impl Learned {
    /// The codebooks of a part.
    pub fn codebooks(&self, part: usize) -> &[Codebook] {
        self.codebooks.get(part).map_or(&[], Vec::as_slice)
    }

    /// Checks that this is what a recipe needs.
    ///
    /// # Errors
    /// The part at fault, from 0, and what was expected and found. A fault of the joint projection
    /// is given to the part behind the last.
    pub fn check(&self, recipe: &Recipe) -> Result<(), (usize, String)> {
        let parts = recipe.parts.len();
        if self.whitenings.len() != parts {
            let found = self.whitenings.len();
            return Err((
                found,
                format!("the recipe has {parts} parts, found {found}"),
            ));
        }
        for (at, (whitening, part)) in self.whitenings.iter().zip(&recipe.parts).enumerate() {
            let codebooks = self.codebooks(at);
            match part.pool.codebook() {
                Some(shape) => {
                    if codebooks.len() != shape.levels {
                        let (levels, found) = (shape.levels, codebooks.len());
                        return Err((at, format!("{levels} codebooks expected, found {found}")));
                    }
                    for codebook in codebooks {
                        codebook
                            .check(shape)
                            .map_err(|reason| (at, format!("codebook: {reason}")))?;
                    }
                    let (taken, given) = (whitening.channels(), part.pool.length(0, 0));
                    if taken != given {
                        let reason = format!(
                            "the encoding gives {given} components, its whitening takes {taken}"
                        );
                        return Err((at, reason));
                    }
                }
                None if !codebooks.is_empty() => {
                    let reason = format!("no codebook expected, found {}", codebooks.len());
                    return Err((at, reason));
                }
                None => {}
            }
            if whitening.dim() != part.dim {
                let (expected, found) = (part.dim, whitening.dim());
                return Err((at, format!("dim {expected} expected, found {found}")));
            }
        }
        let joined: usize = recipe.parts.iter().map(|part| part.dim).sum();
        match (&recipe.joint, &self.joint) {
            (Some(joint), Some(found))
                if (found.channels(), found.dim()) != (joined, joint.dim) =>
            {
                let (channels, dim) = (found.channels(), found.dim());
                Err((
                    parts,
                    format!(
                        "joint projection of {joined} to {} components expected, found {channels} to {dim}",
                        joint.dim
                    ),
                ))
            }
            (Some(_), None) => Err((parts, "the joint projection is missing".to_owned())),
            (None, Some(_)) => Err((parts, "the recipe has no joint projection".to_owned())),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Part, Pool};
    use super::*;

    #[test]
    fn what_does_not_fit_a_recipe_is_named() {
        let whitening = |channels, dim| {
            Whitening::new(vec![0.0; channels], &vec![0.5; channels * dim]).unwrap()
        };
        let vlad = Pool::Vlad {
            centres: 3,
            local: 2,
        };
        let recipe = Recipe::new("r", vec![Part::new("t", vlad, 4)]);
        let codebook =
            |centres: usize| Codebook::new(whitening(5, 2), vec![0.1; 2 * centres], None).unwrap();
        let learned = |codebooks: Vec<Codebook>, channels| Learned {
            whitenings: vec![whitening(channels, 4)],
            codebooks: vec![codebooks],
            joint: None,
        };
        assert_eq!(learned(vec![codebook(3)], 6).check(&recipe), Ok(()));
        for (wrong, reason) in [
            (learned(vec![], 6), "1 codebooks expected, found 0"),
            (learned(vec![codebook(4)], 6), "found 4 centres"),
            (learned(vec![codebook(3)], 5), "gives 6 components"),
            (Learned::default(), "the recipe has 1 parts"),
        ] {
            let (part, found) = wrong.check(&recipe).unwrap_err();
            assert!(part == 0 && found.contains(reason), "{found}");
        }
    }
}
