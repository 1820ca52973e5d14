//! The shapes: box, solid of revolution, ring, and a picture that swells out of a plane.

use std::f32::consts::TAU;

use glam::{Vec2, Vec3, vec2, vec3};

use super::{Mesh, Vertex};

/// One face of a box with these half extents, as a mesh of its own.
#[derive(Clone, Copy)]
pub(crate) enum Face {
    Front,
    Back,
    Left,
    Right,
    Top,
    Bottom,
}

pub(crate) fn face(face: Face, half: Vec3) -> Mesh {
    let (normal, right, up) = match face {
        Face::Front => (Vec3::Z, Vec3::X, Vec3::Y),
        Face::Back => (Vec3::NEG_Z, Vec3::NEG_X, Vec3::Y),
        Face::Left => (Vec3::NEG_X, Vec3::Z, Vec3::Y),
        Face::Right => (Vec3::X, Vec3::NEG_Z, Vec3::Y),
        Face::Top => (Vec3::Y, Vec3::X, Vec3::NEG_Z),
        Face::Bottom => (Vec3::NEG_Y, Vec3::X, Vec3::Z),
    };
    grid(1, 1, |uv| {
        let place = half * (normal + right * (2.0 * uv.x - 1.0) + up * (1.0 - 2.0 * uv.y));
        Vertex { place, normal, uv }
    })
}

/// A point of a profile: distance from the axis, height, and v in the texture.
pub(crate) type Ring = (f32, f32, f32);

/// A solid of revolution around y. `profile` runs from top to bottom; normals are smooth along it,
/// so that a sharp edge is the border of two lathes. The middle of the texture faces the viewer.
pub(crate) fn lathe(profile: &[Ring]) -> Mesh {
    const SIDES: usize = 56;
    let slope = |i: usize| {
        let (a, b) = (
            profile[i.saturating_sub(1)],
            profile[(i + 1).min(profile.len() - 1)],
        );
        vec2(a.1 - b.1, b.0 - a.0).normalize_or(Vec2::X)
    };
    let slopes: Vec<_> = (0..profile.len()).map(slope).collect();
    grid(SIDES, profile.len() - 1, |uv| {
        let i = (uv.y * (profile.len() - 1) as f32).round() as usize;
        let (radius, y, v) = profile[i];
        let (sin, cos) = (TAU * (uv.x - 0.5)).sin_cos();
        let n = slopes[i];
        Vertex {
            place: vec3(radius * sin, y, radius * cos),
            normal: vec3(n.x * sin, n.y, n.x * cos),
            uv: vec2(uv.x, v),
        }
    })
}

/// A ring in the x-y plane: the handle of a cup. Radii of the ring and of its tube.
pub(crate) fn ring(centre: Vec3, radius: Vec2, tube: f32) -> Mesh {
    grid(28, 10, |uv| {
        let ((s, c), (ts, tc)) = ((TAU * uv.x).sin_cos(), (TAU * uv.y).sin_cos());
        let normal = vec3(tc * c, tc * s, ts);
        let place = centre + vec3(radius.x * c, radius.y * s, 0.0) + tube * normal;
        Vertex { place, normal, uv }
    })
}

/// A sheet of half extents `half.x`, `half.y` that swells to the viewer by `half.z * 2 * swell(uv)`.
pub(crate) fn relief(half: Vec3, swell: impl Fn(Vec2) -> f32) -> Mesh {
    let (columns, rows) = (40, 40);
    let lift = |uv: Vec2| half.z * (2.0 * swell(uv.clamp(Vec2::ZERO, Vec2::ONE)) - 1.0);
    let step = 1.0 / columns as f32;
    grid(columns, rows, |uv| {
        let dx = (lift(uv + vec2(step, 0.0)) - lift(uv - vec2(step, 0.0))) / (4.0 * step * half.x);
        let dy = (lift(uv + vec2(0.0, step)) - lift(uv - vec2(0.0, step))) / (4.0 * step * half.y);
        Vertex {
            place: vec3(
                half.x * (2.0 * uv.x - 1.0),
                half.y * (1.0 - 2.0 * uv.y),
                lift(uv),
            ),
            normal: vec3(-dx, dy, 1.0).normalize(),
            uv,
        }
    })
}

/// A grid of `columns × rows` cells, its vertices given by a function of (u, v) in [0, 1]².
fn grid(columns: usize, rows: usize, vertex: impl Fn(Vec2) -> Vertex) -> Mesh {
    let mut mesh = Mesh::default();
    for (j, i) in (0..=rows).flat_map(|j| (0..=columns).map(move |i| (j, i))) {
        let uv = vec2(i as f32 / columns as f32, j as f32 / rows as f32);
        mesh.vertices.push(vertex(uv));
        if i < columns && j < rows {
            let a = (j * (columns + 1) + i) as u32;
            let below = a + columns as u32 + 1;
            mesh.triangles
                .extend([[a, a + 1, below], [a + 1, below + 1, below]]);
        }
    }
    mesh
}
