//! How taps become a descriptor: data in the bundle, not code.
//!
//! Fields that a recipe does not use are left out of its JSON form, so that recipes of older
//! bundles keep their fingerprints.

use serde::{Deserialize, Serialize};

use super::{Pool, Resize, Views, Weighting, presets};

/// The most parts that a recipe may have, the most taps of a part, and the most components of one.
const MOST_PARTS: usize = 16;
const MOST_FUSED: usize = 16;
const LARGEST_DIM: usize = 4096;

/// Taps, pooling, whitening and fusion of a descriptor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What people call it.
    pub name: String,
    /// The looks at a photo that are averaged; the photo as it is when absent.
    #[serde(default, skip_serializing_if = "Views::is_single")]
    pub views: Views,
    /// Pooled and whitened each for itself, then concatenated in this order.
    pub parts: Vec<Part>,
    /// A projection of the concatenation, where one is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joint: Option<Joint>,
}

/// Principal components of the joined parts, whitened: late fusion in few components.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Joint {
    /// Components of the descriptor.
    pub dim: usize,
}

/// One tap on its way into the descriptor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The backbone's output that is pooled.
    pub tap: String,
    /// Further outputs that are joined with it channel by channel before pooling (early fusion).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fuse: Vec<String>,
    /// How finer maps come to the coarsest grid where some are joined.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resize: Resize,
    /// The output whose channels say where landmarks are, for [`Pool::Landmarks`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heat_map: Option<String>,
    /// What the map itself says about which locations count; all alike when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weighting: Option<Weighting>,
    /// How locations become one vector.
    pub pool: Pool,
    /// Exponent of the signed power that each pooled value is raised to before whitening, 0.1 to 1;
    /// 1 when absent. Below 1 it takes weight from bursts: few channels that respond much
    /// (Perronnin, Sánchez & Mensink, "Improving the Fisher kernel for large-scale image
    /// classification", ECCV 2010, section 3.2).
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub power: f32,
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

