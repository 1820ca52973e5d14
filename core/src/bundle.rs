//! The model bundle: one mapped file that holds everything that decides a descriptor (backbone,
//! preprocessing, recipe, whitening) and the card that says where it comes from.
//!
//! Sections (see `container`): `spec` preprocessing, recipe and heads as JSON, `plan` the quantised network
//! or `onnx` the network in float (exactly one of the two), `whit` the whitenings, `code` codebooks and
//! the joint projection where the recipe has any, `card` name, licence and notes. The fingerprint
//! covers all but the card.

mod heads;
mod learned;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::backbone::{Backbone, BackboneError, Preprocessing};
use crate::container::{Container, ContainerError, ContainerWriter, Kind, Tag};
use crate::descriptor::{Learned, Recipe, RecipeError, Whitening};
use crate::fingerprint::Fingerprint;

pub use heads::{AttributeHead, Heads, Labelling};

const SPEC: Tag = Tag(*b"spec");
const CARD: Tag = Tag(*b"card");
const ONNX: Tag = Tag(*b"onnx");
const PLAN: Tag = Tag(*b"plan");
const WHITENINGS: Tag = Tag(*b"whit");
const CODEBOOKS: Tag = Tag(*b"code");

/// Changes when the code computes other descriptors from the same bundle.
const PIPELINE: &[u8] = b"pocketlens descriptor pipeline 1";

/// No photo becomes more bytes of input, all views at a time, whatever a file asks for.
const LARGEST_INPUTS: u64 = 256 << 20;

/// What decides a descriptor, besides the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Pixels to the network's input.
    pub preprocessing: Preprocessing,
    /// Maps to the descriptor.
    pub recipe: Recipe,
    /// What else the network says.
    #[serde(default, skip_serializing_if = "Heads::is_empty")]
    pub heads: Heads,
}

impl Spec {
    /// What decides a descriptor, without heads.
    pub fn new(preprocessing: Preprocessing, recipe: Recipe) -> Self {
        Self {
            preprocessing,
            recipe,
            heads: Heads::default(),
        }
    }

    /// The outputs of the network that recipe and heads read, each once.
    pub fn taps(&self) -> Vec<String> {
        let mut taps = self.recipe.taps();
        for tap in self.heads.taps() {
            if !taps.contains(tap) {
                taps.push(tap.clone());
            }
        }
        taps
    }

    /// Bytes of the network's inputs for one photo, all views at a time, at most.
    pub(crate) fn input_bytes(&self) -> u64 {
        self.recipe.views.input_bytes(&self.preprocessing.sizing)
    }
}

/// The network of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network<'a> {
    /// An ONNX model that runs in float (feature `tract`).
    Onnx(&'a [u8]),
    /// A quantised plan, as [`quantise`](crate::backbone::quantise) makes it.
    Plan(&'a [u8]),
}

impl Network<'_> {
    /// The model's or the plan's bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Onnx(bytes) | Self::Plan(bytes) => bytes,
        }
    }
}

impl<'a> From<&'a [u8]> for Network<'a> {
    /// Bare bytes are an ONNX model.
    fn from(onnx: &'a [u8]) -> Self {
        Self::Onnx(onnx)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Network<'a> {
    fn from(onnx: &'a [u8; N]) -> Self {
        Self::Onnx(onnx)
    }
}

/// What people should know of a bundle; not part of the fingerprint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Short name, such as `default`.
    pub name: String,
    /// What the backbone is.
    pub backbone: String,
    /// Licence of the weights.
    pub licence: String,
    /// Where weights and training data come from.
    #[serde(default)]
    pub notes: String,
}

/// Why a bundle was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The file is no sound container.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The container is sound but holds no usable bundle.
    #[error("{file}: section {section}: {reason}; fetch or make the bundle again")]
    Content {
        /// The bundle's file.
        file: String,
        /// The section at fault.
        section: &'static str,
        /// What was expected and found.
        reason: String,
    },
    /// The recipe is out of range.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// What was learned and the recipe do not fit each other.
    #[error("whitening {part}: {reason}")]
    Whitening {
        /// The recipe's part.
        part: usize,
        /// What does not fit.
        reason: String,
    },
}

