//! A session under `loom`, which runs a test once for every order in which its threads can take turns: no frame is
//! lost, none is answered twice, nothing is told of a scene that was left, and a session ends.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p pocketlens --no-default-features --lib live::session::model`

use loom::model::Builder;
use loom::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::descriptor::Descriptor;
use crate::fingerprint::Fingerprint;

const SIDE: u32 = 8;

/// What was told, in order.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Answered(Duration),
    Left,
}

type Log = Arc<std::sync::Mutex<Vec<Told>>>;

/// A session that takes every frame that rests, whose work ends at once.
fn session(searches: &Arc<AtomicUsize>, log: &Log) -> LiveSession {
    let (searches, log) = (searches.clone(), log.clone());
    let search = move |_: Pixels, _: &CancelToken| {
        searches.fetch_add(1, Ordering::SeqCst);
        Ok(answer())
    };
    let listener = move |event| {
        let told = match event {
            LiveEvent::Answered(at, _) => Told::Answered(at),
            LiveEvent::Left => Told::Left,
            LiveEvent::Failed(_, error) => panic!("{error}"),
        };
        log.lock().unwrap().push(told);
    };
    let options = LiveOptions {
        gate: GateOptions {
            settle: Duration::ZERO,
            ..GateOptions::default()
        },
        pace: PaceOptions {
            duty: 1.0,
            ..PaceOptions::default()
        },
        ..LiveOptions::default()
    };
    let sizing = || Sizing {
        longest_side: 8,
        multiple: 8,
    };
    LiveSession::spawn(
        Box::new(search),
        Box::new(sizing),
        &options,
        Box::new(listener),
    )
}

fn answer() -> Answer {
    Answer::without_index(Descriptor {
        fingerprint: Fingerprint::of_parts([b"model".as_slice()]),
        values: Vec::new(),
    })
}

fn offer(session: &LiveSession, light: u8, at: u64) -> Offered {
    let mut bytes = [light; (SIDE * SIDE * 3 / 2) as usize];
    // Half of it dark: light that is the same everywhere is no scene.
    bytes[..(SIDE * SIDE / 2) as usize].fill(255 - light);
    let frame = Frame::i420(&bytes, SIDE, SIDE).unwrap();
    session.offer(&frame, Duration::from_secs(at)).unwrap()
}

/// Every order of turns with at most so many that are taken away from a thread that could go on.
fn explore(preemptions: usize, test: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(test);
}

#[test]
fn a_taken_frame_is_answered_once_or_the_session_was_closed() {
    explore(3, || {
        let (searches, log) = (Arc::new(AtomicUsize::new(0)), Log::default());
        let session = session(&searches, &log);
        assert_eq!(offer(&session, 200, 1), Offered::Taken);
        // Closes and waits for the thread.
        drop(session);
        let searched = searches.load(Ordering::SeqCst);
        assert!(searched <= 1);
        assert!(log.lock().unwrap().len() <= searched);
    });
}

#[test]
fn two_cameras_at_once_are_answered_one_by_one() {
    explore(2, || {
        let (searches, log) = (Arc::new(AtomicUsize::new(0)), Log::default());
        let session = Arc::new(session(&searches, &log));
        let other = session.clone();
        let second = thread::spawn(move || offer(&other, 200, 1));
        let first = offer(&session, 200, 1);
        let taken =
            [first, second.join().unwrap()].map(|offered| usize::from(offered == Offered::Taken));
        let taken: usize = taken.iter().sum();
        assert!(taken >= 1);
        drop(session);
        assert!(searches.load(Ordering::SeqCst) <= taken);
    });
}

#[test]
fn nothing_is_told_of_a_scene_after_it_was_left() {
    explore(3, || {
        let (searches, log) = (Arc::new(AtomicUsize::new(0)), Log::default());
        let session = session(&searches, &log);
        assert_eq!(offer(&session, 200, 1), Offered::Taken);
        assert_eq!(offer(&session, 20, 2), Offered::Unsteady);
        // At rest again; the work on the old scene may not be over.
        let again = offer(&session, 20, 3);
        assert!(matches!(again, Offered::Taken | Offered::Busy), "{again:?}");
        drop(session);
        let log = log.lock().unwrap();
        let left = log.iter().position(|told| *told == Told::Left);
        let old = log
            .iter()
            .rposition(|told| *told == Told::Answered(Duration::from_secs(1)));
        if let (Some(left), Some(old)) = (left, old) {
            assert!(old < left, "{log:?}");
        }
    });
}