fn is_one(value: &f32) -> bool {
    *value == 1.0
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Part {
    /// A part of weight 1 with the default whitening.
    pub fn new(tap: &str, pool: Pool, dim: usize) -> Self {
        Self {
            tap: tap.to_owned(),
            fuse: Vec::new(),
            resize: Resize::default(),
            heat_map: None,
            weighting: None,
            pool,
            power: 1.0,
            dim,
            whitening: WhiteningFit::default(),
            weight: 1.0,
        }
    }

    /// The outputs of the network that this part reads.
    pub fn taps(&self) -> impl Iterator<Item = &String> {
        let first = std::iter::once(&self.tap);
        first.chain(&self.fuse).chain(&self.heat_map)
    }

    fn check(&self) -> Result<(), String> {
        self.pool.check()?;
        if self.dim == 0 || self.dim > LARGEST_DIM {
            return Err(format!(
                "dim must be 1 to {LARGEST_DIM}, found {}",
                self.dim
            ));
        }
        if !(self.weight.is_finite() && self.weight > 0.0) {
            return Err(format!("weight must be above 0, found {}", self.weight));
        }
        if !(0.1..=1.0).contains(&self.power) {
            return Err(format!("power must be 0.1 to 1, found {}", self.power));
        }
        if self.fuse.len() > MOST_FUSED {
            let found = self.fuse.len();
            return Err(format!("at most {MOST_FUSED} taps to fuse, found {found}"));
        }
        if self.weighting.is_some() && !self.pool.is_weighted() {
            return Err("a weighting needs the pooling average, centre or gem".to_owned());
        }
        if (self.pool == Pool::Landmarks) != self.heat_map.is_some() {
            return Err("the pooling landmarks and a heat_map need each other".to_owned());
        }
        match self.whitening {
            WhiteningFit::Pairs { shrinkage } | WhiteningFit::ShrunkPca { shrinkage }
                if !(0.0..=1.0).contains(&shrinkage) =>
            {
                Err(format!("shrinkage must be 0 to 1, found {shrinkage}"))
            }
            _ => Ok(()),
        }
    }
}

/// What a whitening is learned from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhiteningFit {
    /// Principal components of clean photos, each divided by its standard deviation (Jégou & Chum,
    /// "Negative evidences and co-occurences in image retrieval", 2012).
    Pca,
    /// The same with the covariance drawn towards a multiple of the identity, for few photos
    /// (Ledoit & Wolf, "A well-conditioned estimator for large-dimensional covariance matrices",
    /// 2004, with the share given instead of estimated).
    ShrunkPca {
        /// Share of the identity in the covariance, 0..=1.
        shrinkage: f32,
    },
    /// Learned whitening from pairs: what differs between photos of one thing is pressed down, what
    /// tells things apart is kept (Mikolajczyk & Matas, "Improving descriptors for fast tree
    /// matching by optimal linear projection", 2007). Pairs are simulated captures of a photo, and
    /// real photos of one group where there are labels.
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
    /// Parts joined as they are, of one view.
    pub fn new(name: &str, parts: Vec<Part>) -> Self {
        Self {
            name: name.to_owned(),
            views: Views::default(),
            parts,
            joint: None,
        }
    }

    /// The default: a fine, a middle and a deep tap with learned whitening, 64 + 96 + 96 = 256
    /// components. The taps are MobileNetV2's block 6, the expansion of block 13 (both stride 16)
    /// and the last 1×1 convolution (stride 32).
    pub fn three_taps() -> Self {
        presets::named("three-taps").expect("a recipe of this name")
    }

    /// A recipe by its well-known name: one of [`Recipe::names`].
    pub fn named(name: &str) -> Option<Self> {
        presets::named(name)
    }

    /// The names of all well-known recipes.
    pub fn names() -> &'static [&'static str] {
        presets::NAMES
    }

    /// The outputs of the network that all parts read, each once, in the order of their first use.
    pub fn taps(&self) -> Vec<String> {
        let mut taps: Vec<String> = Vec::new();
        for tap in self.parts.iter().flat_map(Part::taps) {
            if !taps.contains(tap) {
                taps.push(tap.clone());
            }
        }
        taps
    }

    /// Components of a descriptor.
    pub fn dim(&self) -> usize {
        match self.joint {
            Some(joint) => joint.dim,
            None => self.parts.iter().map(|part| part.dim).sum(),
        }
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
        if let Err(reason) = self.views.check() {
            return refuse(reason);
        }
        for (at, part) in self.parts.iter().enumerate() {
            if let Err(reason) = part.check() {
                return refuse(format!("part {at} ({}): {reason}", part.tap));
            }
        }
        let joined: usize = self.parts.iter().map(|part| part.dim).sum();
        match self.joint {
            Some(joint) if !(1..=joined).contains(&joint.dim) => {
                let found = joint.dim;
                refuse(format!("joint dim must be 1 to {joined}, found {found}"))
            }
            _ => Ok(()),
        }
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
    fn what_is_not_used_is_not_written() {
        let recipe = Recipe::new("r", vec![Part::new("t", Pool::Average, 2)]);
        let written = serde_json::to_string(&recipe).unwrap();
        assert_eq!(
            written,
            r#"{"name":"r","parts":[{"tap":"t","pool":"average","dim":2,"whitening":{"pairs":{"shrinkage":0.03}},"weight":1.0}]}"#
        );
    }

    #[test]
    fn named_recipes_pass_their_own_check_and_keep_their_name() {
        for name in Recipe::names() {
            let recipe = Recipe::named(name).unwrap();
            assert_eq!((recipe.check(), recipe.name.as_str()), (Ok(()), *name));
            let written = serde_json::to_string(&recipe).unwrap();
            assert_eq!(serde_json::from_str::<Recipe>(&written).unwrap(), recipe);
        }
        for (name, dim) in [("three-taps", 256), ("late-256", 256), ("late-512", 512)] {
            assert_eq!(Recipe::named(name).unwrap().dim(), dim);
        }
    }

    #[test]
    fn each_tap_is_asked_for_once() {
        let mut recipe = Recipe::three_taps();
        recipe.parts[0].fuse = vec!["c51".into(), "c7".into()];
        assert_eq!(recipe.taps(), ["c20", "c51", "c7", "c39"]);
    }

    #[test]
    fn values_out_of_range_are_named() {
        let refusal = |change: &dyn Fn(&mut Recipe)| {
            let mut recipe = Recipe::three_taps();
            change(&mut recipe);
            recipe.check().unwrap_err().to_string()
        };
        type Change = &'static dyn Fn(&mut Recipe);
        let cases: [(Change, &str); 9] = [
            (&|r| r.parts[1].power = 0.0, "power must be 0.1 to 1"),
            (&|r| r.parts[1].weight = f32::NAN, "part 1 (c39): weight"),
            (&|r| r.parts.clear(), "1 to 16 parts, found 0"),
            (&|r| r.parts[0].dim = 0, "dim must be 1 to 4096"),
            (
                &|r| r.parts[0].pool = Pool::Gem { p: 0.5 },
                "p must be 1 to 32, found 0.5",
            ),
            (
                &|r| {
                    r.parts[0].pool = Pool::Max;
                    r.parts[0].weighting = Some(Weighting::Energy);
                },
                "a weighting needs",
            ),
            (&|r| r.parts[2].pool = Pool::Landmarks, "heat_map"),
            (&|r| r.joint = Some(Joint { dim: 257 }), "joint dim"),
            (&|r| r.views.scales = vec![9.0], "scales must be"),
        ];
        for (change, reason) in cases {
            let told = refusal(change);
            assert!(told.contains(reason), "{told}");
        }
    }
}