/// An open bundle. Cloning is cheap: the file stays mapped once.
#[derive(Clone, Debug)]
pub struct Bundle {
    container: Arc<Container>,
    file: String,
    spec: Spec,
    card: Card,
    learned: Learned,
}

impl Bundle {
    /// The default bundle, which is part of the library.
    ///
    /// # Errors
    /// None in a released library; the types leave room for a damaged binary.
    #[cfg(feature = "embedded")]
    pub fn embedded() -> Result<Self, BundleError> {
        const DEFAULT: &[u8] = include_bytes!("../../models/default.lens");
        let file = "(embedded bundle)";
        Self::read(
            Container::from_static(DEFAULT, Kind::Bundle)?,
            file.to_owned(),
        )
    }

    /// Maps a `.lens` file. Structure is checked here; checksums by [`Bundle::verify`].
    ///
    /// # Errors
    /// [`BundleError`] names the file and what is wrong with it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, BundleError> {
        let path = path.as_ref();
        Self::read(
            Container::open(path, Kind::Bundle)?,
            path.display().to_string(),
        )
    }

    fn read(container: Container, file: String) -> Result<Self, BundleError> {
        let content = |section, reason: String| BundleError::Content {
            file: file.clone(),
            section,
            reason,
        };
        let section = |tag, name| {
            container
                .section(tag)
                .ok_or_else(|| content(name, "is missing".to_owned()))
        };
        let spec: Spec = serde_json::from_slice(section(SPEC, "spec")?)
            .map_err(|error| content("spec", error.to_string()))?;
        spec.recipe.check()?;
        let heads = spec.heads.check();
        heads.map_err(|reason| content("spec", reason))?;
        let sizing = spec.preprocessing.sizing.check();
        sizing.map_err(|error| content("spec", error.to_string()))?;
        let inputs = spec.input_bytes();
        if inputs > LARGEST_INPUTS {
            let reason =
                format!("inputs of at most {LARGEST_INPUTS} bytes expected, found {inputs}");
            return Err(content("spec", reason));
        }
        let card: Card = serde_json::from_slice(section(CARD, "card")?)
            .map_err(|error| content("card", error.to_string()))?;
        if container.section(ONNX).is_some() == container.section(PLAN).is_some() {
            let reason = "expected either this section or onnx".to_owned();
            return Err(content("plan", reason));
        }
        let whitenings = learned::whitenings_from_bytes(section(WHITENINGS, "whit")?)
            .ok_or_else(|| content("whit", "lengths do not fit the section".to_owned()))?;
        let (codebooks, joint) = match container.section(CODEBOOKS) {
            Some(bytes) => learned::codebooks_from_bytes(bytes, spec.recipe.parts.len())
                .ok_or_else(|| content("code", "lengths do not fit the section".to_owned()))?,
            None => Default::default(),
        };
        let learned = Learned {
            whitenings,
            codebooks,
            joint,
        };
        check_learned(&spec.recipe, &learned)?;
        Ok(Self {
            container: Arc::new(container),
            file,
            spec,
            card,
            learned,
        })
    }

    /// Checks every checksum, and that the fingerprint is that of the content.
    ///
    /// # Errors
    /// [`BundleError`] names the damaged section.
    pub fn verify(&self) -> Result<(), BundleError> {
        self.container.verify()?;
        let whitenings = self.container.section(WHITENINGS).unwrap_or_default();
        let codebooks = self.container.section(CODEBOOKS).unwrap_or_default();
        let found = fingerprint_of(&self.spec, self.network(), whitenings, codebooks);
        if found != self.fingerprint() {
            return Err(BundleError::Content {
                file: self.file.clone(),
                section: "header",
                reason: format!(
                    "fingerprint {} expected from the content, found {}",
                    found,
                    self.fingerprint()
                ),
            });
        }
        Ok(())
    }

    /// Hash of everything that decides a descriptor.
    pub fn fingerprint(&self) -> Fingerprint {
        self.container.fingerprint()
    }

    /// Preprocessing and recipe.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Name, licence, notes.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// The network.
    pub fn network(&self) -> Network<'_> {
        match self.container.section(PLAN) {
            Some(plan) => Network::Plan(plan),
            None => Network::Onnx(self.container.section(ONNX).unwrap_or_default()),
        }
    }

    /// The network as ONNX; empty when it is a plan. See [`Bundle::network`].
    pub fn onnx(&self) -> &[u8] {
        self.container.section(ONNX).unwrap_or_default()
    }

    /// Makes the network ready to run, with the taps of any recipe. A plan's weights are used where
    /// they are mapped.
    ///
    /// # Errors
    /// [`BackboneError`] when the network cannot be read or lacks a tap;
    /// [`BackboneError::NeedsTract`] for ONNX in a library without the feature `tract`.
    pub fn backbone(&self, taps: &[String]) -> Result<Backbone, BackboneError> {
        let preprocessing = self.spec.preprocessing.clone();
        match self.network() {
            Network::Plan(_) => {
                let plan = Arc::new(PlanSection(self.container.clone()));
                Backbone::from_shared_plan(plan, preprocessing, taps)
            }
            #[cfg(feature = "tract")]
            Network::Onnx(onnx) => Backbone::from_onnx(onnx, preprocessing, taps),
            #[cfg(not(feature = "tract"))]
            Network::Onnx(_) => Err(BackboneError::NeedsTract),
        }
    }

    /// Whitenings, one a part of the recipe.
    pub fn whitenings(&self) -> &[Whitening] {
        &self.learned.whitenings
    }

    /// Everything that the recipe learned: whitenings, codebooks, the joint projection.
    pub fn learned(&self) -> &Learned {
        &self.learned
    }

    /// Components of a descriptor: the recipe's when fitted.
    pub fn dim(&self) -> usize {
        self.spec.recipe.dim()
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        self.container.bytes()
    }
}

