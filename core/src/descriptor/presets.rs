//! Recipes by name: the default, and one for each of the field's methods.
//!
//! All are for the taps of MobileNetV2 and its students: c20 (output of block 6) and c39 (expansion
//! of block 13) at stride 16, c50 (output of block 16) and c51 (last 1×1) at stride 32; `multi-level`
//! has earlier ones too.

use super::{Part, Pool, Recipe, Resize, Root, Views, Weighting, WhiteningFit};

/// Every name, in the order of the table of `ACCURACY.md`.
pub(super) const NAMES: &[&str] = &[
    "spoc",
    "spoc-centre",
    "spoc-wide",
    "mac",
    "gem",
    "rmac",
    "regional-spoc",
    "crow",
    "energy",
    "rarity",
    "border-distance",
    "centre-c39",
    "vlad",
    "vlad-c39",
    "netvlad",
    "mop",
    "fisher",
    "triangulation",
    "second-order",
    "second-order-signed",
    "second-and-first-order",
    "early-fusion",
    "multi-level",
    "late-256",
    "late-512",
    "multi-scale",
    "mirrored",
    "three-taps",
    "focused",
];

fn pca(tap: &str, pool: Pool, dim: usize) -> Part {
    Part {
        whitening: WhiteningFit::Pca,
        ..Part::new(tap, pool, dim)
    }
}

/// The best one measured (`ACCURACY.md`): taps at both strides, each pooled where it differs from its
/// surroundings, whitened by what captures of one thing differ in. c42 is the expansion of block 14.
fn focused() -> Vec<Part> {
    let part = |tap, sigma, weighting, power, dim, shrinkage, weight| Part {
        weighting: Some(weighting),
        power,
        weight,
        whitening: WhiteningFit::Pairs { shrinkage },
        ..Part::new(tap, Pool::Centre { sigma }, dim)
    };
    let (once, twice) = (Weighting::BorderDistance, Weighting::SquareBorderDistance);
    vec![
        part("c39", 0.4, once, 0.5, 128, 0.03, 1.0),
        part("c42", 0.5, twice, 1.0, 64, 0.03, 0.5),
        part("c51", 0.5, once, 0.5, 64, 0.2, 0.6),
    ]
}

/// Eight levels: the ends of the six stages at strides 4 to 32, and the expansions of the blocks on both
/// sides of the last stride, max-pooled to one grid and summed. The 1×1 convolution over them is the
/// whitening (`fuse.rs`), learned from captures as its weights are to be.
fn multi_level() -> Part {
    let further = ["c11", "c20", "c32", "c39", "c42", "c50", "c51"];
    Part {
        fuse: further.map(str::to_owned).to_vec(),
        resize: Resize::Max,
        ..Part::new("c05", Pool::Average, 256)
    }
}

fn weighted(tap: &str, pool: Pool, weighting: Weighting, dim: usize) -> Part {
    Part {
        weighting: Some(weighting),
        ..pca(tap, pool, dim)
    }
}

pub(super) fn named(name: &str) -> Option<Recipe> {
    let wide = Pool::Centre { sigma: 0.5 };
    let centre = Pool::paper_centre();
    let (centres, local) = (16, 64);
    let second_order = |root, mean| Pool::SecondOrder { local, root, mean };
    let one = |part| vec![part];
    let parts = match name {
        "spoc" => one(pca("c51", Pool::Average, 256)),
        "spoc-centre" => one(pca("c51", centre, 256)),
        "spoc-wide" => one(pca("c51", wide, 256)),
        "mac" => one(pca("c51", Pool::Max, 256)),
        "gem" => one(pca("c51", Pool::Gem { p: 3.0 }, 256)),
        "rmac" => one(pca("c51", Pool::Rmac { levels: 3 }, 256)),
        "regional-spoc" => one(pca("c51", Pool::RegionalSpoc { levels: 3 }, 256)),
        "crow" => one(pca("c51", Pool::Crow, 256)),
        "energy" => one(weighted("c39", wide, Weighting::Energy, 256)),
        "rarity" => one(weighted("c39", wide, Weighting::Rarity, 256)),
        "border-distance" => one(weighted("c39", wide, Weighting::BorderDistance, 256)),
        "centre-c39" => one(pca("c39", centre, 256)),
        "vlad" => one(pca("c50", Pool::Vlad { centres, local }, 256)),
        "vlad-c39" => one(pca("c39", Pool::Vlad { centres, local }, 256)),
        "netvlad" => one(pca(
            "c39",
            Pool::NetVlad {
                centres,
                local,
                alpha: 10.0,
            },
            256,
        )),
        "mop" => one(pca("c39", Pool::Mop { centres, local }, 256)),
        "fisher" => one(pca("c39", Pool::Fisher { centres, local }, 256)),
        "triangulation" => one(pca("c39", Pool::Triangulation { centres, local }, 256)),
        "second-order" => one(pca("c50", second_order(Root::Matrix, false), 256)),
        "second-order-signed" => one(pca("c50", second_order(Root::Signed, false), 256)),
        "second-and-first-order" => one(pca("c50", second_order(Root::Matrix, true), 256)),
        "early-fusion" => one(Part {
            fuse: vec!["c51".to_owned()],
            ..pca("c39", Pool::Average, 256)
        }),
        "multi-level" => one(multi_level()),
        "late-256" | "late-512" | "multi-scale" | "mirrored" => {
            let dim = if name == "late-256" { 128 } else { 256 };
            vec![pca("c51", Pool::Average, dim), pca("c39", centre, dim)]
        }
        "three-taps" => vec![
            Part::new("c20", centre, 64),
            Part::new("c39", centre, 96),
            Part::new("c51", Pool::Average, 96),
        ],
        "focused" => focused(),
        _ => return None,
    };
    let views = match name {
        "multi-scale" => Views {
            scales: vec![0.7, 1.0, 1.4],
            mirrored: false,
        },
        "mirrored" => Views {
            mirrored: true,
            ..Views::default()
        },
        _ => Views::default(),
    };
    Some(Recipe {
        views,
        ..Recipe::new(name, parts)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multi_level_fuses_eight_levels_by_their_maxima() {
        let recipe = named("multi-level").unwrap();
        let [part] = &recipe.parts[..] else {
            panic!("one part")
        };
        assert_eq!((recipe.taps().len(), part.resize), (8, Resize::Max));
        // Learned from captures: what stands for the weights of the 1×1 convolution.
        assert!(matches!(part.whitening, WhiteningFit::Pairs { .. }));
    }
}
