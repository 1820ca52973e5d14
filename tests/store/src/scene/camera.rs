//! A pinhole camera that looks at the origin.

use glam::{Mat3, Vec2, Vec3, vec2, vec3};

/// Turns the world in front of the lens; `focal` and `centre` are in pixels.
#[derive(Clone, Debug)]
pub(crate) struct Camera {
    turn: Mat3,
    distance: f32,
    focal: f32,
    pub(crate) centre: Vec2,
}

impl Camera {
    /// Angles in degrees: `yaw` to the right of the thing, `pitch` above it, `roll` of the camera
    /// around its axis. `distance` in units of the world: smaller means stronger perspective.
    pub(crate) fn orbit(yaw: f32, pitch: f32, roll: f32, distance: f32) -> Self {
        let turn = Mat3::from_rotation_z(roll.to_radians())
            * Mat3::from_rotation_x(pitch.to_radians())
            * Mat3::from_rotation_y(-yaw.to_radians());
        Self {
            turn,
            distance,
            focal: 1.0,
            centre: Vec2::ZERO,
        }
    }

    /// Zooms and shifts so that the box around `corners` has its middle at `centre` and fills
    /// `share` of the frame's area, or as much of it as keeps the box inside.
    pub(crate) fn framed(
        mut self,
        corners: &[Vec3],
        frame: Vec2,
        centre: Vec2,
        share: f32,
    ) -> Self {
        let (low, high) = self.bounds(corners);
        let extent = high - low;
        let room = (0.97 * frame / extent).min_element();
        self.focal = (share * frame.x * frame.y / (extent.x * extent.y))
            .sqrt()
            .min(room);
        let reach = 0.5 * self.focal * extent + 0.012 * frame;
        let middle = centre.clamp(reach.min(0.5 * frame), (frame - reach).max(0.5 * frame));
        self.centre = middle - 0.5 * self.focal * (low + high);
        self
    }

    /// Column and row of a point, and the inverse of its distance.
    #[inline]
    pub(crate) fn project(&self, place: Vec3) -> (Vec2, f32) {
        let p = self.turn * place;
        let near = 1.0 / (self.distance - p.z).max(0.05);
        (self.centre + self.focal * near * vec2(p.x, -p.y), near)
    }

    /// Where a ray through a pixel starts and where it goes, in the world.
    pub(crate) fn ray(&self, pixel: Vec2) -> (Vec3, Vec3) {
        let back = self.turn.transpose();
        let d = (pixel - self.centre) / self.focal;
        (self.eye(), back * vec3(d.x, -d.y, -1.0))
    }

    /// Where the camera is.
    pub(crate) fn eye(&self) -> Vec3 {
        self.turn.transpose() * vec3(0.0, 0.0, self.distance)
    }

    /// Box in the frame around these points: low and high corner.
    pub(crate) fn bounds(&self, points: &[Vec3]) -> (Vec2, Vec2) {
        points
            .iter()
            .map(|&point| self.project(point).0)
            .fold((Vec2::MAX, Vec2::MIN), |(low, high), p| {
                (low.min(p), high.max(p))
            })
    }
}