/// The plan inside of a mapped file, which it keeps mapped.
struct PlanSection(Arc<Container>);

impl AsRef<[u8]> for PlanSection {
    fn as_ref(&self) -> &[u8] {
        self.0.section(PLAN).unwrap_or_default()
    }
}

/// Writes a bundle. The same parts give the same bytes.
///
/// # Errors
/// [`BundleError`] when the parts do not fit each other or the file cannot be written.
pub fn write<'n>(
    path: impl Into<PathBuf>,
    spec: &Spec,
    card: &Card,
    network: impl Into<Network<'n>>,
    learned: &Learned,
) -> Result<Fingerprint, BundleError> {
    let network = network.into();
    spec.recipe.check()?;
    check_learned(&spec.recipe, learned)?;
    let whitenings = learned::whitenings_to_bytes(&learned.whitenings);
    let codebooks = learned::codebooks_to_bytes(learned, spec.recipe.parts.len());
    let fingerprint = fingerprint_of(spec, network, &whitenings, &codebooks);
    let mut writer = ContainerWriter::new(Kind::Bundle, fingerprint);
    writer.section(SPEC, json(spec));
    writer.section(CARD, json(card));
    match network {
        Network::Onnx(onnx) => writer.section(ONNX, onnx),
        Network::Plan(plan) => writer.section(PLAN, plan),
    };
    writer.section(WHITENINGS, whitenings);
    if !codebooks.is_empty() {
        writer.section(CODEBOOKS, codebooks);
    }
    writer.write(&path.into())?;
    Ok(fingerprint)
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("plain data serialises")
}

