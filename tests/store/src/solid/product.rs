//! The kinds of product: which solid each is, and how its artwork lies on it.

use std::f32::consts::PI;
use std::sync::Arc;

use fastrand::Rng;
use glam::{Vec3, vec2, vec3};
use tiny_skia::{PixmapPaint, Transform};

use super::shape::{Face, Ring, face, lathe, relief, ring};
use super::{Material, Mesh, Model, Texture};
use crate::art::canvas::{Canvas, circle, polyline, rectangle};
use crate::art::layout::{Design, side};
use crate::art::palette::{BLACK, Rgb, WHITE, mix, named};
use crate::art::sneaker;

/// What a product is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Cereal,
    Tea,
    Book,
    Record,
    Poster,
    Chocolate,
    Can,
    Bottle,
    Jar,
    Pouch,
    Mug,
    Sneaker,
}

impl Kind {
    /// The word in the catalogue.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cereal => "cereal",
            Self::Tea => "tea",
            Self::Book => "book",
            Self::Record => "record",
            Self::Poster => "poster",
            Self::Chocolate => "chocolate",
            Self::Can => "can",
            Self::Bottle => "bottle",
            Self::Jar => "jar",
            Self::Pouch => "pouch",
            Self::Mug => "mug",
            Self::Sneaker => "sneaker",
        }
    }

    /// Whether it stands upright on a table; the others lie on it, seen from above.
    pub(crate) fn stands(self) -> bool {
        !matches!(
            self,
            Self::Book | Self::Record | Self::Poster | Self::Chocolate | Self::Pouch
        )
    }

    /// The product as a solid, about one unit high.
    pub(crate) fn build(self, design: &Design) -> Model {
        match self {
            Self::Cereal => carton(design, vec3(0.34, 0.5, 0.1), 0.18),
            Self::Tea => carton(design, vec3(0.36, 0.42, 0.22), 0.18),
            Self::Chocolate => carton(design, vec3(0.26, 0.5, 0.035), 0.3),
            Self::Poster => carton(design, vec3(0.35, 0.5, 0.008), 0.12),
            Self::Book => book(design),
            Self::Record => record(design),
            Self::Can => can(design),
            Self::Bottle => bottle(design),
            Self::Jar => jar(design),
            Self::Pouch => pouch(design),
            Self::Mug => mug(design),
            Self::Sneaker => shoe(design),
        }
    }
}

/// Texels for one unit of length.
const DENSITY: f32 = 620.0;

fn texels(length: f32) -> u32 {
    (DENSITY * length).max(8.0) as u32
}

fn texture(canvas: Canvas) -> Texture {
    Texture::new(&canvas.into_pixmap())
}

fn carton(design: &Design, half: Vec3, gloss: f32) -> Model {
    let (w, h, d) = (
        texels(2.0 * half.x),
        texels(2.0 * half.y),
        texels(2.0 * half.z),
    );
    let front = Material::new(texture(design.front(w, h, 0.0)), gloss);
    let edge = Material::new(texture(side(design, d, h)), gloss);
    let mut lid = Canvas::new(w, d);
    lid.flood(mix(design.palette.ground, BLACK, 0.06));
    let place = (
        0.2 * lid.width(),
        0.25 * lid.height(),
        0.6 * lid.width(),
        0.5 * lid.height(),
    );
    let ink = design.palette.ink_on(design.palette.ground);
    lid.letters(
        design.brand,
        crate::art::lettering::Face::CAPITALS,
        place,
        crate::art::lettering::Align::Centre,
        ink,
    );
    let lid = Material::new(texture(lid), gloss);
    let plain = Material::plain(design.palette.ground, gloss);
    Model::new(vec![
        (face(Face::Front, half), front),
        (face(Face::Left, half), edge.clone()),
        (face(Face::Right, half), edge),
        (face(Face::Top, half), lid.clone()),
        (face(Face::Bottom, half), lid),
        (face(Face::Back, half), plain),
    ])
}

