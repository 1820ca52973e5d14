//! Props: the things that happen to lie around where a photo is taken.

use fastrand::Rng;
use glam::vec3;

use super::shape::{Face, Ring, face, lathe, ring};
use super::{Material, Mesh, Model, Texture};
use crate::art::canvas::Canvas;
use crate::art::palette::{BLACK, Palette, Rgb, WHITE, mix};
use crate::art::pattern::Pattern;

/// Props that stand on a table.
pub(crate) fn standing(rng: &mut Rng) -> Model {
    match rng.u8(..5) {
        0 | 1 => {
            let half = vec3(0.16 + 0.2 * rng.f32(), 0.3 + 0.25 * rng.f32(), 0.12);
            block(rng, half)
        }
        2 => round(
            &[
                (0.0, 0.4),
                (0.12, 0.4),
                (0.13, 0.38),
                (0.13, -0.38),
                (0.12, -0.4),
                (0.0, -0.4),
            ],
            colour(rng),
            0.3,
        ),
        3 => cup(rng),
        _ => round(
            &[
                (0.03, 0.3),
                (0.12, 0.26),
                (0.22, 0.16),
                (0.26, 0.0),
                (0.22, -0.16),
                (0.12, -0.25),
                (0.0, -0.27),
            ],
            [[232, 130, 28], [196, 38, 40], [120, 168, 48]][rng.usize(..3)],
            0.25,
        ),
    }
}

/// Props that lie on a table, seen from above: z is up.
pub(crate) fn lying(rng: &mut Rng) -> Model {
    match rng.u8(..6) {
        0 => upward(round(
            &[
                (0.5, 0.06),
                (0.47, 0.05),
                (0.36, 0.01),
                (0.33, 0.0),
                (0.0, 0.0),
            ],
            mix(colour(rng), WHITE, 0.7),
            0.3,
        )),
        1 => pen(rng),
        2 => upward(cup(rng)),
        3 => upward(round(
            &[(0.0, 0.012), (0.075, 0.012), (0.08, 0.0)],
            [196, 160, 92],
            0.7,
        )),
        4 => {
            let half = vec3(0.2 + 0.12 * rng.f32(), 0.36, 0.02 + 0.05 * rng.f32());
            block(rng, half)
        }
        _ => phone(),
    }
}

fn colour(rng: &mut Rng) -> Rgb {
    const MUTED: [Rgb; 9] = [
        [172, 62, 52],
        [66, 104, 146],
        [214, 172, 82],
        [94, 128, 92],
        [222, 218, 208],
        [64, 66, 74],
        [140, 104, 148],
        [206, 138, 110],
        [88, 148, 148],
    ];
    MUTED[rng.usize(..MUTED.len())]
}

fn round(outline: &[(f32, f32)], colour: Rgb, gloss: f32) -> Model {
    let profile: Vec<Ring> = outline
        .iter()
        .map(|&(radius, y)| (radius, y, 0.5))
        .collect();
    Model::new(vec![(lathe(&profile), Material::plain(colour, gloss))])
}

fn cup(rng: &mut Rng) -> Model {
    let glaze = Material::plain(colour(rng), 0.3);
    let body = lathe(&[
        (0.22, 0.22, 0.0),
        (0.23, 0.2, 0.2),
        (0.22, -0.15, 0.8),
        (0.15, -0.22, 1.0),
    ]);
    let drink = lathe(&[(0.0, 0.17, 0.0), (0.215, 0.17, 1.0)]);
    let handle = ring(vec3(0.24, 0.0, 0.0), glam::vec2(0.1, 0.13), 0.028);
    Model::new(vec![
        (body, glaze.clone()),
        (drink, Material::plain([66, 38, 22], 0.3)),
        (handle, glaze),
    ])
}

fn block(rng: &mut Rng, half: glam::Vec3) -> Model {
    let ground = colour(rng);
    let palette = Palette {
        ground,
        second: colour(rng),
        paper: WHITE,
        dark: mix(ground, BLACK, 0.7),
    };
    let patterns = [
        Pattern::Plain,
        Pattern::Bars,
        Pattern::Dots,
        Pattern::Stripes,
        Pattern::Checks,
    ];
    let pattern = patterns[rng.usize(..patterns.len())];
    let mut print = Canvas::new(128, 160);
    pattern.cover(&mut print, &palette, palette.tone(), 26.0, rng);
    let print = Material::new(Texture::new(&print.into_pixmap()), 0.1);
    let sides = [Face::Front, Face::Left, Face::Right, Face::Top];
    Model::new(sides.map(|side| (face(side, half), print.clone())).to_vec())
}

fn pen(rng: &mut Rng) -> Model {
    let barrel: Vec<Ring> = [(0.0, 0.42), (0.025, 0.41), (0.028, 0.1), (0.028, -0.33)]
        .map(|(r, y)| (r, y, 0.5))
        .to_vec();
    let tip: Vec<Ring> = [(0.028, -0.33), (0.004, -0.43)]
        .map(|(r, y)| (r, y, 0.5))
        .to_vec();
    Model::new(vec![
        (lathe(&barrel), Material::plain(colour(rng), 0.4)),
        (lathe(&tip), Material::metal([180, 180, 186], 0.6)),
    ])
}

fn phone() -> Model {
    let half = vec3(0.2, 0.42, 0.018);
    let body = Material::plain([30, 31, 36], 0.3);
    let sides = [Face::Left, Face::Right, Face::Top, Face::Bottom];
    let mut parts: Vec<(Mesh, Material)> =
        sides.map(|side| (face(side, half), body.clone())).to_vec();
    parts.push((face(Face::Front, half), Material::plain([12, 13, 17], 0.55)));
    Model::new(parts)
}

/// Turns a solid of revolution so that its axis points at the viewer.
fn upward(model: Model) -> Model {
    let turn = |v: glam::Vec3| vec3(v.x, -v.z, v.y);
    let parts = model.parts.into_iter().map(|(mut mesh, material)| {
        for vertex in &mut mesh.vertices {
            vertex.place = turn(vertex.place);
            vertex.normal = turn(vertex.normal);
        }
        (mesh, material)
    });
    Model::new(parts.collect())
}