/// Heads, the recipe's name and the way in which it was fitted do not decide a descriptor. Without
/// codebooks the fingerprint is that of recipes older than they are.
fn fingerprint_of(
    spec: &Spec,
    network: Network<'_>,
    whitenings: &[u8],
    codebooks: &[u8],
) -> Fingerprint {
    let mut spec = spec.clone();
    spec.heads = Heads::default();
    spec.recipe.name.clear();
    spec.recipe
        .parts
        .iter_mut()
        .for_each(|part| part.whitening = Default::default());
    let spec = json(&spec);
    let mut parts = vec![PIPELINE, &spec];
    // One part more: no plan can be taken for an ONNX model.
    if let Network::Plan(_) = network {
        parts.push(b"plan");
    }
    parts.extend([network.bytes(), whitenings]);
    if !codebooks.is_empty() {
        parts.extend([&b"code"[..], codebooks]);
    }
    Fingerprint::of_parts(parts)
}

fn check_learned(recipe: &Recipe, learned: &Learned) -> Result<(), BundleError> {
    let wrong = |(part, reason)| BundleError::Whitening { part, reason };
    learned.check(recipe).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::{Part, Pool, Whitening};

    fn parts() -> (Spec, Card, Learned) {
        let recipe = Recipe::new("tiny", vec![Part::new("t", Pool::Average, 1)]);
        let spec = Spec::new(Preprocessing::default(), recipe);
        let card = Card {
            name: "tiny".into(),
            licence: "MIT".into(),
            ..Card::default()
        };
        let whitening = Whitening::new(vec![0.5, 0.25], &[1.0, -2.0]).unwrap();
        (spec, card, vec![whitening].into())
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.lens");
        let (spec, card, learned) = parts();
        let fingerprint = write(&path, &spec, &card, b"onnx", &learned).unwrap();
        let bundle = Bundle::open(&path).unwrap();
        bundle.verify().unwrap();
        assert_eq!(bundle.fingerprint(), fingerprint);
        assert_eq!((bundle.spec(), bundle.card()), (&spec, &card));
        assert_eq!((bundle.learned(), bundle.onnx()), (&learned, &b"onnx"[..]));
    }

    #[test]
    fn the_fingerprint_follows_what_decides_a_descriptor_and_nothing_else() {
        let (spec, _, learned) = parts();
        let bytes = learned::whitenings_to_bytes(&learned.whitenings);
        let of = |spec: &Spec, network, bytes| fingerprint_of(spec, network, bytes, &[]);
        let fingerprint = of(&spec, b"onnx".into(), &bytes);
        let mut renamed = spec.clone();
        renamed.recipe.name = "other".into();
        assert_eq!(of(&renamed, b"onnx".into(), &bytes), fingerprint);
        let mut talkative = spec.clone();
        talkative.heads.detector = Some("boxes".to_owned());
        assert_eq!(of(&talkative, b"onnx".into(), &bytes), fingerprint);
        let mut weighted = spec.clone();
        weighted.recipe.parts[0].weight = 2.0;
        assert_ne!(of(&weighted, b"onnx".into(), &bytes), fingerprint);
        let plan = Network::Plan(b"onnx");
        assert_ne!(of(&spec, plan, &bytes), fingerprint);
        assert_ne!(of(&spec, b"onny".into(), &bytes), fingerprint);
        assert_ne!(of(&spec, b"onnx".into(), &bytes[1..]), fingerprint);
        let with_codebooks = fingerprint_of(&spec, b"onnx".into(), &bytes, b"codebooks");
        assert_ne!(with_codebooks, fingerprint);
    }

    #[test]
    fn whitenings_of_another_recipe_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (mut spec, card, learned) = parts();
        spec.recipe.parts[0].dim = 2;
        let refused = write(
            folder.path().join("x.lens"),
            &spec,
            &card,
            b"onnx",
            &learned,
        );
        assert!(matches!(
            refused,
            Err(BundleError::Whitening { part: 0, .. })
        ));
    }
}
