//! Products as solids: meshes with a material each, and the shapes from which they are made.

pub(crate) mod product;
pub(crate) mod prop;
pub(crate) mod shape;

use std::sync::Arc;

use glam::{Vec2, Vec3};
use tiny_skia::Pixmap;

use crate::art::palette::Rgb;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Vertex {
    pub(crate) place: Vec3,
    pub(crate) normal: Vec3,
    pub(crate) uv: Vec2,
}

/// Triangles over shared vertices. Both sides are drawn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mesh {
    pub(crate) vertices: Vec<Vertex>,
    pub(crate) triangles: Vec<[u32; 3]>,
}

/// How a surface answers light.
#[derive(Clone, Debug)]
pub(crate) struct Material {
    pub(crate) texture: Arc<Texture>,
    /// Share of mirrored surroundings, 0 (paper) to 1 (chrome).
    pub(crate) gloss: f32,
    /// Mirrors in its own colour, as metals do.
    pub(crate) metal: bool,
}

impl Material {
    pub(crate) fn new(texture: Texture, gloss: f32) -> Self {
        Self {
            texture: Arc::new(texture),
            gloss,
            metal: false,
        }
    }

    pub(crate) fn plain(colour: Rgb, gloss: f32) -> Self {
        Self::new(Texture::plain(colour), gloss)
    }

    pub(crate) fn metal(colour: Rgb, gloss: f32) -> Self {
        Self {
            metal: true,
            ..Self::plain(colour, gloss)
        }
    }
}

/// A thing of several parts around the origin: x right, y up, z to the viewer.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) parts: Vec<(Mesh, Material)>,
    /// Half of its extent along each axis.
    pub(crate) half: Vec3,
}

impl Model {
    pub(crate) fn new(parts: Vec<(Mesh, Material)>) -> Self {
        let places = parts
            .iter()
            .flat_map(|(mesh, _)| &mesh.vertices)
            .map(|v| v.place);
        let (low, high) = places.fold((Vec3::MAX, Vec3::MIN), |(low, high), place| {
            (low.min(place), high.max(place))
        });
        let mut model = Self {
            parts,
            half: (high - low) / 2.0,
        };
        let middle = (low + high) / 2.0;
        for vertex in model
            .parts
            .iter_mut()
            .flat_map(|(mesh, _)| &mut mesh.vertices)
        {
            vertex.place -= middle;
        }
        model
    }
}

/// A picture to wrap around a mesh, with its halved copies for distance.
#[derive(Debug)]
pub(crate) struct Texture {
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    width: usize,
    height: usize,
    texels: Vec<[u8; 4]>,
}

impl Texture {
    pub(crate) fn new(pixmap: &Pixmap) -> Self {
        let texels = pixmap.data().as_chunks::<4>().0.to_vec();
        let (width, height) = (pixmap.width() as usize, pixmap.height() as usize);
        let mut levels = vec![Level {
            width,
            height,
            texels,
        }];
        while levels.len() < 4 && levels.last().is_some_and(|l| l.width.min(l.height) > 16) {
            levels.extend(levels.last().map(Level::halved));
        }
        Self { levels }
    }

    pub(crate) fn plain([r, g, b]: Rgb) -> Self {
        Self {
            levels: vec![Level {
                width: 1,
                height: 1,
                texels: vec![[r, g, b, 255]],
            }],
        }
    }

    /// Texels of the full size.
    pub(crate) fn area(&self) -> f32 {
        (self.levels[0].width * self.levels[0].height) as f32
    }

    /// The level for `texels` of the full picture under one sample, as an index.
    pub(crate) fn level(&self, texels: f32) -> usize {
        let halvings = (0.5 * texels.max(1.0).log2() + 0.25) as usize;
        halvings.min(self.levels.len() - 1)
    }

    /// Bilinear, premultiplied: red, green, blue, alpha from 0 to 255.
    #[inline]
    pub(crate) fn sample(&self, level: usize, uv: Vec2) -> [f32; 4] {
        let Level {
            width,
            height,
            texels,
        } = &self.levels[level];
        if texels.len() == 1 {
            return texels[0].map(f32::from);
        }
        let x = (uv.x * *width as f32 - 0.5).clamp(0.0, (*width - 1) as f32);
        let y = (uv.y * *height as f32 - 0.5).clamp(0.0, (*height - 1) as f32);
        let (x0, y0) = (x as usize, y as usize);
        let (x1, y1) = ((x0 + 1).min(width - 1), (y0 + 1).min(height - 1));
        let (fx, fy) = (x - x0 as f32, y - y0 as f32);
        let at = |x: usize, y: usize| texels[y * width + x];
        let (a, b, c, d) = (at(x0, y0), at(x1, y0), at(x0, y1), at(x1, y1));
        std::array::from_fn(|i| {
            let top = f32::from(a[i]) * (1.0 - fx) + f32::from(b[i]) * fx;
            let bottom = f32::from(c[i]) * (1.0 - fx) + f32::from(d[i]) * fx;
            top * (1.0 - fy) + bottom * fy
        })
    }

    /// Opacity at a point, 0 to 1, averaged over the neighbourhood that the coarsest level gives.
    pub(crate) fn soft_opacity(&self, uv: Vec2) -> f32 {
        self.sample(self.levels.len() - 1, uv)[3] / 255.0
    }
}

impl Level {
    fn halved(&self) -> Self {
        let (width, height) = (self.width / 2, self.height / 2);
        let texel = |x: usize, y: usize| {
            let at = |dx, dy| self.texels[(2 * y + dy) * self.width + 2 * x + dx];
            let four = [at(0, 0), at(1, 0), at(0, 1), at(1, 1)];
            std::array::from_fn(|i| (four.iter().map(|t| u16::from(t[i])).sum::<u16>() / 4) as u8)
        };
        let texels = (0..width * height)
            .map(|i| texel(i % width, i / width))
            .collect();
        Self {
            width,
            height,
            texels,
        }
    }
}
