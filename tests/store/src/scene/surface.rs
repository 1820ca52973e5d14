//! Surfaces on which things are photographed: wood, tiles, cloth, stone, paper, brick; all from
//! value noise, as functions of a place on the plane.

use fastrand::Rng;
use glam::{Vec2, Vec3, vec2};

use crate::art::palette::Rgb;

#[derive(Clone, Copy, Debug)]
enum Stuff {
    Wood,
    Tiles,
    Gingham,
    Linen,
    Marble,
    Terrazzo,
    Concrete,
    Brick,
    Print,
    Paint,
}

/// A material with its colours, grain size and position.
#[derive(Clone, Debug)]
pub(crate) struct Surface {
    stuff: Stuff,
    base: Vec3,
    other: Vec3,
    scale: f32,
    turn: Vec2,
    shift: Vec2,
}

impl Surface {
    /// What a table or a floor may be made of.
    pub(crate) fn table(rng: &mut Rng) -> Self {
        let (stuff, base, other): (Stuff, Rgb, Rgb) = match rng.u8(..13) {
            0 | 1 => (Stuff::Wood, [178, 126, 78], [122, 78, 42]),
            2 => (Stuff::Wood, [104, 68, 44], [64, 40, 26]),
            3 => (Stuff::Wood, [214, 186, 146], [176, 142, 100]),
            4 => (Stuff::Tiles, [206, 204, 196], [150, 146, 140]),
            5 => (Stuff::Tiles, [96, 116, 128], [196, 196, 190]),
            6 => (Stuff::Gingham, [236, 232, 224], [178, 54, 58]),
            7 => (Stuff::Gingham, [230, 232, 236], [64, 96, 148]),
            8 => (Stuff::Linen, [204, 192, 172], [156, 142, 120]),
            9 => (Stuff::Marble, [228, 226, 222], [128, 130, 136]),
            10 => (Stuff::Terrazzo, [214, 208, 200], [150, 96, 76]),
            11 => (Stuff::Print, [226, 222, 210], [70, 70, 74]),
            _ => (Stuff::Concrete, [150, 150, 148], [104, 104, 104]),
        };
        Self::of(stuff, base, other, rng)
    }

    /// What may be behind a table.
    pub(crate) fn wall(rng: &mut Rng) -> Self {
        let (stuff, base, other): (Stuff, Rgb, Rgb) = match rng.u8(..7) {
            0 => (Stuff::Brick, [158, 84, 66], [190, 182, 172]),
            1 => (Stuff::Tiles, [226, 228, 226], [178, 178, 174]),
            2 => (Stuff::Wood, [150, 112, 76], [104, 74, 46]),
            3 => (Stuff::Concrete, [168, 166, 162], [126, 124, 122]),
            4 => (Stuff::Paint, [126, 150, 150], [112, 136, 138]),
            5 => (Stuff::Paint, [206, 180, 150], [196, 168, 138]),
            _ => (Stuff::Paint, [212, 210, 204], [198, 196, 190]),
        };
        Self::of(stuff, base, other, rng)
    }

    fn of(stuff: Stuff, base: Rgb, other: Rgb, rng: &mut Rng) -> Self {
        let vary = |c: Rgb, by: f32| Vec3::from(c.map(f32::from)) * by;
        let light = 0.85 + 0.25 * rng.f32();
        Self {
            stuff,
            base: vary(base, light),
            other: vary(other, light),
            scale: 0.8 + 0.6 * rng.f32(),
            turn: Vec2::from_angle(if rng.bool() { 0.0 } else { rng.f32() * 3.1 }),
            shift: vec2(50.0 * rng.f32(), 50.0 * rng.f32()),
        }
    }

