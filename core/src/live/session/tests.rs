//! The thread is real, its work is the test's: each step waits for the other by a channel.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::descriptor::Descriptor;
use crate::fingerprint::Fingerprint;

const SIDE: u32 = 64;

/// What the work does next: answers, or waits for its cancellation.
enum Step {
    Answer,
    UntilCancelled,
}

struct Bench {
    session: LiveSession,
    started: Receiver<()>,
    steps: Sender<Step>,
    told: Receiver<&'static str>,
}

impl Bench {
    fn new() -> Self {
        let (started_sender, started) = channel();
        let (steps, next) = channel();
        let (tell, told) = channel();
        let search = move |_: Pixels, cancel: &CancelToken| {
            started_sender.send(()).unwrap();
            // A test that ended early closes the channel.
            match next.recv() {
                Ok(Step::UntilCancelled) => {
                    while !cancel.is_cancelled() {
                        thread::yield_now();
                    }
                    Err(LensError::Backbone(
                        crate::backbone::BackboneError::Cancelled,
                    ))
                }
                _ => Ok(answer()),
            }
        };
        let listener = move |event| {
            let _ = tell.send(match event {
                LiveEvent::Answered(..) => "answered",
                LiveEvent::Left => "left",
                LiveEvent::Failed(..) => "failed",
            });
        };
        let options = LiveOptions {
            pace: PaceOptions {
                duty: 1.0,
                ..PaceOptions::default()
            },
            ..LiveOptions::default()
        };
        Self {
            session: LiveSession::spawn(
                Box::new(search),
                Box::new(Sizing::default),
                &options,
                Box::new(listener),
            ),
            started,
            steps,
            told,
        }
    }

    fn offer(&self, shift: u32, at: u64) -> Offered {
        let pixels = (0..SIDE * SIDE).map(|at| ((at + shift) % SIDE * 3) as u8);
        let mut bytes: Vec<u8> = pixels.collect();
        bytes.resize(bytes.len() * 3 / 2, 128);
        let frame = Frame::i420(&bytes, SIDE, SIDE).unwrap();
        self.session
            .offer(&frame, Duration::from_millis(at))
            .unwrap()
    }

    /// Offers frames of a resting camera until one is taken.
    fn offer_until_taken(&self, shift: u32, mut at: u64) -> u64 {
        while self.offer(shift, at) != Offered::Taken {
            at += 30;
        }
        at
    }
}

fn answer() -> Answer {
    Answer::without_index(Descriptor {
        fingerprint: Fingerprint::of_parts([b"model".as_slice()]),
        values: Vec::new(),
    })
}

#[test]
fn a_resting_camera_is_answered_once_and_again_when_it_shows_another_thing() {
    let bench = Bench::new();
    assert_eq!(bench.offer(0, 0), Offered::Unsteady);
    assert_eq!(bench.offer(0, 200), Offered::Taken);
    bench.started.recv().unwrap();
    assert_eq!(bench.offer(0, 500), Offered::Busy);
    bench.steps.send(Step::Answer).unwrap();
    assert_eq!(bench.told.recv().unwrap(), "answered");
    assert_eq!(bench.offer(0, 900), Offered::Same);
    assert_eq!(bench.offer(20, 1000), Offered::Unsteady);
    assert_eq!(bench.told.recv().unwrap(), "left");
    assert_eq!(bench.offer(20, 1200), Offered::Taken);
    bench.steps.send(Step::Answer).unwrap();
    assert_eq!(bench.told.recv().unwrap(), "answered");
}

#[test]
fn work_on_a_scene_that_the_camera_has_left_is_cancelled_and_never_told() {
    let bench = Bench::new();
    let at = bench.offer_until_taken(0, 0);
    bench.started.recv().unwrap();
    bench.steps.send(Step::UntilCancelled).unwrap();
    assert_eq!(bench.offer(20, at + 30), Offered::Unsteady);
    assert_eq!(bench.told.recv().unwrap(), "left");
    bench.offer_until_taken(20, at + 60);
    bench.steps.send(Step::Answer).unwrap();
    assert_eq!(bench.told.recv().unwrap(), "answered");
}

#[test]
fn a_closed_session_cancels_its_work_and_takes_nothing() {
    let bench = Bench::new();
    bench.offer_until_taken(0, 0);
    bench.started.recv().unwrap();
    bench.steps.send(Step::UntilCancelled).unwrap();
    bench.session.close();
    assert_eq!(bench.offer(0, 9000), Offered::Closed);
    let Bench { session, told, .. } = bench;
    drop(session);
    assert!(told.recv().is_err(), "nothing is told after the end");
}

#[test]
fn heat_pauses_and_refresh_answers_the_same_scene() {
    let bench = Bench::new();
    bench.session.set_thermal(Thermal::Critical);
    assert_eq!(bench.offer(0, 0), Offered::Paused);
    bench.session.set_thermal(Thermal::Nominal);
    let at = bench.offer_until_taken(0, 30);
    bench.steps.send(Step::Answer).unwrap();
    bench.told.recv().unwrap();
    assert_eq!(bench.offer(0, at + 300), Offered::Same);
    bench.session.refresh();
    assert_eq!(bench.offer(0, at + 330), Offered::Taken);
    bench.steps.send(Step::Answer).unwrap();
    assert_eq!(bench.told.recv().unwrap(), "answered");
}

#[test]
fn a_listener_may_end_its_own_session() {
    let (held, holder) = channel::<LiveSession>();
    let (done, ended) = channel();
    let listener = move |_| {
        drop(holder.recv().unwrap());
        done.send(()).unwrap();
    };
    let session = LiveSession::spawn(
        Box::new(|_, _| Ok(answer())),
        Box::new(Sizing::default),
        &LiveOptions::default(),
        Box::new(listener),
    );
    let bytes = [0; 96];
    let frame = Frame::i420(&bytes, 8, 8).unwrap();
    for at in [0, 200] {
        session.offer(&frame, Duration::from_millis(at)).unwrap();
    }
    held.send(session).unwrap();
    ended.recv().unwrap();
}
