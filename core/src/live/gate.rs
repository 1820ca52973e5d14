//! Does the camera rest? Frames are compared by a coarse picture of their light.

use std::time::Duration;

use crate::image::Frame;

const COLUMNS: u32 = 16;
const ROWS: u32 = 12;
/// Samples along each side of a cell: the mean of 16 hides the noise of a sensor.
const SAMPLES: u32 = 4;
const CELLS: usize = (COLUMNS * ROWS) as usize;

/// The light of a frame on a grid of 16×12, less its mean: a camera that adapts to the light has not moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature([i16; CELLS]);

impl Signature {
    /// Reads 16 samples in each of 192 cells, whatever the size of the frame.
    pub fn of(frame: &Frame<'_>) -> Self {
        let mut cells = [0i16; CELLS];
        for (at, cell) in (0u32..).zip(&mut cells) {
            let (column, row) = (at % COLUMNS, at / COLUMNS);
            let mut sum = 0u32;
            for sample in 0..SAMPLES * SAMPLES {
                let x = column * SAMPLES + sample % SAMPLES;
                let y = row * SAMPLES + sample / SAMPLES;
                sum += u32::from(frame.light(
                    middle(x, COLUMNS * SAMPLES, frame.width()),
                    middle(y, ROWS * SAMPLES, frame.height()),
                ));
            }
            *cell = (sum / (SAMPLES * SAMPLES)) as i16;
        }
        let mean = cells.iter().map(|&cell| i32::from(cell)).sum::<i32>() / CELLS as i32;
        for cell in &mut cells {
            *cell -= mean as i16;
        }
        Self(cells)
    }

    /// Mean difference of the cells, in steps of light, 0 to 255.
    pub fn distance(&self, other: &Self) -> f64 {
        let pairs = self.0.iter().zip(&other.0);
        let sum: u32 = pairs.map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        f64::from(sum) / CELLS as f64
    }
}

/// The middle of one of `count` equal parts of `0..side`.
fn middle(part: u32, count: u32, side: u32) -> u32 {
    ((u64::from(part) * 2 + 1) * u64::from(side) / (u64::from(count) * 2)) as u32
}

/// When a camera rests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GateOptions {
    /// Largest [`Signature::distance`] between two frames of a camera that rests.
    pub still_below: f64,
    /// How long it must have rested.
    pub settle: Duration,
    /// Least distance to the frame that was answered last of a scene that is another.
    pub changed_from: f64,
}

impl Default for GateOptions {
    /// Six steps of light, 150 ms; another scene from ten steps on. A hand that holds a phone still moves frames by one
    /// to four.
    fn default() -> Self {
        Self {
            still_below: 6.0,
            settle: Duration::from_millis(150),
            changed_from: 10.0,
        }
    }
}

/// What a frame is beside those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// The camera moves.
    Moving,
    /// It has come to rest, but not for long enough.
    Settling,
    /// It rests on something that was not answered yet.
    New,
    /// It rests on what was answered.
    Same,
}

/// Compares each frame with the one before, and with the one that was answered.
#[derive(Clone, Debug)]
pub struct Gate {
    options: GateOptions,
    last: Option<Signature>,
    still_since: Option<Duration>,
    answered: Option<Signature>,
}

impl Gate {
    /// A gate that has seen nothing.
    pub fn new(options: GateOptions) -> Self {
        Self {
            options,
            last: None,
            still_since: None,
            answered: None,
        }
    }

    /// Sees the next frame, taken at `at`. Time that goes back begins anew.
    pub fn see(&mut self, frame: Signature, at: Duration) -> Scene {
        let moved = match &self.last {
            Some(last) => last.distance(&frame) > self.options.still_below,
            None => true,
        };
        let since = match self.still_since {
            Some(since) if !moved && since <= at => since,
            _ => {
                self.still_since = Some(at);
                at
            }
        };
        let scene = if moved && self.last.is_some() {
            Scene::Moving
        } else if at - since < self.options.settle {
            Scene::Settling
        } else {
            match &self.answered {
                Some(answered) if answered.distance(&frame) < self.options.changed_from => {
                    Scene::Same
                }
                _ => Scene::New,
            }
        };
        self.last = Some(frame);
        scene
    }

    /// The frame that was seen last is being answered.
    pub fn answering(&mut self) {
        self.answered.clone_from(&self.last);
    }

    /// What was answered is to be answered again: the work was cancelled, or the index is another.
    pub fn forget(&mut self) {
        self.answered = None;
    }

    /// Whether the frame that was seen last is of another scene than the one that is being answered.
    pub fn has_left(&self) -> bool {
        match (&self.last, &self.answered) {
            (Some(last), Some(answered)) => answered.distance(last) >= self.options.changed_from,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDES: (u32, u32) = (64, 48);

    /// A frame whose light is `light` of the position.
    fn signature(light: impl Fn(u32, u32) -> u8) -> Signature {
        let (width, height) = SIDES;
        let luma = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let mut bytes: Vec<u8> = luma.map(|(x, y)| light(x, y)).collect();
        bytes.resize(bytes.len() * 3 / 2, 128);
        Signature::of(&Frame::i420(&bytes, width, height).unwrap())
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn more_light_is_no_movement_and_a_shift_is() {
        let stripes = |shift: u32| {
            move |x: u32, _| {
                if ((x + shift) / 8).is_multiple_of(2) {
                    40
                } else {
                    200
                }
            }
        };
        let still = signature(stripes(0));
        let brighter = signature(|x, y| stripes(0)(x, y) + 30);
        assert_eq!(still.distance(&brighter), 0.0);
        assert!(still.distance(&signature(stripes(4))) > 50.0);
    }

    #[test]
    fn a_camera_must_rest_before_a_scene_is_new_and_then_it_is_the_same() {
        let (left, right) = (signature(|x, _| x as u8), signature(|x, _| 200 - x as u8));
        let mut gate = Gate::new(GateOptions::default());
        assert_eq!(gate.see(left.clone(), ms(0)), Scene::Settling);
        assert_eq!(gate.see(left.clone(), ms(149)), Scene::Settling);
        assert_eq!(gate.see(left.clone(), ms(150)), Scene::New);
        gate.answering();
        assert_eq!(gate.see(left.clone(), ms(180)), Scene::Same);
        assert!(!gate.has_left());
        assert_eq!(gate.see(right.clone(), ms(210)), Scene::Moving);
        assert!(gate.has_left());
        assert_eq!(gate.see(right.clone(), ms(359)), Scene::Settling);
        assert_eq!(gate.see(right, ms(360)), Scene::New);
        gate.answering();
        gate.forget();
        assert!(!gate.has_left());
    }

    #[test]
    fn time_that_goes_back_begins_anew() {
        let frame = signature(|x, _| x as u8);
        let mut gate = Gate::new(GateOptions::default());
        gate.see(frame.clone(), ms(1000));
        assert_eq!(gate.see(frame.clone(), ms(10)), Scene::Settling);
        assert_eq!(gate.see(frame, ms(160)), Scene::New);
    }

    #[test]
    fn a_frame_smaller_than_the_grid_has_a_signature() {
        let bytes = [7; 6];
        let frame = Frame::i420(&bytes, 2, 2).unwrap();
        assert_eq!(Signature::of(&frame).0, [0; CELLS]);
    }
}
