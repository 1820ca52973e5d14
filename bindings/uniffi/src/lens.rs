//! The one object of an app: an index with its model, ready to be asked.

use std::collections::HashMap;
#[cfg(any(feature = "nnapi", target_vendor = "apple"))]
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

#[cfg(any(feature = "nnapi", target_vendor = "apple"))]
use pocketlens::backbone::delegate::Accelerated;
use pocketlens::cancel;
use pocketlens::current::Current;
use pocketlens::lens::{self, NewPhoto};

use crate::{
    Answer, Bundle, CancelToken, Frame, FrameFormat, FrameLayout, IndexInfo, Limits, LogLevel,
    PackedLayout, PlaneStrides, PocketlensError, Query, Value, frame, limits, observer, query,
    task, value,
};

/// An index and the model that made it. Shared between threads; asked from any number of them.
#[derive(uniffi::Object)]
pub struct Lens {
    /// Replaced as a whole when the index was updated; who has it goes on with it.
    current: Current<lens::Lens>,
}

/// A photo of an item that is to be found from now on.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct NewItem {
    /// Names the item. The first photo of a key replaces the item of that key, further ones add to it.
    pub key: String,
    /// JPEG, PNG or WebP.
    pub photo: Vec<u8>,
    /// Items that answer as one; the key when absent.
    #[uniffi(default = None)]
    pub group: Option<String>,
    /// What filters ask, and what comes back with a hit.
    #[uniffi(default)]
    pub payload: HashMap<String, Value>,
}

/// A search with a camera's frame in one record, as [`pocketlens_search`](crate::pocketlens_search) takes it.
#[derive(Clone, Debug, uniffi::Record)]
pub struct FrameSearch {
    /// How its bytes lie.
    pub buffers: FrameBuffers,
    /// What the frame shows.
    pub layout: FrameLayout,
    /// What is asked of it.
    pub query: Query,
}

/// How the bytes of a frame lie in what is lent.
#[derive(Clone, Copy, Debug, uniffi::Enum)]
pub enum FrameBuffers {
    /// In one buffer.
    Packed {
        /// How they lie there.
        format: FrameFormat,
        /// Bytes from row to row of RGBA and BGRA, where there are gaps.
        row_stride: Option<u32>,
    },
    /// In a plane each for luma, blue and red.
    Planes {
        /// How they lie there.
        strides: PlaneStrides,
    },
}

#[uniffi::export]
impl Lens {
    /// Opens an index with the bundle that it carries. Every question keeps the limits, or the default ones.
    ///
    /// # Errors
    /// [`PocketlensError::Storage`], [`PocketlensError::Damaged`] or [`PocketlensError::Incompatible`];
    /// [`PocketlensError::BadInput`] for limits within which no photo could be described.
    #[uniffi::constructor(default(limits = None))]
    pub async fn open(path: String, limits: Option<Limits>) -> Result<Arc<Self>, PocketlensError> {
        task::run_whole(move || {
            let lens = lens::Lens::open(PathBuf::from(path))?;
            Ok(Self::of(lens.with_limits(limits::of(limits))?))
        })
        .await
    }

    /// Makes an empty index of a bundle, with the bundle's limits: a catalogue that grows on the device.
    ///
    /// # Errors
    /// [`PocketlensError::BadInput`] when the directory holds something else.
    #[uniffi::constructor]
    pub async fn create(path: String, bundle: Arc<Bundle>) -> Result<Arc<Self>, PocketlensError> {
        task::run_whole(move || {
            let lens = lens::Lens::create(PathBuf::from(path), bundle.bundle())?;
            Ok(Self::of(lens.with_limits(*bundle.limits())?))
        })
        .await
    }

    /// What the index holds.
    pub fn info(&self) -> IndexInfo {
        IndexInfo::of(self.current().index())
    }

    /// What a question may cost.
    pub fn limits(&self) -> Limits {
        self.current().limits().into()
    }

    /// The model: frames are cut to its size, and it describes photos.
    pub fn bundle(&self) -> Arc<Bundle> {
        Bundle::of_lens(self.current())
    }

