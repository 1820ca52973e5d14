//! How often a camera is answered: as often as is wanted, and as the phone's heat and battery bear.

use std::time::Duration;

use super::Scene;

/// How warm the phone is: Android's `PowerManager.THERMAL_STATUS_*` and iOS's `ProcessInfo.ThermalState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thermal {
    /// As usual (Android's none and light).
    #[default]
    Nominal,
    /// Warm (moderate).
    Fair,
    /// Hot; the system slows things down (severe).
    Serious,
    /// Too hot to go on (critical and above).
    Critical,
}

/// What is wanted of a live camera.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PaceOptions {
    /// Most answers a second.
    pub answers_per_second: f64,
    /// Largest share of time spent on answers, above 0 to 1: what the battery is worth.
    pub duty: f64,
    /// After this long an unchanged scene is answered again; never when absent.
    pub refresh: Option<Duration>,
}

impl Default for PaceOptions {
    /// Four answers a second, half of the time at most, an unchanged scene every five seconds.
    fn default() -> Self {
        Self {
            answers_per_second: 4.0,
            duty: 0.5,
            refresh: Some(Duration::from_secs(5)),
        }
    }
}

/// Decides when the next answer is due.
#[derive(Clone, Debug)]
pub struct Pace {
    options: PaceOptions,
    thermal: Thermal,
    saving: bool,
    started: Option<Duration>,
    /// Not before this.
    rested: Duration,
}

impl Pace {
    /// Out-of-range options are brought into range: 0.01 to 60 answers a second, a duty of 0.01 to 1.
    pub fn new(options: PaceOptions) -> Self {
        let within = |value: f64, low: f64, high: f64, other: f64| match value.is_finite() {
            true => value.clamp(low, high),
            false => other,
        };
        let usual = PaceOptions::default();
        Self {
            options: PaceOptions {
                answers_per_second: within(
                    options.answers_per_second,
                    0.01,
                    60.0,
                    usual.answers_per_second,
                ),
                duty: within(options.duty, 0.01, 1.0, usual.duty),
                refresh: options.refresh,
            },
            thermal: Thermal::Nominal,
            saving: false,
            started: None,
            rested: Duration::ZERO,
        }
    }

    /// How warm the phone is now: from [`Thermal::Serious`] on there is a third of the answers, at
    /// [`Thermal::Critical`] none.
    pub fn set_thermal(&mut self, thermal: Thermal) {
        self.thermal = thermal;
    }

    /// Whether the battery is low: half of the answers.
    pub fn set_saving(&mut self, saving: bool) {
        self.saving = saving;
    }

    /// Whether the phone is too hot for any answer.
    pub fn is_paused(&self) -> bool {
        self.thermal == Thermal::Critical
    }

    /// Whether a frame of this scene, taken at `at`, is to be answered.
    pub fn is_due(&self, scene: Scene, at: Duration) -> bool {
        let Some(started) = self.started else {
            return !self.is_paused() && matches!(scene, Scene::New | Scene::Same);
        };
        let interval = Duration::from_secs_f64(self.slowness() / self.options.answers_per_second);
        // Time that goes back is a new clock: what was measured with the old one holds no more.
        let passed = at.checked_sub(started).unwrap_or(Duration::MAX);
        let wanted = match scene {
            Scene::New => true,
            Scene::Same => self
                .options
                .refresh
                .is_some_and(|refresh| passed >= refresh),
            Scene::Moving | Scene::Settling => false,
        };
        wanted
            && !self.is_paused()
            && passed >= interval
            && (passed == Duration::MAX || at >= self.rested)
    }

    /// An answer to the frame taken at `at` has begun.
    pub fn start(&mut self, at: Duration) {
        self.started = Some(at);
        self.rested = at;
    }

    /// It took so long.
    pub fn finish(&mut self, took: Duration) {
        let rest = took.mul_f64(self.slowness() / self.options.duty);
        self.rested = self.rested.saturating_add(rest);
    }

    /// Times that everything takes longer.
    fn slowness(&self) -> f64 {
        let heat = if self.thermal >= Thermal::Serious {
            3.0
        } else {
            1.0
        };
        heat * if self.saving { 2.0 } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Times, of every 10 ms until `end`, at which an answer that takes `took` begins.
    fn starts(pace: &mut Pace, scene: Scene, took: u64, end: u64) -> Vec<u64> {
        let mut starts = Vec::new();
        for at in (0..=end).step_by(10) {
            if pace.is_due(scene, ms(at)) {
                starts.push(at);
                pace.start(ms(at));
                pace.finish(ms(took));
            }
        }
        starts
    }

    #[test]
    fn answers_come_as_often_as_wanted_and_no_oftener_than_the_budget() {
        let of = |took| {
            starts(
                &mut Pace::new(PaceOptions::default()),
                Scene::New,
                took,
                1000,
            )
        };
        assert_eq!(of(20), [0, 250, 500, 750, 1000]);
        // Half of the time: 200 ms of work, 200 ms of rest.
        assert_eq!(of(200), [0, 400, 800]);
    }

    #[test]
    fn an_unchanged_scene_is_refreshed_or_not() {
        let seldom = PaceOptions {
            refresh: Some(ms(600)),
            ..PaceOptions::default()
        };
        assert_eq!(
            starts(&mut Pace::new(seldom), Scene::Same, 10, 1300),
            [0, 600, 1200]
        );
        let never = PaceOptions {
            refresh: None,
            ..seldom
        };
        assert_eq!(starts(&mut Pace::new(never), Scene::Same, 10, 9000), [0]);
        assert_eq!(
            starts(&mut Pace::new(never), Scene::Moving, 10, 9000),
            [0; 0]
        );
    }

    #[test]
    fn heat_and_a_low_battery_slow_down_and_too_much_heat_stops() {
        let mut pace = Pace::new(PaceOptions::default());
        pace.set_saving(true);
        assert_eq!(starts(&mut pace, Scene::New, 10, 1000), [0, 500, 1000]);
        let mut pace = Pace::new(PaceOptions::default());
        pace.set_thermal(Thermal::Serious);
        assert_eq!(starts(&mut pace, Scene::New, 10, 1500), [0, 750, 1500]);
        pace.set_thermal(Thermal::Critical);
        assert!(pace.is_paused() && !pace.is_due(Scene::New, ms(99_000)));
    }

    #[test]
    fn a_clock_that_goes_back_does_not_stop_answers() {
        let mut pace = Pace::new(PaceOptions::default());
        pace.start(ms(1_000_000));
        pace.finish(ms(50));
        assert!(pace.is_due(Scene::New, ms(5)));
    }

    #[test]
    fn senseless_options_are_brought_into_range() {
        let pace = Pace::new(PaceOptions {
            answers_per_second: f64::NAN,
            duty: 0.0,
            refresh: None,
        });
        assert_eq!(
            (pace.options.answers_per_second, pace.options.duty),
            (4.0, 0.01)
        );
    }
}