fn book(design: &Design) -> Model {
    let half = vec3(0.33, 0.5, 0.05);
    let mut cover = design.front(texels(2.0 * half.x), texels(2.0 * half.y), 0.0);
    let (w, h) = (cover.width(), cover.height());
    // The hinge of the binding.
    cover.stroke_tint(
        &polyline([(0.035 * w, 0.0), (0.035 * w, h)]),
        BLACK,
        0.012 * w,
        0.25,
    );
    cover.stroke_tint(
        &polyline([(0.047 * w, 0.0), (0.047 * w, h)]),
        WHITE,
        0.006 * w,
        0.25,
    );
    let mut paper = Canvas::new(16, 32);
    paper.flood(named("cream"));
    for line in 0..8 {
        let y = 4.0 * line as f32 + 1.5;
        paper.stroke_tint(&polyline([(0.0, y), (16.0, y)]), BLACK, 1.0, 0.12);
    }
    let pages = Material::new(texture(paper), 0.0);
    let spine = Material::new(
        texture(side(design, texels(2.0 * half.z), texels(2.0 * half.y))),
        0.15,
    );
    let back = Material::plain(design.palette.ground, 0.15);
    Model::new(vec![
        (face(Face::Front, half), Material::new(texture(cover), 0.15)),
        (face(Face::Left, half), spine),
        (face(Face::Right, half), pages.clone()),
        (face(Face::Top, half), pages.clone()),
        (face(Face::Bottom, half), pages),
        (face(Face::Back, half), back),
    ])
}

/// A sleeve with the edge of the disc looking out.
fn record(design: &Design) -> Model {
    let mut model = carton(design, vec3(0.47, 0.47, 0.01), 0.22);
    let disc: [Ring; 2] = [(0.45, 0.002, 0.0), (0.0, 0.002, 1.0)];
    let mut mesh = lathe(&disc);
    for vertex in &mut mesh.vertices {
        let p = vertex.place;
        vertex.place = vec3(p.x + 0.09, -p.z, p.y - 0.002);
        vertex.normal = Vec3::Z;
    }
    let mut vinyl = Canvas::new(8, 256);
    vinyl.flood(mix(BLACK, WHITE, 0.05));
    for groove in 0..60 {
        let y = 4.0 * groove as f32;
        vinyl.stroke_tint(&polyline([(0.0, y), (8.0, y)]), WHITE, 0.8, 0.12);
    }
    model.parts.push((mesh, Material::new(texture(vinyl), 0.5)));
    Model::new(model.parts)
}

/// The front of the artwork twice around, so that each covers half of the circumference.
fn wrapped(design: &Design, radius: f32, height: f32, gloss: f32) -> Material {
    let (w, h) = (texels(PI * radius), texels(height));
    let front = design.front(w, h, 0.2).into_pixmap();
    let mut around = tiny_skia::Pixmap::new(2 * w, h).expect("a label has an area");
    let half = (w / 2) as i32;
    for x in [half - w as i32, half, half + w as i32] {
        let at = Transform::identity();
        around.draw_pixmap(x, 0, front.as_ref(), &PixmapPaint::default(), at, None);
    }
    Material::new(Texture::new(&around), gloss)
}

fn can(design: &Design) -> Model {
    let (r, top, bottom) = (0.27, 0.5, -0.5);
    let silver = Material::metal([214, 217, 222], 0.85);
    let body = lathe(&[
        (r, 0.41, 0.0),
        (r, 0.2, 0.25),
        (r, -0.2, 0.75),
        (r, -0.43, 1.0),
    ]);
    let neck = lathe(&[
        (0.22, top, 0.0),
        (0.225, 0.485, 0.2),
        (0.235, 0.455, 0.5),
        (r, 0.41, 1.0),
    ]);
    let rim = lathe(&[
        (0.205, 0.485, 0.0),
        (0.212, top, 0.5),
        (0.222, 0.5, 0.8),
        (0.224, 0.485, 1.0),
    ]);
    let lid = lathe(&[(0.0, 0.478, 0.0), (0.205, 0.478, 1.0)]);
    let foot = lathe(&[(r, -0.43, 0.0), (0.245, -0.475, 0.6), (0.21, bottom, 1.0)]);
    Model::new(vec![
        (
            body,
            Material {
                metal: true,
                ..wrapped(design, r, 0.84, 0.5)
            },
        ),
        (
            neck,
            Material::metal(mix(design.palette.ground, WHITE, 0.15), 0.6),
        ),
        (rim, silver.clone()),
        (lid, silver.clone()),
        (foot, silver),
    ])
}

