//! How the locations of a map become one vector: the choices, as data of a recipe.

use serde::{Deserialize, Serialize};

/// The most regions' levels, centres and local components that a recipe may ask for.
const MOST_LEVELS: usize = 8;
const MOST_CENTRES: usize = 1024;
const LARGEST_LOCAL: usize = 512;

/// The longest vector of one part before its whitening: the covariance of so many components is
/// held in memory while it is fitted (512 MiB).
const LONGEST: usize = 8192;

/// Pooling or encoding of a map `H×W×C` into one vector of unit length.
///
/// The first variants pool each channel; from [`Pool::Vlad`] on, locations are encoded as local
/// features against a codebook that is learned when the recipe is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Pool {
    /// The plain mean over all locations: SPoC without a prior. The sum is the same at unit length,
    /// so `sum` is read as this.
    #[serde(alias = "sum")]
    Average,
    /// SPoC with its centre prior: locations weigh less towards the border.
    Centre {
        /// Width of the Gaussian in units of half of the shorter side of the map. The paper's
        /// prior is 1/3; 1/2 and more are wide ones.
        #[serde(default = "paper_sigma")]
        sigma: f32,
    },
    /// MAC: the maximum of each channel.
    #[serde(alias = "mac")]
    Max,
    /// Generalised mean: between the average (p = 1) and the maximum (p → ∞).
    Gem {
        /// The power, 1 to 32.
        #[serde(default = "paper_p")]
        p: f32,
    },
    /// R-MAC: the maxima of overlapping square regions, each brought to unit length, summed.
    Rmac {
        /// Scales of regions, 1 to 8.
        #[serde(default = "paper_levels")]
        levels: usize,
    },
    /// Averages of the regions of R-MAC, each brought to unit length, summed.
    RegionalSpoc {
        /// Scales of regions, 1 to 8.
        #[serde(default = "paper_levels")]
        levels: usize,
    },
    /// CroW: locations weigh by their energy, channels by their sparsity.
    Crow,
    /// The map pooled under each channel of the part's heat map, joined.
    Landmarks,
    /// VLAD: residuals from the nearest centre.
    Vlad {
        /// Centres of the codebook, 1 to 1024.
        #[serde(default = "few_centres")]
        centres: usize,
        /// Principal components of a local feature, 1 to 512.
        #[serde(default = "local_components")]
        local: usize,
    },
    /// NetVLAD: residuals from all centres, softly assigned.
    NetVlad {
        /// Centres of the codebook, 1 to 1024.
        #[serde(default = "few_centres")]
        centres: usize,
        /// Principal components of a local feature, 1 to 512.
        #[serde(default = "local_components")]
        local: usize,
        /// How hard the assignment is: α of exp(-α ‖x - c‖²), 0.01 to 1000.
        #[serde(default = "paper_alpha")]
        alpha: f32,
    },
    /// MOP-CNN: the mean of the whole, and VLAD of windows of a half and of a quarter of the map.
    Mop {
        /// Centres of each level's codebook, 1 to 1024.
        #[serde(default = "few_centres")]
        centres: usize,
        /// Principal components of a window, 1 to 512.
        #[serde(default = "local_components")]
        local: usize,
    },
    /// Fisher vector: gradients of a Gaussian mixture's log-likelihood.
    Fisher {
        /// Gaussians, 1 to 1024.
        #[serde(default = "few_centres")]
        centres: usize,
        /// Principal components of a local feature, 1 to 512.
        #[serde(default = "local_components")]
        local: usize,
    },
    /// Triangulation embedding: directions to all centres.
    Triangulation {
        /// Centres of the codebook, 1 to 1024.
        #[serde(default = "few_centres")]
        centres: usize,
        /// Principal components of a local feature, 1 to 512.
        #[serde(default = "local_components")]
        local: usize,
    },
    /// Second-order pooling: the covariance of local features, with a root against burstiness.
    SecondOrder {
        /// Principal components of a local feature, 1 to 512.
        #[serde(default = "local_components")]
        local: usize,
        /// Which root.
        #[serde(default)]
        root: Root,
        /// Whether the mean is appended: first and second order fused.
        #[serde(default)]
        mean: bool,
    },
}

/// What is done to a covariance, so that frequent directions do not drown the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Root {
    /// The matrix square root.
    #[default]
    Matrix,
    /// The signed square root of each entry.
    Signed,
}

fn paper_sigma() -> f32 {
    1.0 / 3.0
}

fn paper_p() -> f32 {
    3.0
}

fn paper_levels() -> usize {
    3
}

fn paper_alpha() -> f32 {
    10.0
}

fn few_centres() -> usize {
    16
}

fn local_components() -> usize {
    64
}

/// What a pooling learns: how local features are projected, and how many centres they are compared
/// with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodebookShape {
    /// Components of a local feature.
    pub local: usize,
    /// Centres, 0 where only the projection is needed.
    pub centres: usize,
    /// Whether the centres are Gaussians, with weights and deviations.
    pub gaussian: bool,
    /// Codebooks, one a scale of windows.
    pub levels: usize,
}

