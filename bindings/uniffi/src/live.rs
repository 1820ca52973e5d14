//! A live camera: frames in, answers out on the library's own thread.

use std::sync::Arc;
use std::time::Duration;

use pocketlens::image;
use pocketlens::live::{self, GateOptions, LiveEvent, PaceOptions};

use crate::{
    Answer, FrameLayout, Lens, PackedLayout, PlaneStrides, PocketlensError, Query, frame, observer,
};

/// Answers the frames of a camera: when it rests, as often as is wanted and the phone bears.
#[derive(uniffi::Object)]
pub struct LiveSession {
    session: live::LiveSession,
}

/// When a live camera is answered.
#[derive(Clone, Debug, uniffi::Record)]
pub struct LiveOptions {
    /// Asked of each frame that is answered, its region included.
    pub query: Query,
    /// Most answers a second.
    #[uniffi(default = 4.0)]
    pub answers_per_second: f64,
    /// Largest share of time spent on answers, above 0 to 1: what the battery is worth.
    #[uniffi(default = 0.5)]
    pub duty: f64,
    /// An unchanged scene is answered again after so many milliseconds; never when 0.
    #[uniffi(default = 5000)]
    pub refresh_ms: u32,
    /// How long the camera must rest before it is answered, in milliseconds.
    #[uniffi(default = 150)]
    pub settle_ms: u32,
}

/// How warm the phone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Thermal {
    /// As usual.
    Nominal,
    /// Warm.
    Fair,
    /// Hot: a third of the answers.
    Serious,
    /// Too hot: none.
    Critical,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
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

/// Hears the answers, one call at a time, on the library's thread.
#[uniffi::export(with_foreign)]
pub trait LiveListener: Send + Sync {
    /// An answer to the frame of this time.
    fn answered(&self, at: Duration, answer: Answer);
    /// The camera has left what was answered last: what is shown of it is out of date.
    fn left(&self);
    /// There is no answer to the frame of this time.
    fn failed(&self, at: Duration, error: PocketlensError);
}

#[uniffi::export]
impl LiveSession {
    /// Starts a session. After an update of the lens, the next answer comes from the new index.
    ///
    /// # Errors
    /// [`PocketlensError::BadInput`] for an impossible query.
    #[uniffi::constructor]
    pub fn start(
        lens: Arc<Lens>,
        options: LiveOptions,
        listener: Arc<dyn LiveListener>,
    ) -> Result<Arc<Self>, PocketlensError> {
        let refresh = Duration::from_millis(options.refresh_ms.into());
        let options = live::LiveOptions {
            query: options.query.into_core(None)?,
            gate: GateOptions {
                settle: Duration::from_millis(options.settle_ms.into()),
                ..GateOptions::default()
            },
            pace: PaceOptions {
                answers_per_second: options.answers_per_second,
                duty: options.duty,
                refresh: (!refresh.is_zero()).then_some(refresh),
            },
        };
        let tell = move |event| match event {
            LiveEvent::Answered(at, answer) => {
                let answer = Answer::from(*answer);
                observer::timed(answer.times);
                observer::guarded(|| listener.answered(at, answer));
            }
            LiveEvent::Left => observer::guarded(|| listener.left()),
            LiveEvent::Failed(at, error) => {
                observer::guarded(|| listener.failed(at, error.into()));
            }
        };
        let session = live::LiveSession::start_with(move || lens.current(), &options, tell);
        Ok(Arc::new(Self { session }))
    }

    /// Offers a frame of one buffer, taken at `at`, and gives the buffer back: see
    /// [`Frame::packed`](crate::Frame::packed). The region is the query's.
    ///
    /// # Errors
    /// [`PocketlensError::BadInput`] when the bytes are too few.
    pub fn offer_packed(
        &self,
        bytes: &[u8],
        packed: PackedLayout,
        at: Duration,
    ) -> Result<Offered, PocketlensError> {
        self.offer(&packed.view(bytes)?, at)
    }

    /// Offers a frame of three planes.
    ///
    /// # Errors
    /// As [`LiveSession::offer_packed`].
    pub fn offer_planes(
        &self,
        luma: &[u8],
        blue: &[u8],
        red: &[u8],
        strides: PlaneStrides,
        layout: FrameLayout,
        at: Duration,
    ) -> Result<Offered, PocketlensError> {
        self.offer(&frame::planes(luma, blue, red, strides, &layout)?, at)
    }

    /// Offers a frame of luma and one plane of blue and red chroma in turns.
    ///
    /// # Errors
    /// As [`LiveSession::offer_packed`].
    pub fn offer_bi_planar(
        &self,
        luma: &[u8],
        chroma: &[u8],
        strides: PlaneStrides,
        layout: FrameLayout,
        at: Duration,
    ) -> Result<Offered, PocketlensError> {
        let red = chroma.get(1..).unwrap_or_default();
        self.offer(&frame::planes(luma, chroma, red, strides, &layout)?, at)
    }

    /// How warm the phone is now.
    pub fn set_thermal(&self, thermal: Thermal) {
        self.session.set_thermal(match thermal {
            Thermal::Nominal => live::Thermal::Nominal,
            Thermal::Fair => live::Thermal::Fair,
            Thermal::Serious => live::Thermal::Serious,
            Thermal::Critical => live::Thermal::Critical,
        });
    }

    /// Whether the battery is low: half of the answers.
    pub fn set_saving(&self, saving: bool) {
        self.session.set_saving(saving);
    }

    /// Answers what the camera rests on anew.
    pub fn refresh(&self) {
        self.session.refresh();
    }

    /// Ends the session and cancels its work.
    pub fn end(&self) {
        self.session.close();
    }
}

impl LiveSession {
    fn offer(&self, frame: &image::Frame<'_>, at: Duration) -> Result<Offered, PocketlensError> {
        Ok(match self.session.offer(frame, at)? {
            live::Offered::Taken => Offered::Taken,
            live::Offered::Unsteady => Offered::Unsteady,
            live::Offered::Same => Offered::Same,
            live::Offered::Busy => Offered::Busy,
            live::Offered::Paused => Offered::Paused,
            live::Offered::Closed => Offered::Closed,
        })
    }
}