fn bottle(design: &Design) -> Model {
    let p = &design.palette;
    let glass = match design.seed % 3 {
        0 => [58, 32, 14],
        1 => [24, 62, 34],
        _ => mix(p.ground, BLACK, 0.45),
    };
    let glass = Material::plain(glass, 0.75);
    let r = 0.165;
    let outline: Vec<Ring> = [
        (0.05, 0.43),
        (0.052, 0.36),
        (0.058, 0.28),
        (0.075, 0.22),
        (0.115, 0.16),
        (0.15, 0.11),
        (r, 0.05),
        (r, -0.1),
        (r, -0.3),
        (r, -0.46),
        (0.158, -0.485),
        (0.135, -0.5),
        (0.0, -0.5),
    ]
    .map(|(radius, y)| (radius, y, 0.5))
    .to_vec();
    let label = lathe(&[
        (r + 0.003, 0.02, 0.0),
        (r + 0.003, -0.2, 0.5),
        (r + 0.003, -0.42, 1.0),
    ]);
    let neck = lathe(&[(0.056, 0.345, 0.0), (0.062, 0.29, 0.5), (0.074, 0.235, 1.0)]);
    let cap = lathe(&[
        (0.0, 0.472, 0.0),
        (0.05, 0.472, 0.1),
        (0.06, 0.462, 0.2),
        (0.062, 0.42, 1.0),
        (0.05, 0.415, 1.0),
    ]);
    Model::new(vec![
        (lathe(&outline), glass),
        (label, wrapped(design, r, 0.44, 0.1)),
        (neck, Material::plain(p.second, 0.2)),
        (cap, Material::metal(mix(p.second, WHITE, 0.1), 0.6)),
    ])
}

fn jar(design: &Design) -> Model {
    let p = &design.palette;
    let content = mix(design.flavour_inks().main, BLACK, 0.25);
    let r = 0.3;
    let outline: Vec<Ring> = [
        (0.24, 0.36),
        (0.25, 0.33),
        (0.285, 0.29),
        (r, 0.24),
        (r, 0.0),
        (r, -0.3),
        (0.295, -0.38),
        (0.26, -0.42),
        (0.0, -0.42),
    ]
    .map(|(radius, y)| (radius, y, 0.5))
    .to_vec();
    let label = lathe(&[
        (r + 0.003, 0.2, 0.0),
        (r + 0.003, -0.05, 0.5),
        (r + 0.003, -0.32, 1.0),
    ]);
    let lid = lathe(&[
        (0.0, 0.462, 0.0),
        (0.2, 0.462, 0.6),
        (0.25, 0.455, 0.8),
        (0.262, 0.44, 0.9),
        (0.265, 0.36, 1.0),
    ]);
    let mut cloth = Canvas::new(64, 64);
    cloth.flood(p.second);
    for i in 0..8 {
        cloth.fill(
            &rectangle(8.0 * i as f32, 0.0, 4.0, 64.0),
            mix(p.second, WHITE, 0.35),
        );
    }
    Model::new(vec![
        (lathe(&outline), Material::plain(content, 0.7)),
        (label, wrapped(design, r, 0.52, 0.08)),
        (
            lid,
            Material {
                metal: true,
                ..Material::new(texture(cloth), 0.35)
            },
        ),
    ])
}

