//! A scene: things on a surface, a camera, a light. Renders to a picture.

pub(crate) mod camera;
pub(crate) mod raster;
pub(crate) mod surface;

use glam::{Mat3, Vec2, Vec3, vec2};
use image::RgbImage;

use crate::solid::Model;
use camera::Camera;
use raster::Raster;
use surface::Surface;

/// A thing in its place.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) model: Model,
    pub(crate) turn: Mat3,
    pub(crate) place: Vec3,
    pub(crate) scale: f32,
}

impl Item {
    pub(crate) fn at_origin(model: Model, turn: Mat3) -> Self {
        Self {
            model,
            turn,
            place: Vec3::ZERO,
            scale: 1.0,
        }
    }

    pub(crate) fn to_world(&self, place: Vec3) -> Vec3 {
        self.place + self.scale * (self.turn * place)
    }

    /// The eight corners of its box.
    pub(crate) fn corners(&self) -> [Vec3; 8] {
        std::array::from_fn(|i| {
            let sign = |bit: usize| if i >> bit & 1 == 1 { 1.0 } else { -1.0 };
            self.to_world(self.model.half * glam::vec3(sign(0), sign(1), sign(2)))
        })
    }
}

/// Where the things are.
#[derive(Clone, Debug)]
pub(crate) enum Setting {
    /// On a plane that faces the viewer: z = `depth`.
    Flat { surface: Surface, depth: f32 },
    /// On a floor at y = `level`, before a wall at z = `depth`.
    Upright {
        floor: Surface,
        wall: Surface,
        level: f32,
        depth: f32,
    },
    /// Before seamless paper, as in a catalogue; lying things cast their shadow at z = `depth`.
    Studio {
        level: f32,
        depth: f32,
        stands: bool,
    },
}

/// A directed light and the light of the room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Light {
    /// Towards the light, a unit vector.
    pub(crate) direction: Vec3,
    /// Share of the light that comes from everywhere, 0 to 1.
    pub(crate) ambient: f32,
}

#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) items: Vec<Item>,
    pub(crate) setting: Setting,
    pub(crate) light: Light,
}

impl Scene {
    pub(crate) fn render(&self, camera: &Camera, width: u32, height: u32) -> RgbImage {
        let mut raster = Raster::new(width as usize, height as usize);
        for item in &self.items {
            for (mesh, material) in &item.model.parts {
                raster.draw(mesh, material, item, camera, &self.light);
            }
        }
        let shadows: Vec<Footprint> = self.items.iter().map(|item| self.footprint(item)).collect();
        raster.resolve(|x, y| self.backdrop(camera, &shadows, vec2(x, y)))
    }

    fn footprint(&self, item: &Item) -> Footprint {
        let upright = match self.setting {
            Setting::Flat { .. } => false,
            Setting::Upright { .. } => true,
            Setting::Studio { stands, .. } => stands,
        };
        let flat = |v: Vec3| {
            if upright {
                vec2(v.x, v.z)
            } else {
                vec2(v.x, v.y)
            }
        };
        let axis = |v: Vec3| flat(item.turn * v) * item.scale;
        let (right, away) = if upright {
            (
                axis(Vec3::X * item.model.half.x),
                axis(Vec3::Z * item.model.half.z),
            )
        } else {
            (
                axis(Vec3::X * item.model.half.x),
                axis(Vec3::Y * item.model.half.y),
            )
        };
        let rise = item.scale
            * if upright {
                0.45 * item.model.half.y
            } else {
                2.0 * item.model.half.z
            };
        let lean = -flat(self.light.direction).clamp_length_max(0.8) * rise;
        Footprint {
            centre: flat(item.place) + 0.5 * lean,
            right: right.normalize_or(Vec2::X),
            half: vec2(right.length(), away.length()),
            soft: 0.03 + 0.45 * rise,
        }
    }

    /// Colour behind the things at a pixel, in sRGB from 0 to 255.
    fn backdrop(&self, camera: &Camera, shadows: &[Footprint], pixel: Vec2) -> Vec3 {
        let (eye, ray) = camera.ray(pixel);
        let shade = |at: Vec2| {
            shadows
                .iter()
                .map(|shadow| shadow.shade(at))
                .product::<f32>()
        };
        let wall_at = |depth: f32| {
            let hit = eye + ray * ((depth - eye.z) / ray.z);
            vec2(hit.x, hit.y)
        };
        let floor_at = |level: f32| {
            let t = (level - eye.y) / ray.y;
            (ray.y < -1e-4 && t > 0.0).then(|| eye + ray * t)
        };
        match &self.setting {
            Setting::Flat { surface, depth } => {
                let at = wall_at(*depth);
                surface.colour(at) * shade(at)
            }
            Setting::Upright {
                floor,
                wall,
                level,
                depth,
            } => match floor_at(*level) {
                Some(hit) if hit.z > *depth => {
                    let at = vec2(hit.x, hit.z);
                    let corner = 1.0 - 0.35 * (-(hit.z - depth) * 5.0).exp();
                    floor.colour(at) * shade(at) * corner
                }
                _ => {
                    let at = wall_at(*depth);
                    wall.colour(at) * (0.82 - 0.2 * (-(at.y - level) * 4.0).exp().min(1.0))
                }
            },
            Setting::Studio {
                level,
                depth,
                stands,
            } => {
                let at = if *stands {
                    floor_at(*level).map(|hit| vec2(hit.x, hit.z))
                } else {
                    Some(wall_at(*depth))
                };
                let fade = 1.0 - 0.00012 * (pixel - camera.centre).length();
                glam::vec3(246.0, 245.0, 243.0)
                    * fade
                    * at.map_or(1.0, |at| 0.25 + 0.75 * shade(at))
            }
        }
    }
}

/// The soft shadow of a thing on the plane that it stands on: a blurred rectangle.
struct Footprint {
    centre: Vec2,
    right: Vec2,
    half: Vec2,
    soft: f32,
}

impl Footprint {
    fn shade(&self, at: Vec2) -> f32 {
        let d = at - self.centre;
        let local = vec2(d.dot(self.right), d.perp_dot(self.right)).abs();
        let distance = (local - self.half).max(Vec2::ZERO).length() / self.soft;
        if distance > 3.0 {
            1.0
        } else {
            1.0 - 0.6 * (-distance * distance * 1.4).exp()
        }
    }
}
