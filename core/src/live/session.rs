//! A session: the thread that answers, and what a camera's callback calls for each frame.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::{Gate, GateOptions, Pace, PaceOptions, Scene, Signature, Thermal};
use crate::cancel::CancelToken;
use crate::image::{Frame, ImageError, Pixels, Region, Sizing};
use crate::lens::{Answer, Lens, LensError, Query};
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// What a session asks, and when.
#[derive(Clone, Debug, Default)]
pub struct LiveOptions {
    /// Asked of each frame that is answered; [`Query::cancel`] is the session's own.
    pub query: Query,
    /// When the camera rests.
    pub gate: GateOptions,
    /// How often there is an answer.
    pub pace: PaceOptions,
}

/// What a session tells, on its own thread.
#[derive(Debug)]
pub enum LiveEvent {
    /// An answer to the frame that was taken at this time.
    Answered(Duration, Box<Answer>),
    /// The camera has left what was answered last: what is shown of it is out of date.
    Left,
    /// There is no answer to the frame that was taken at this time.
    Failed(Duration, LensError),
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It is being answered.
    Taken,
    /// The camera moves, or has rested for too short a time.
    Unsteady,
    /// It shows what was answered already.
    Same,
    /// The answer to an earlier frame is not done, or its rest is not over.
    Busy,
    /// The phone is too hot.
    Paused,
    /// The session is closed.
    Closed,
}

/// Answers the frames of a camera. Closed when dropped.
///
/// ```no_run
/// use std::sync::Arc;
/// use std::time::Duration;
/// use pocketlens::image::Frame;
/// use pocketlens::lens::Lens;
/// use pocketlens::live::{LiveEvent, LiveOptions, LiveSession};
///
/// let lens = Arc::new(Lens::open("shop.plx")?);
/// let session = LiveSession::start(lens, &LiveOptions::default(), |event| {
///     if let LiveEvent::Answered(_, answer) = event {
///         println!("{:?} {:?}", answer.verdict, answer.hits.first());
///     }
/// });
/// // In the camera's callback:
/// let bytes = vec![0; 640 * 480 * 3 / 2];
/// session.offer(&Frame::nv21(&bytes, 640, 480)?, Duration::from_millis(33))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LiveSession {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Answers an input of the network's size.
type Search = Box<dyn Fn(Pixels, &CancelToken) -> Result<Answer, LensError> + Send>;
type Listener = Box<dyn FnMut(LiveEvent) + Send>;

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    region: Option<Region>,
    sizing: Box<dyn Fn() -> Sizing + Send + Sync>,
}

struct State {
    gate: Gate,
    pace: Pace,
    work: Work,
    /// To be told that the scene was left.
    left: bool,
}

enum Work {
    Idle,
    /// An input, and when its frame was taken; the thread has not seen it yet.
    Given(Pixels, Duration),
    Running(CancelToken),
    Closed,
}

impl LiveSession {
    /// Starts the thread. `listener` is called on it, one call at a time.
    pub fn start(
        lens: Arc<Lens>,
        options: &LiveOptions,
        listener: impl FnMut(LiveEvent) + Send + 'static,
    ) -> Self {
        Self::start_with(move || lens.clone(), options, listener)
    }

    /// As [`LiveSession::start`], with the lens that is current at each frame: after an update, the next answer comes
    /// from the new index.
    pub fn start_with(
        current: impl Fn() -> Arc<Lens> + Send + Sync + 'static,
        options: &LiveOptions,
        listener: impl FnMut(LiveEvent) + Send + 'static,
    ) -> Self {
        let current = Arc::new(current);
        let sizing = current.clone();
        let query = options.query.clone();
        let search = move |input, cancel: &CancelToken| {
            let cancel = Some(cancel.clone());
            let query = Query {
                cancel,
                ..query.clone()
            };
            current().search_input(&input, &query)
        };
        Self::spawn(
            Box::new(search),
            Box::new(move || *sizing().embedder().sizing()),
            options,
            Box::new(listener),
        )
    }