    /// Colour at a place, in sRGB from 0 to 255.
    pub(crate) fn colour(&self, at: Vec2) -> Vec3 {
        let upright = matches!(self.stuff, Stuff::Brick | Stuff::Paint);
        let p = (if upright { at } else { self.turn.rotate(at) }) * self.scale + self.shift;
        let blend = |t: f32| self.base.lerp(self.other, t.clamp(0.0, 1.0));
        match self.stuff {
            Stuff::Wood => {
                let plank = (p.y / 0.55).floor();
                let q = vec2(p.x * 0.9 + 7.3 * plank, p.y * 7.0);
                let bend = fbm(vec2(p.x * 1.3 + 3.1 * plank, p.y * 2.0), 2);
                let grain = (10.0 * (q.y * 0.35 + 1.6 * bend)).sin() * 0.5 + 0.5;
                let fibre = noise(vec2(q.x * 3.0, p.y * 90.0));
                let gap = ((p.y / 0.55).rem_euclid(1.0) - 0.5).abs() > 0.488;
                let tone = 0.16 * (hash(plank as i32, 7) - 0.5);
                blend(0.55 * grain + 0.35 * fibre - 0.1) * (if gap { 0.55 } else { 1.0 } + tone)
            }
            Stuff::Tiles => {
                let q = p / 0.34;
                let cell = q.floor();
                let d = (q - cell - 0.5).abs();
                if d.max_element() > 0.475 {
                    return self.other * (0.9 + 0.15 * noise(p * 40.0));
                }
                let tone = 0.92 + 0.12 * hash(cell.x as i32, cell.y as i32);
                self.base * (tone + 0.06 * fbm(p * 6.0, 2))
            }
            Stuff::Gingham => {
                let stripe = |x: f32| f32::from((x / 0.11).rem_euclid(2.0) < 1.0);
                let weave = 0.93 + 0.09 * noise(p * 120.0);
                let fold = 0.88 + 0.2 * fbm(p * 1.6, 2);
                blend(0.48 * (stripe(p.x) + stripe(p.y))) * weave * fold
            }
            Stuff::Linen => {
                let weave =
                    noise(vec2(p.x * 150.0, p.y * 14.0)) + noise(vec2(p.x * 14.0, p.y * 150.0));
                blend(0.45 * weave) * (0.85 + 0.25 * fbm(p * 1.5, 2))
            }
            Stuff::Marble => {
                let warp = fbm(p * 2.0, 3);
                let vein = (1.0 - (2.0 * noise(p * 1.4 + 2.5 * warp) - 1.0).abs()).powi(10);
                blend(0.75 * vein + 0.12 * warp)
            }
            Stuff::Terrazzo => {
                let q = p * 13.0;
                let cell = q.floor();
                let (i, j) = (cell.x as i32, cell.y as i32);
                let seed = cell + vec2(0.25 + 0.5 * hash(i, j), 0.25 + 0.5 * hash(j + 91, i));
                let size = 0.1 + 0.3 * hash(i + 17, j + 5);
                let d = (q - seed).abs();
                if d.x + d.y * (0.6 + hash(j, i + 3)) < size {
                    let chips = [self.other, 0.5 * self.base, vec3(96.0, 112.0, 104.0)];
                    chips[(hash(i + 3, j + 8) * 3.0) as usize % 3]
                } else {
                    self.base * (0.96 + 0.05 * noise(p * 60.0))
                }
            }
            Stuff::Concrete => blend(0.7 * fbm(p * 4.0, 4) + 0.25 * noise(p * 90.0)),
            Stuff::Brick => {
                let row = (p.y / 0.13).floor();
                let q = vec2(p.x / 0.38 + 0.5 * row.rem_euclid(2.0), p.y / 0.13);
                let cell = q.floor();
                let d = (q - cell - 0.5).abs();
                if d.x > 0.478 || d.y > 0.44 {
                    return self.other * (0.85 + 0.2 * noise(p * 50.0));
                }
                let tone = 0.82 + 0.34 * hash(cell.x as i32, cell.y as i32);
                self.base * (tone + 0.18 * (fbm(p * 22.0, 2) - 0.5))
            }
            Stuff::Print => {
                let column = (p.x / 0.42).rem_euclid(1.0);
                let line = (p.y / 0.024).rem_euclid(1.0);
                let word = noise(vec2(p.x * 42.0, (p.y / 0.024).floor() * 7.7));
                let photo = hash((p.x / 0.42).floor() as i32, (p.y / 0.5).floor() as i32) < 0.25;
                let ink = if !(0.06..0.94).contains(&column) {
                    0.0
                } else if photo {
                    0.25 + 0.6 * fbm(p * 5.0, 3)
                } else {
                    f32::from(line > 0.42 && word > 0.35) * 0.62
                };
                blend(ink)
            }
            Stuff::Paint => blend(0.8 * fbm(p * 2.5, 2) + 0.2 * noise(p * 70.0)),
        }
    }
}

fn vec3(x: f32, y: f32, z: f32) -> Vec3 {
    Vec3::new(x, y, z)
}

/// A fixed pseudo-random number in [0, 1) for a cell.
fn hash(x: i32, y: i32) -> f32 {
    let mut h = (x as u32).wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA77);
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    (h >> 8) as f32 / (1 << 24) as f32
}

/// Smooth noise in [0, 1], one bump a unit.
fn noise(p: Vec2) -> f32 {
    let cell = p.floor();
    let f = p - cell;
    let s = f * f * (3.0 - 2.0 * f);
    let (x, y) = (cell.x as i32, cell.y as i32);
    let top = hash(x, y) + (hash(x + 1, y) - hash(x, y)) * s.x;
    let bottom = hash(x, y + 1) + (hash(x + 1, y + 1) - hash(x, y + 1)) * s.x;
    top + (bottom - top) * s.y
}

/// Octaves of noise, each half as strong and twice as fine, in [0, 1].
fn fbm(p: Vec2, octaves: u32) -> f32 {
    let (mut sum, mut weight, mut q) = (0.0, 0.5, p);
    for _ in 0..octaves {
        sum += weight * noise(q);
        q = 2.03 * q + vec2(17.1, 9.2);
        weight *= 0.5;
    }
    sum / (1.0 - 0.5_f32.powi(octaves as i32))
}
