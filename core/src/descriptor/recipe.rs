//! How taps become a descriptor: data in the bundle, not code.

use serde::{Deserialize, Serialize};

/// The most parts that a recipe may have, and the most components of one part.
const MOST_PARTS: usize = 16;
const LARGEST_DIM: usize = 4096;

/// Taps, pooling, whitening and fusion of a descriptor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What people call it.
    pub name: String,
    /// Pooled and whitened each for itself, then concatenated in this order.
    pub parts: Vec<Part>,
}

/// One tap on its way into the descriptor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The backbone's output that is pooled.
    pub tap: String,
    /// How locations become one vector.
    pub pool: Pool,
    /// Components after whitening.
    pub dim: usize,
    /// How the whitening is learned when the recipe is fitted.
    #[serde(default)]
    pub whitening: WhiteningFit,
    /// Weight of this part's unit vector in the concatenation, above 0.
    #[serde(default = "one")]
    pub weight: f32,
}

fn one() -> f32 {
    1.0
}

impl Part {
    /// A part of weight 1 with the default whitening.
    pub fn new(tap: &str, pool: Pool, dim: usize) -> Self {
        Self {
            tap: tap.to_owned(),
            pool,
            dim,
            whitening: WhiteningFit::default(),
            weight: 1.0,
        }
    }
}

/// Pooling of a map `H×W×C` into `C` values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// The plain mean over all locations.
    Average,
    /// SPoC with its centre prior: locations weigh less towards the border.
    Centre {
        /// Width of the Gaussian in units of half of the shorter side of the map. The paper's
        /// prior is 1/3.
        #[serde(default = "paper_sigma")]
        sigma: f32,
    },
}

fn paper_sigma() -> f32 {
    1.0 / 3.0
}

/// What a whitening is learned from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhiteningFit {
    /// Principal components of clean photos, each divided by its standard deviation (Jégou & Chum,
    /// "Negative evidences and co-occurences in image retrieval", 2012).
    Pca,
    /// Learned whitening from synthetic pairs: what differs between captures of one thing is
    /// pressed down, what tells things apart is kept (Mikolajczyk & Matas, "Improving descriptors
    /// for fast tree matching by optimal linear projection", 2007).
    Pairs {
        /// Share of the identity in the within-class covariance, 0..=1.
        shrinkage: f32,
    },
}

impl Default for WhiteningFit {
    fn default() -> Self {
        Self::Pairs { shrinkage: 0.03 }
    }
}

/// Why a recipe was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("recipe {recipe:?}: {reason}")]
pub struct RecipeError {
    /// The recipe's name.
    pub recipe: String,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl Recipe {
    /// The default: a fine, a middle and a deep tap with learned whitening, 64 + 96 + 96 = 256
    /// components. The taps are MobileNetV2's block 6, the expansion of block 13 (both stride 16)
    /// and the last 1×1 convolution (stride 32).
    pub fn three_taps() -> Self {
        let centre = Pool::Centre {
            sigma: paper_sigma(),
        };
        Self {
            name: "three-taps".to_owned(),
            parts: vec![
                Part::new("c20", centre, 64),
                Part::new("c39", centre, 96),
                Part::new("c51", Pool::Average, 96),
            ],
        }
    }

    /// Two taps, `dim` components each, whitened by principal components.
    pub fn late_pca(dim: usize) -> Self {
        let centre = Pool::Centre {
            sigma: paper_sigma(),
        };
        let pca = |tap, pool| Part {
            whitening: WhiteningFit::Pca,
            ..Part::new(tap, pool, dim)
        };
        Self {
            name: format!("late-{}", 2 * dim),
            parts: vec![pca("c51", Pool::Average), pca("c39", centre)],
        }
    }

    /// A recipe by its well-known name: `three-taps`, `late-256`, `late-512`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "three-taps" => Some(Self::three_taps()),
            "late-256" => Some(Self::late_pca(128)),
            "late-512" => Some(Self::late_pca(256)),
            _ => None,
        }
    }

    /// The taps, a part each.
    pub fn taps(&self) -> Vec<String> {
        self.parts.iter().map(|part| part.tap.clone()).collect()
    }

    /// Components of a descriptor.
    pub fn dim(&self) -> usize {
        self.parts.iter().map(|part| part.dim).sum()
    }

    /// Checks ranges, so that what comes from a file can be trusted.
    ///
    /// # Errors
    /// [`RecipeError`] names the first part that is out of range.
    pub fn check(&self) -> Result<(), RecipeError> {
        let refuse = |reason: String| {
            Err(RecipeError {
                recipe: self.name.clone(),
                reason,
            })
        };
        if self.parts.is_empty() || self.parts.len() > MOST_PARTS {
            return refuse(format!(
                "1 to {MOST_PARTS} parts, found {}",
                self.parts.len()
            ));
        }
        for (at, part) in self.parts.iter().enumerate() {
            let tap = &part.tap;
            if part.dim == 0 || part.dim > LARGEST_DIM {
                return refuse(format!(
                    "part {at} ({tap}): dim must be 1 to {LARGEST_DIM}, found {}",
                    part.dim
                ));
            }
            if !(part.weight.is_finite() && part.weight > 0.0) {
                return refuse(format!(
                    "part {at} ({tap}): weight must be above 0, found {}",
                    part.weight
                ));
            }
            if let Pool::Centre { sigma } = part.pool
                && !(0.01..=100.0).contains(&sigma)
            {
                return refuse(format!(
                    "part {at} ({tap}): sigma must be 0.01 to 100, found {sigma}"
                ));
            }
            if let WhiteningFit::Pairs { shrinkage } = part.whitening
                && !(0.0..=1.0).contains(&shrinkage)
            {
                return refuse(format!(
                    "part {at} ({tap}): shrinkage must be 0 to 1, found {shrinkage}"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_form_is_stable_and_strict() {
        let json = r#"{"name":"r","parts":[{"tap":"c39","pool":{"centre":{}},"dim":96}]}"#;
        let recipe: Recipe = serde_json::from_str(json).unwrap();
        assert_eq!(
            recipe.parts[0],
            Part::new("c39", Pool::Centre { sigma: 1.0 / 3.0 }, 96)
        );
        let typo = json.replace("\"dim\"", "\"dims\"");
        assert!(serde_json::from_str::<Recipe>(&typo).is_err());
    }

    #[test]
    fn named_recipes_pass_their_own_check() {
        for (name, dim) in [("three-taps", 256), ("late-256", 256), ("late-512", 512)] {
            let recipe = Recipe::named(name).unwrap();
            assert_eq!((recipe.check(), recipe.dim()), (Ok(()), dim));
        }
    }

    #[test]
    fn values_out_of_range_are_named() {
        let mut recipe = Recipe::three_taps();
        recipe.parts[1].weight = f32::NAN;
        assert!(
            recipe
                .check()
                .unwrap_err()
                .to_string()
                .contains("part 1 (c39): weight")
        );
        recipe.parts.clear();
        assert!(recipe.check().is_err());
    }
}
