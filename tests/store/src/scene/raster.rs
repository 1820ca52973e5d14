//! The rasteriser: textured triangles with a depth buffer, four samples a pixel, perspective-exact
//! attributes, one light, and mirrored soft boxes for glass and metal.

use glam::{Vec2, Vec3, vec3};
use image::RgbImage;

use super::camera::Camera;
use super::{Item, Light};
use crate::solid::{Material, Mesh};

/// Samples along each side of a pixel.
const SAMPLES: usize = 2;

pub(crate) struct Raster {
    width: usize,
    height: usize,
    /// Row by row, `SAMPLES` times the picture along each side.
    colour: Vec<[u8; 3]>,
    /// Inverse distance; 0 where nothing is.
    near: Vec<f32>,
}

struct Corner {
    at: Vec2,
    near: f32,
    place: Vec3,
    normal: Vec3,
    uv: Vec2,
}

impl Raster {
    pub(crate) fn new(width: usize, height: usize) -> Self {
        let samples = width * height * SAMPLES * SAMPLES;
        Self {
            width,
            height,
            colour: vec![[0; 3]; samples],
            near: vec![0.0; samples],
        }
    }

    pub(crate) fn draw(
        &mut self,
        mesh: &Mesh,
        material: &Material,
        item: &Item,
        camera: &Camera,
        light: &Light,
    ) {
        let shader = Shader {
            material,
            light,
            eye: camera.eye(),
        };
        let corners: Vec<Corner> = mesh
            .vertices
            .iter()
            .map(|vertex| {
                let place = item.to_world(vertex.place);
                let (at, near) = camera.project(place);
                let normal = item.turn * vertex.normal;
                Corner {
                    at: SAMPLES as f32 * at,
                    near,
                    place,
                    normal,
                    uv: vertex.uv,
                }
            })
            .collect();
        for triangle in &mesh.triangles {
            self.triangle(triangle.map(|i| &corners[i as usize]), &shader);
        }
    }

    fn triangle(&mut self, [a, b, c]: [&Corner; 3], shader: &Shader<'_>) {
        let area = (b.at - a.at).perp_dot(c.at - a.at);
        if area.abs() < 1e-6 {
            return;
        }
        let texture = &shader.material.texture;
        let texels = ((b.uv - a.uv).perp_dot(c.uv - a.uv) * texture.area() / area).abs();
        let level = texture.level(texels);
        let columns = self.width * SAMPLES;
        let limit = Vec2::new(columns as f32, (self.height * SAMPLES) as f32);
        let low = a.at.min(b.at).min(c.at).clamp(Vec2::ZERO, limit);
        let high = (a.at.max(b.at).max(c.at) + 1.0).clamp(Vec2::ZERO, limit);
        for y in low.y as usize..high.y as usize {
            for x in low.x as usize..high.x as usize {
                let p = Vec2::new(x as f32 + 0.5, y as f32 + 0.5);
                let u = (c.at - b.at).perp_dot(p - b.at) / area;
                let v = (a.at - c.at).perp_dot(p - c.at) / area;
                let w = 1.0 - u - v;
                if u < 0.0 || v < 0.0 || w < 0.0 {
                    continue;
                }
                let near = u * a.near + v * b.near + w * c.near;
                let index = y * columns + x;
                if near <= self.near[index] {
                    continue;
                }
                let (u, v, w) = (u * a.near / near, v * b.near / near, w * c.near / near);
                let [r, g, blue, alpha] = texture.sample(level, a.uv * u + b.uv * v + c.uv * w);
                if alpha < 128.0 {
                    continue;
                }
                let place = a.place * u + b.place * v + c.place * w;
                let normal = (a.normal * u + b.normal * v + c.normal * w).normalize_or(Vec3::Z);
                self.near[index] = near;
                self.colour[index] = shader.shade(vec3(r, g, blue) / alpha, place, normal);
            }
        }
    }

    /// Averages the samples; `backdrop` gives the colour (0 to 255) behind a pixel's centre.
    pub(crate) fn resolve(&self, backdrop: impl Fn(f32, f32) -> Vec3) -> RgbImage {
        let columns = self.width * SAMPLES;
        RgbImage::from_fn(self.width as u32, self.height as u32, |x, y| {
            let first = y as usize * SAMPLES * columns + x as usize * SAMPLES;
            let samples = [first, first + 1, first + columns, first + columns + 1];
            let covered = samples.into_iter().filter(|&i| self.near[i] > 0.0).count();
            let mut sum: Vec3 = samples
                .into_iter()
                .filter(|&i| self.near[i] > 0.0)
                .map(|i| Vec3::from(self.colour[i].map(f32::from)))
                .sum();
            if covered < 4 {
                let open = (4 - covered) as f32;
                sum += open * backdrop(x as f32 + 0.5, y as f32 + 0.5);
            }
            image::Rgb((sum / 4.0).to_array().map(|v| v.clamp(0.0, 255.0) as u8))
        })
    }
}

struct Shader<'a> {
    material: &'a Material,
    light: &'a Light,
    eye: Vec3,
}

impl Shader<'_> {
    /// Light is summed on squares of sRGB values, which is close to linear and cheap.
    #[inline]
    fn shade(&self, albedo: Vec3, place: Vec3, normal: Vec3) -> [u8; 3] {
        let view = (self.eye - place).normalize();
        let facing = view.dot(normal);
        let n = if facing < 0.0 { -normal } else { normal };
        let lit = n.dot(self.light.direction).max(0.0);
        let room = self.light.ambient * (0.78 + 0.22 * n.y);
        let diffuse = room + (1.05 - self.light.ambient) * lit;
        let gloss = self.material.gloss;
        let base = albedo * albedo;
        let mut sum = base
            * diffuse
            * if self.material.metal {
                1.0 - 0.6 * gloss
            } else {
                1.0
            };
        if gloss > 0.0 {
            let mirrored = 2.0 * n.dot(view) * n - view;
            let room = surroundings(mirrored);
            let grazing = (1.0 - facing.abs()).powi(4);
            let spark = mirrored.dot(self.light.direction).max(0.0).powi(40);
            if self.material.metal {
                sum += base * gloss * (1.5 * room + spark);
            } else {
                sum += Vec3::splat(gloss * (0.1 * room + 0.5 * grazing * room + 0.35 * spark));
            }
        }
        sum.to_array()
            .map(|v| (v.max(0.0).sqrt() * 255.0).min(255.0) as u8)
    }
}

/// Brightness of the room in a direction: a bright ceiling, a tall window to the left, a smaller
/// one to the right.
fn surroundings(direction: Vec3) -> f32 {
    let band = |low: f32, high: f32, x: f32| {
        let edge = 0.12;
        ((x - low) / edge).clamp(0.0, 1.0) * ((high - x) / edge).clamp(0.0, 1.0)
    };
    let tall = 1.0 - direction.y.abs().powi(4);
    0.22 + 0.3 * direction.y.max(0.0)
        + 1.5 * band(-0.92, -0.5, direction.x) * tall
        + 0.7 * band(0.7, 0.95, direction.x) * tall
}