    fn spawn(
        search: Search,
        sizing: Box<dyn Fn() -> Sizing + Send + Sync>,
        options: &LiveOptions,
        listener: Listener,
    ) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                gate: Gate::new(options.gate),
                pace: Pace::new(options.pace),
                work: Work::Idle,
                left: false,
            }),
            changed: Condvar::new(),
            region: options.query.region,
            sizing,
        });
        let of_thread = shared.clone();
        let work = move || of_thread.work(&search, listener);
        let thread = thread::Builder::new().name("pocketlens-live".to_owned());
        Self {
            shared,
            // A system without threads gives a session that is closed.
            thread: thread.spawn(work).ok(),
        }
    }

    /// Takes the frame, taken at `at`, if an answer to it is due; `O(192)` if not, one pass over its pixels if so. The
    /// frame may be handed back to the camera when this returns. `at` is of any clock that does not stand still.
    ///
    /// # Errors
    /// [`ImageError::Parameter`] when the query's region is outside of the frame.
    pub fn offer(&self, frame: &Frame<'_>, at: Duration) -> Result<Offered, ImageError> {
        let signature = Signature::of(frame);
        {
            let mut state = self.shared.lock();
            if matches!(state.work, Work::Closed) || self.thread.is_none() {
                return Ok(Offered::Closed);
            }
            let scene = state.gate.see(signature, at);
            if state.gate.has_left() {
                match &state.work {
                    Work::Running(cancel) => cancel.cancel(),
                    // The thread has not begun with it, and nobody wants it any more.
                    Work::Given(..) => state.work = Work::Idle,
                    Work::Idle | Work::Closed => {}
                }
                state.gate.forget();
                state.left = true;
                self.shared.changed.notify_one();
            }
            if state.pace.is_paused() {
                return Ok(Offered::Paused);
            }
            if matches!(scene, Scene::Moving | Scene::Settling) {
                return Ok(Offered::Unsteady);
            }
            if !matches!(state.work, Work::Idle) {
                return Ok(Offered::Busy);
            }
            if !state.pace.is_due(scene, at) {
                return Ok(match scene {
                    Scene::Same => Offered::Same,
                    _ => Offered::Busy,
                });
            }
        }
        // The camera calls from one thread; two that race here would do the work twice, and one would win.
        let input = frame.fit(self.shared.region.as_ref(), &(self.shared.sizing)())?;
        let mut state = self.shared.lock();
        if !matches!(state.work, Work::Idle) {
            return Ok(match state.work {
                Work::Closed => Offered::Closed,
                _ => Offered::Busy,
            });
        }
        state.gate.answering();
        state.pace.start(at);
        state.work = Work::Given(input, at);
        self.shared.changed.notify_one();
        Ok(Offered::Taken)
    }

    /// See [`Pace::set_thermal`].
    pub fn set_thermal(&self, thermal: Thermal) {
        self.shared.lock().pace.set_thermal(thermal);
    }

    /// See [`Pace::set_saving`].
    pub fn set_saving(&self, saving: bool) {
        self.shared.lock().pace.set_saving(saving);
    }

    /// Answers what the camera rests on anew, after the index or what is shown has changed.
    pub fn refresh(&self) {
        self.shared.lock().gate.forget();
    }

    /// Cancels what runs. The listener may be in a call when this returns, or about to be called for what is answered
    /// already, and is not called again after that. Dropping the session waits for it.
    pub fn close(&self) {
        let mut state = self.shared.lock();
        if let Work::Running(cancel) = &state.work {
            cancel.cancel();
        }
        state.work = Work::Closed;
        self.shared.changed.notify_one();
    }
}

impl Drop for LiveSession {
    fn drop(&mut self) {
        self.close();
        if let Some(thread) = self.thread.take()
            // The listener may hold the last reference.
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // State is whole between any two statements that can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, search: &Search, mut listener: Listener) {
        while let Some(task) = self.next() {
            let (input, at, cancel) = match task {
                Task::Tell => {
                    listener(LiveEvent::Left);
                    continue;
                }
                Task::Answer(input, at, cancel) => (input, at, cancel),
            };
            let start = Instant::now();
            let answer = search(input, &cancel);
            {
                let mut state = self.lock();
                state.pace.finish(start.elapsed());
                match state.work {
                    Work::Closed => return,
                    _ => state.work = Work::Idle,
                }
            }
            match answer {
                Ok(_) if cancel.is_cancelled() => {}
                Ok(answer) => listener(LiveEvent::Answered(at, Box::new(answer))),
                Err(error) if error.is_cancelled() => {}
                Err(error) => listener(LiveEvent::Failed(at, error)),
            }
        }
    }

    /// Waits for something to do; `None` when the session is closed.
    fn next(&self) -> Option<Task> {
        let mut state = self.lock();
        loop {
            if matches!(state.work, Work::Closed) {
                return None;
            }
            if std::mem::take(&mut state.left) {
                return Some(Task::Tell);
            }
            if matches!(state.work, Work::Given(..)) {
                let cancel = CancelToken::new();
                let given = std::mem::replace(&mut state.work, Work::Running(cancel.clone()));
                if let Work::Given(input, at) = given {
                    return Some(Task::Answer(input, at, cancel));
                }
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

enum Task {
    Tell,
    Answer(Pixels, Duration, CancelToken),
}

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests;