    /// Searches with a frame. The region of the query is not looked at: the frame has its own.
    ///
    /// # Errors
    /// [`PocketlensError::BadInput`] for a filter that does not fit the payloads, [`PocketlensError::Cancelled`].
    pub async fn search(
        &self,
        frame: Arc<Frame>,
        query: Query,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<Answer, PocketlensError> {
        let search =
            move |lens: &lens::Lens, query: &lens::Query| lens.search_input(frame.input(), query);
        self.ask(query, cancel, search).await
    }

    /// As [`Lens::search`], on the caller's thread: for what brings a thread of its own, as Kotlin's coroutines do. The way
    /// to the library's threads and back is long beside the search of a frame.
    ///
    /// # Errors
    /// As [`Lens::search`]; [`PocketlensError::BadInput`] on the thread that the process began with, which on a phone
    /// is the one that draws.
    pub fn search_blocking(
        &self,
        frame: &Frame,
        query: Query,
        cancel: &CancelToken,
    ) -> Result<Answer, PocketlensError> {
        task::refuse_first_thread()?;
        answered(&self.current(), query, cancel.inner(), |lens, query| {
            lens.search_input(frame.input(), query)
        })
    }

    /// Searches with an encoded photo: JPEG, PNG or WebP.
    ///
    /// # Errors
    /// [`PocketlensError::BadInput`] when the bytes are no sound photo; else as [`Lens::search`].
    pub async fn search_photo(
        &self,
        photo: Vec<u8>,
        query: Query,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<Answer, PocketlensError> {
        let search =
            move |lens: &lens::Lens, query: &lens::Query| lens.search_encoded(&photo, query);
        self.ask(query, cancel, search).await
    }

    /// Searches with a photo file.
    ///
    /// # Errors
    /// [`PocketlensError::Storage`] when it cannot be read; else as [`Lens::search_photo`].
    pub async fn search_file(
        &self,
        path: String,
        query: Query,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<Answer, PocketlensError> {
        let search = move |lens: &lens::Lens, query: &lens::Query| {
            lens.search_file(&PathBuf::from(path), query)
        };
        self.ask(query, cancel, search).await
    }

    /// Adds photos of items, replaces items of known keys and removes others, all at once or, on an error, not at all.
    /// Later searches see the change.
    ///
    /// # Errors
    /// [`PocketlensError::BadInput`] names the key, [`PocketlensError::Storage`] while another process or lens changes the
    /// index; changes of one lens wait for one another.
    pub async fn update(
        self: Arc<Self>,
        put: Vec<NewItem>,
        remove: Vec<String>,
    ) -> Result<IndexInfo, PocketlensError> {
        task::run_whole(move || {
            self.replace(|lens| {
                let mut update = lens.update()?;
                for key in remove {
                    update.remove(&key)?;
                }
                for item in put {
                    let payload = value::payload(item.payload)?;
                    let photo = NewPhoto {
                        key: &item.key,
                        group: item.group.as_deref(),
                        payload: &payload,
                    };
                    update
                        .put_encoded(&photo, &item.photo)
                        .map_err(|error| PocketlensError::from(error).of_item(&item.key))?;
                }
                Ok(update.commit()?)
            })
        })
        .await
    }

    /// Takes up the index as it is on disk now: after a pack was applied, or another process has changed it.
    ///
    /// # Errors
    /// As [`Lens::open`]; the index that is open stays then.
    pub async fn reload(self: Arc<Self>) -> Result<IndexInfo, PocketlensError> {
        task::run_whole(move || self.replace(|lens| Ok(lens.reopened()?))).await
    }
}

impl Lens {
    fn of(lens: lens::Lens) -> Arc<Self> {
        let lens = Self {
            current: Current::new(lens),
        };
        let info = lens.info();
        observer::log(LogLevel::Info, || {
            format!(
                "index open: {} items, model {}",
                info.items, info.fingerprint
            )
        });
        Arc::new(lens)
    }

    /// Asks the index that is current now, on a thread of the library's.
    async fn ask(
        &self,
        query: Query,
        cancel: Option<Arc<CancelToken>>,
        search: impl FnOnce(&lens::Lens, &lens::Query) -> Result<lens::Answer, lens::LensError>
        + Send
        + 'static,
    ) -> Result<Answer, PocketlensError> {
        let lens = self.current();
        task::run(query::token(cancel), move |cancel| {
            answered(&lens, query, cancel, search)
        })
        .await
    }

    /// Searches with a frame in one buffer or three, which are read where they lie and not after the call. On the caller's
    /// thread. The frame's region is meant, where it has one.
    pub(crate) fn search_frame(
        &self,
        [first, second, third]: [&[u8]; 3],
        asked: FrameSearch,
        cancel: &CancelToken,
    ) -> Result<Answer, PocketlensError> {
        task::refuse_first_thread()?;
        let FrameSearch {
            buffers,
            layout,
            query,
        } = asked;
        let frame = match buffers {
            FrameBuffers::Packed { format, row_stride } => {
                let packed = PackedLayout {
                    format,
                    layout,
                    row_stride,
                };
                if format == FrameFormat::Rgb {
                    let frame = Frame::packed(&self.bundle(), first, packed)?;
                    return self.search_blocking(&frame, query, cancel);
                }
                packed.view(first)?
            }
            FrameBuffers::Planes { strides } => {
                frame::planes(first, second, third, strides, &layout)?
            }
        };
        let query = Query {
            region: layout.region.or(query.region),
            ..query
        };
        answered(&self.current(), query, cancel.inner(), |lens, query| {
            lens.search_frame(&frame, query)
        })
    }

    pub(crate) fn current(&self) -> Arc<lens::Lens> {
        self.current.get()
    }

    /// Lets a delegate run the network, unless the lens was replaced meanwhile by one of another model.
    #[cfg(any(feature = "nnapi", target_vendor = "apple"))]
    pub(crate) fn accelerate_with(&self, judged: &Arc<lens::Lens>, delegate: Accelerated) {
        let fingerprint = judged.embedder().bundle().fingerprint();
        let Ok(_) = self.current.change::<Infallible>(|lens| {
            let is_judged = lens.embedder().bundle().fingerprint() == fingerprint;
            Ok(is_judged.then(|| lens.with_delegate(delegate)))
        });
    }

    /// Puts another lens in the place of the current one.
    fn replace(
        &self,
        change: impl FnOnce(&lens::Lens) -> Result<lens::Lens, PocketlensError>,
    ) -> Result<IndexInfo, PocketlensError> {
        self.current.change(|lens| change(lens).map(Some))?;
        let info = self.info();
        observer::log(LogLevel::Info, || {
            format!("index updated: {} items", info.items)
        });
        Ok(info)
    }
}

/// Asks, and tells the observer what it cost.
fn answered(
    lens: &lens::Lens,
    query: Query,
    cancel: cancel::CancelToken,
    search: impl FnOnce(&lens::Lens, &lens::Query) -> Result<lens::Answer, lens::LensError>,
) -> Result<Answer, PocketlensError> {
    let answer = Answer::from(search(lens, &query.into_core(Some(cancel))?)?);
    observer::timed(answer.times);
    Ok(answer)
}