fn pouch(design: &Design) -> Model {
    let half = vec3(0.34, 0.5, 0.07);
    let mut print = design.front(texels(2.0 * half.x), texels(2.0 * half.y), 0.06);
    let (w, h) = (print.width(), print.height());
    for line in 0..6 {
        let y = (0.004 + 0.006 * line as f32) * h;
        print.stroke_tint(&polyline([(0.0, y), (w, y)]), WHITE, 0.0022 * h, 0.35);
        print.stroke_tint(
            &polyline([(0.0, h - y), (w, h - y)]),
            WHITE,
            0.0022 * h,
            0.25,
        );
    }
    print.fill(
        &circle(0.5 * w, 0.02 * h, 0.012 * w),
        mix(design.palette.ground, BLACK, 0.5),
    );
    let mut rng = Rng::with_seed(design.seed);
    let creases: Vec<_> = (0..7)
        .map(|_| (rng.f32(), 6.0 + 14.0 * rng.f32(), rng.f32() - 0.5))
        .collect();
    let sheet = relief(half, |uv| {
        let body = (1.0 - (2.0 * uv.x - 1.0).abs().powi(4)) * (PI * uv.y).sin().powf(0.6);
        let near_seam = (2.0 * uv.y - 1.0).abs().powi(3);
        let crease = |&(x, pitch, lean): &(f32, f32, f32)| {
            (pitch * PI * (uv.x - x + lean * uv.y)).sin() * 0.022
        };
        (body + near_seam * body.min(0.3) * 3.0 * creases.iter().map(crease).sum::<f32>()).max(0.0)
    });
    Model::new(vec![(sheet, Material::new(texture(print), 0.4))])
}

fn mug(design: &Design) -> Model {
    let (r, h) = (0.36, 0.42);
    let inside = mix(design.palette.ground, WHITE, 0.25);
    let body = lathe(&[
        (r, h, 0.0),
        (r, 0.1, 0.4),
        (r, -0.3, 0.87),
        (0.345, -0.37, 0.95),
        (0.3, -h, 1.0),
    ]);
    let lip = lathe(&[(0.335, h - 0.01, 0.0), (0.347, h + 0.008, 0.5), (r, h, 1.0)]);
    let hollow = lathe(&[(0.335, h - 0.01, 0.0), (0.33, 0.0, 0.5), (0.32, -0.3, 1.0)]);
    let drink = lathe(&[(0.0, 0.26, 0.0), (0.333, 0.26, 1.0)]);
    let handle = ring(vec3(r + 0.03, 0.02, 0.0), vec2(0.17, 0.23), 0.042);
    let glaze = Material::plain(inside, 0.35);
    let flipped = |mut mesh: Mesh| {
        mesh.vertices
            .iter_mut()
            .for_each(|vertex| vertex.normal = -vertex.normal);
        mesh
    };
    let coffee: Rgb = [48, 27, 16];
    Model::new(vec![
        (body, wrapped(design, r, 2.0 * h, 0.35)),
        (lip, glaze.clone()),
        (flipped(hollow), glaze),
        (drink, Material::plain(coffee, 0.3)),
        (
            handle,
            Material::plain(mix(design.palette.ground, BLACK, 0.05), 0.35),
        ),
    ])
}

fn shoe(design: &Design) -> Model {
    let half = vec3(0.55, 0.34, 0.1);
    let print = Arc::new(texture(sneaker::paint(
        design,
        texels(2.0 * half.x),
        texels(2.0 * half.y),
    )));
    let swell = Arc::clone(&print);
    let sheet = relief(half, |uv| {
        let reach = 0.035;
        let near = [
            (0.0, 0.0),
            (reach, 0.0),
            (-reach, 0.0),
            (0.0, 1.6 * reach),
            (0.0, -1.6 * reach),
        ];
        let cover = near
            .map(|(x, y)| swell.soft_opacity(uv + vec2(x, y)))
            .iter()
            .sum::<f32>()
            / 5.0;
        (cover * PI / 2.0).sin()
    });
    Model::new(vec![(
        sheet,
        Material {
            texture: print,
            gloss: 0.12,
            metal: false,
        },
    )])
}
