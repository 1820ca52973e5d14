//! What is around a picture: part of another photo, or a plain surface.

use fastrand::Rng;

use super::Range;
use super::light::shade;
use crate::image::{Crop, Pixels, resize};

/// A view of `width` × `height` pixels without the picture: a random part of the backdrop, or a
/// plain, unevenly lit surface (a table, a wall) where there is none.
pub fn surroundings(backdrop: Option<&Pixels>, width: u32, height: u32, rng: &mut Rng) -> Pixels {
    match backdrop {
        Some(backdrop) => part(backdrop, width, height, rng),
        None => surface(width, height, rng),
    }
}

/// A random part of a photo that is at least half of it across or down, scaled to fill the view.
fn part(photo: &Pixels, width: u32, height: u32, rng: &mut Rng) -> Pixels {
    let (wide, high) = (photo.width() as f32, photo.height() as f32);
    // The largest part of the view's shape, then a share of it.
    let scale = (wide / width as f32).min(high / height as f32);
    let share = Range::new(0.5, 1.0).draw(rng);
    let side = |view: u32, most: u32| ((view as f32 * scale * share) as u32).clamp(1, most);
    let (crop_width, crop_height) = (side(width, photo.width()), side(height, photo.height()));
    let crop = Crop {
        x: rng.u32(..=photo.width() - crop_width),
        y: rng.u32(..=photo.height() - crop_height),
        width: crop_width,
        height: crop_height,
    };
    resize(photo, crop, width, height)
}

fn surface(width: u32, height: u32, rng: &mut Rng) -> Pixels {
    // Furniture and walls: any brightness, little colour.
    let level = Range::new(40.0, 235.0).draw(rng);
    let color: [u8; 3] = std::array::from_fn(|_| (level + Range::new(-18.0, 18.0).draw(rng)) as u8);
    let data = color.repeat(width as usize * height as usize);
    let mut surface = Pixels::from_rgb(width, height, data).expect("a size above zero");
    let angle = Range::new(0.0, std::f32::consts::TAU).draw(rng);
    shade(&mut surface, Range::new(0.0, 0.4).draw(rng), angle, 0.0);
    surface
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_keep_the_shape_of_things() {
        // Both channels grow by one a pixel, so that differences are lengths.
        let data = (0..200).flat_map(|y| (0..250).flat_map(move |x| [x as u8, y as u8, 0]));
        let photo = Pixels::from_rgb(250, 200, data.collect()).unwrap();
        for seed in 0..20 {
            let view = surroundings(Some(&photo), 100, 100, &mut Rng::with_seed(seed));
            let ([left, top, _], [right, bottom, _]) = (view.get(0, 0), view.get(99, 99));
            let (across, down) = (right - left, bottom - top);
            assert!(
                across.abs_diff(down) <= 3 && (97..=200).contains(&across),
                "{across} {down}"
            );
        }
    }
}