impl Pool {
    /// SPoC's centre prior as in the paper.
    pub const fn paper_centre() -> Self {
        Self::Centre { sigma: 1.0 / 3.0 }
    }

    /// The codebooks that this pooling needs, if any.
    pub fn codebook(&self) -> Option<CodebookShape> {
        let shape = |local, centres, gaussian, levels| {
            Some(CodebookShape {
                local,
                centres,
                gaussian,
                levels,
            })
        };
        match *self {
            Self::Vlad { centres, local }
            | Self::NetVlad { centres, local, .. }
            | Self::Triangulation { centres, local } => shape(local, centres, false, 1),
            Self::Mop { centres, local } => shape(local, centres, false, 2),
            Self::Fisher { centres, local } => shape(local, centres, true, 1),
            Self::SecondOrder { local, .. } => shape(local, 0, false, 1),
            _ => None,
        }
    }

    /// Whether locations have weights, so that a [`Weighting`](super::Weighting) means something.
    pub fn is_weighted(&self) -> bool {
        matches!(self, Self::Average | Self::Centre { .. } | Self::Gem { .. })
    }

    /// Components of the pooled vector of a map of `channels`, with a heat map of `heat` channels
    /// for [`Pool::Landmarks`]. Saturates.
    pub fn length(&self, channels: usize, heat: usize) -> usize {
        match *self {
            Self::Landmarks => channels.saturating_mul(heat),
            Self::Vlad { centres, local }
            | Self::NetVlad { centres, local, .. }
            | Self::Triangulation { centres, local } => centres.saturating_mul(local),
            Self::Mop { centres, local } => {
                local.saturating_add(centres.saturating_mul(local).saturating_mul(2))
            }
            Self::Fisher { centres, local } => centres.saturating_mul(local).saturating_mul(2),
            Self::SecondOrder { local, mean, .. } => {
                let triangle = local.saturating_mul(local.saturating_add(1)) / 2;
                triangle + if mean { local } else { 0 }
            }
            _ => channels,
        }
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// What must hold and what was found, as a fragment of a sentence.
    pub(super) fn check(&self) -> Result<(), String> {
        let within = |name: &str, value: usize, most: usize| {
            let fits = (1..=most).contains(&value);
            fits.then_some(())
                .ok_or_else(|| format!("{name} must be 1 to {most}, found {value}"))
        };
        let range = |name: &str, value: f32, low: f32, high: f32| {
            let fits = (low..=high).contains(&value);
            fits.then_some(())
                .ok_or_else(|| format!("{name} must be {low} to {high}, found {value}"))
        };
        match *self {
            Self::Average | Self::Max | Self::Crow | Self::Landmarks => {}
            Self::Centre { sigma } => range("sigma", sigma, 0.01, 100.0)?,
            Self::Gem { p } => range("p", p, 1.0, 32.0)?,
            Self::Rmac { levels } | Self::RegionalSpoc { levels } => {
                within("levels", levels, MOST_LEVELS)?;
            }
            Self::NetVlad { alpha, .. } => range("alpha", alpha, 0.01, 1000.0)?,
            _ => {}
        }
        if let Some(shape) = self.codebook() {
            within("local", shape.local, LARGEST_LOCAL)?;
            if shape.centres > 0 || !matches!(self, Self::SecondOrder { .. }) {
                within("centres", shape.centres, MOST_CENTRES)?;
            }
            let length = self.length(1, 1);
            if length > LONGEST {
                return Err(format!(
                    "centres and local give a vector of {length} components, more than {LONGEST}; ask for less of either"
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
    fn json_names_are_short_and_parameters_optional() {
        for (json, pool) in [
            (r#""average""#, Pool::Average),
            (r#""sum""#, Pool::Average),
            (r#""mac""#, Pool::Max),
            (r#"{"centre":{}}"#, Pool::paper_centre()),
            (r#"{"rmac":{}}"#, Pool::Rmac { levels: 3 }),
            (
                r#"{"vlad":{"centres":8}}"#,
                Pool::Vlad {
                    centres: 8,
                    local: 64,
                },
            ),
        ] {
            assert_eq!(serde_json::from_str::<Pool>(json).unwrap(), pool, "{json}");
        }
        assert!(serde_json::from_str::<Pool>(r#"{"rmac":{"level":3}}"#).is_err());
    }

    #[test]
    fn a_vector_too_long_to_fit_is_refused() {
        let pool = Pool::Fisher {
            centres: 64,
            local: 64,
        };
        assert_eq!(pool.check(), Ok(()));
        let pool = Pool::Fisher {
            centres: 65,
            local: 64,
        };
        assert!(pool.check().unwrap_err().contains("8320 components"));
        let pool = Pool::SecondOrder {
            local: 0,
            root: Root::Matrix,
            mean: false,
        };
        assert!(pool.check().unwrap_err().contains("local must be 1 to 512"));
    }
}
