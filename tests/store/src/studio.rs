//! Where the pictures are taken: the catalogue's in a studio, the queries' out in the world.

use fastrand::Rng;
use glam::{EulerRot, Mat3, Vec3, vec2, vec3};
use image::RgbImage;

use crate::capture::{Exposure, fingers, sticker};
use crate::scene::camera::Camera;
use crate::scene::surface::Surface;
use crate::scene::{Item, Light, Scene, Setting};
use crate::solid::product::Kind;
use crate::solid::{Model, prop};

/// Longest side of a catalogue picture.
const CATALOGUE: f32 = 480.0;
/// Sides of a camera picture.
const FRAME: (u32, u32) = (480, 640);

/// A number between two bounds.
fn between(rng: &mut Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * rng.f32()
}

/// The catalogue's picture: upright, slightly from above, on seamless paper.
pub(crate) fn portrait(kind: Kind, model: &Model, rng: &mut Rng) -> RgbImage {
    let stands = kind.stands();
    let turned = match kind {
        Kind::Cereal | Kind::Tea => between(rng, 20.0, 27.0),
        Kind::Book => -14.0,
        Kind::Mug => -12.0,
        _ => 0.0,
    };
    let item = Item::at_origin(
        model.clone(),
        Mat3::from_rotation_y(f32::to_radians(turned)),
    );
    let pitch = if stands { 9.0 } else { 4.0 };
    let camera = Camera::orbit(0.0, pitch, 0.0, 4.2);
    let corners = item.corners();
    let (low, high) = camera.bounds(&corners);
    let extent = (high - low).max((high - low).max_element() * vec2(0.62, 0.62));
    let frame = (extent / extent.max_element() * CATALOGUE).round();
    let camera = camera.framed(&corners, frame, 0.5 * frame, 0.84);
    let half = model.half;
    let scene = Scene {
        items: vec![item],
        setting: Setting::Studio {
            level: -half.y,
            depth: -half.z - 0.01,
            stands,
        },
        light: Light {
            direction: vec3(-0.35, 0.55, 0.76).normalize(),
            ambient: 0.42,
        },
    };
    scene.render(&camera, frame.x as u32, frame.y as u32)
}

/// A camera picture of a product among other things.
pub(crate) fn snapshot(kind: Kind, model: &Model, rng: &mut Rng) -> RgbImage {
    let spin = if kind.stands() {
        let most = if kind == Kind::Sneaker { 18.0 } else { 30.0 };
        let yaw = between(rng, -most, most).to_radians();
        Mat3::from_rotation_y(yaw)
    } else {
        let lift = f32::to_radians(if rng.u8(..4) == 0 {
            between(rng, -9.0, 9.0)
        } else {
            0.0
        });
        Mat3::from_euler(EulerRot::YXZ, lift, lift, 0.0)
    };
    view(
        Some((kind.stands(), Item::at_origin(model.clone(), spin))),
        rng,
    )
}

/// A camera picture of anything but a product.
pub(crate) fn clutter(rng: &mut Rng) -> RgbImage {
    view(None, rng)
}

fn view(subject: Option<(bool, Item)>, rng: &mut Rng) -> RgbImage {
    let stands = subject
        .as_ref()
        .map_or_else(|| rng.bool(), |(stands, _)| *stands);
    let (width, height) = if rng.u8(..5) == 0 {
        (FRAME.1, FRAME.0)
    } else {
        FRAME
    };
    let frame = vec2(width as f32, height as f32);
    let roll = between(rng, -1.0, 1.0);
    let camera = if stands {
        let pitch = between(rng, 2.0, 26.0);
        Camera::orbit(
            between(rng, -8.0, 8.0),
            pitch,
            14.0 * roll,
            between(rng, 2.2, 4.0),
        )
    } else {
        let (yaw, pitch) = (between(rng, -24.0, 24.0), between(rng, -24.0, 26.0));
        Camera::orbit(yaw, pitch, 25.0 * roll, between(rng, 1.8, 3.5))
    };
    let half = subject
        .as_ref()
        .map_or(vec3(0.4, 0.4, 0.03), |(_, item)| item.model.half);
    let corners = subject.as_ref().map_or_else(
        || [-1.0, 1.0].map(|s| half * vec3(s, s, s)).to_vec(),
        |(_, item)| item.corners().to_vec(),
    );
    let centre = frame * vec2(between(rng, 0.42, 0.58), between(rng, 0.44, 0.56));
    let camera = camera.framed(&corners, frame, centre, between(rng, 0.3, 0.74));
    let target = camera.bounds(&corners);

    let has_subject = subject.is_some();
    let mut items: Vec<Item> = subject.into_iter().map(|(_, item)| item).collect();
    let props = if has_subject {
        rng.usize(2..6)
    } else {
        rng.usize(4..8)
    };
    items.extend((0..props).map(|i| scattered(stands, has_subject, half, i, rng)));
    let setting = if stands {
        let (floor, wall) = (Surface::table(rng), Surface::wall(rng));
        Setting::Upright {
            floor,
            wall,
            level: -half.y,
            depth: -between(rng, 0.6, 1.4),
        }
    } else {
        Setting::Flat {
            surface: Surface::table(rng),
            depth: -half.z - 0.004,
        }
    };
    let direction = vec3(between(rng, -0.7, 0.7), between(rng, 0.3, 0.9), 0.8).normalize();
    let light = Light {
        direction,
        ambient: between(rng, 0.4, 0.62),
    };
    let mut picture = Scene {
        items,
        setting,
        light,
    }
    .render(&camera, width, height);

    if has_subject {
        match rng.u8(..10) {
            0..=2 => fingers(&mut picture, target, rng),
            3 | 4 => sticker(&mut picture, target, rng),
            _ => {}
        }
    }
    let exposure = Exposure::draw(target, frame, rng);
    exposure.apply(&mut picture, rng);
    picture
}

/// A prop beside the subject (or, without one, anywhere), never in front of it.
fn scattered(stands: bool, has_subject: bool, half: Vec3, i: usize, rng: &mut Rng) -> Item {
    let model = if stands {
        prop::standing(rng)
    } else {
        prop::lying(rng)
    };
    let spin = between(rng, -180.0, 180.0).to_radians();
    let scale = between(rng, 0.8, 1.25);
    let side = if i.is_multiple_of(2) { -1.0 } else { 1.0 };
    if stands {
        let turn = Mat3::from_rotation_y(0.25 * spin);
        let gap = if has_subject {
            half.x + scale * model.half.x + 0.04
        } else {
            0.0
        };
        let behind = -between(rng, 0.0, 0.5) - if has_subject { half.z } else { 0.0 };
        let x = side * (gap + between(rng, 0.0, if has_subject { 0.5 } else { 1.0 }));
        Item {
            place: vec3(x, scale * model.half.y - half.y, behind),
            model,
            turn,
            scale,
        }
    } else {
        let turn = Mat3::from_rotation_z(spin);
        let reach = scale * model.half.truncate().max_element();
        let along = between(rng, -0.6, 0.6);
        let away = if has_subject { reach + 0.03 } else { -0.3 };
        let off = between(rng, 0.0, 0.35) + away;
        let at = if i % 4 < 2 {
            vec2(side * (half.x + off), along)
        } else {
            vec2(along, side * (half.y + off))
        };
        Item {
            place: at.extend(scale * model.half.z - half.z),
            model,
            turn,
            scale,
        }
    }
}
