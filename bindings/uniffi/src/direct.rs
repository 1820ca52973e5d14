//! Searches without a structure on the way, for Kotlin and a camera.
//!
//! JNA makes an object for each structure that crosses, and later cleans it up: UniFFI's statuses and buffers, some eight
//! of them a search, cost 0.02 ms where the search takes 1.3. These functions take and give plain numbers and addresses:
//! records go as UniFFI writes them, objects as ids of an own registry, which keeps nothing alive.

#![allow(unsafe_code)]

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use uniffi::{Lift, Lower};

use crate::{Answer, CancelToken, FrameSearch, Lens, PocketlensError, UniFfiTag};

/// What a reply holds, in its ninth byte; `Direct.kt` has the same numbers.
#[repr(u8)]
enum Status {
    /// An [`Answer`].
    Answer = 0,
    /// A [`PocketlensError`].
    Error = 1,
    /// Nothing: the lens or the token was closed.
    Closed = 2,
    /// A string: a defect of the library.
    Defect = 3,
}

/// Objects by number. A number is never used twice.
struct Registry<T>(Mutex<HashMap<u64, Weak<T>>>);

static LENSES: LazyLock<Registry<Lens>> = LazyLock::new(Registry::empty);
static TOKENS: LazyLock<Registry<CancelToken>> = LazyLock::new(Registry::empty);

impl<T> Registry<T> {
    fn empty() -> Self {
        Self(Mutex::default())
    }

    fn put(&self, object: &Arc<T>) -> u64 {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        let mut objects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        objects.retain(|_, object| object.strong_count() > 0);
        objects.insert(id, Arc::downgrade(object));
        id
    }

    fn get(&self, id: u64) -> Option<Arc<T>> {
        let objects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        objects.get(&id)?.upgrade()
    }
}

#[uniffi::export]
impl Lens {
    /// A number that stands for it until it is closed, in calls that pass no objects.
    pub fn direct_id(self: Arc<Self>) -> u64 {
        LENSES.put(&self)
    }
}

#[uniffi::export]
impl CancelToken {
    /// A number that stands for it until it is closed, in calls that pass no objects.
    pub fn direct_id(self: Arc<Self>) -> u64 {
        TOKENS.put(&self)
    }
}

/// Searches with a camera's frame: `asked` is a [`FrameSearch`] as UniFFI writes it, of three buffers two may be empty. On
/// the caller's thread, as [`Lens::search_blocking`].
///
/// A reply, for [`pocketlens_release`]: the length of what follows its ninth byte in its first eight (of this machine's
/// order), then what it holds: 0 an answer, 1 an error, 2 nothing, since the lens or the token was closed, 3 a string that
/// tells of a defect.
///
/// # Safety
/// The buffers and `asked` must be readable for the lengths beside them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pocketlens_search(
    lens: u64,
    token: u64,
    first: *const u8,
    first_length: u64,
    second: *const u8,
    second_length: u64,
    third: *const u8,
    third_length: u64,
    asked: *const u8,
    asked_length: u64,
) -> *mut u8 {
    // SAFETY: promised by the caller.
    let (buffers, asked) = unsafe {
        (
            [
                lent(first, first_length),
                lent(second, second_length),
                lent(third, third_length),
            ],
            lent(asked, asked_length),
        )
    };
    let reply = catch_unwind(AssertUnwindSafe(|| reply(lens, token, buffers, asked)));
    let (status, mut reply) = reply.unwrap_or_else(|_| defect("the search panicked"));
    let length = (reply.len() - HEAD) as u64;
    reply[..HEAD - 1].copy_from_slice(&length.to_ne_bytes());
    reply[HEAD - 1] = status as u8;
    Box::into_raw(reply.into_boxed_slice()).cast()
}

/// Lets a reply go.
///
/// # Safety
/// `reply` must come from a search of this library and must not be used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pocketlens_release(reply: *mut u8) {
    // SAFETY: a reply is a boxed slice that begins with the length behind its head.
    unsafe {
        let length = reply.cast::<u64>().read_unaligned() as usize;
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(
            reply,
            HEAD + length,
        )));
    }
}

/// The length and the status.
const HEAD: usize = 9;

/// # Safety
/// `length` bytes must be readable for as long as the result is used, unless there are none.
unsafe fn lent<'a>(bytes: *const u8, length: u64) -> &'a [u8] {
    if bytes.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: promised by the caller.
    unsafe { std::slice::from_raw_parts(bytes, length as usize) }
}

/// A reply whose head is still empty.
fn reply(lens: u64, token: u64, buffers: [&[u8]; 3], mut asked: &[u8]) -> (Status, Vec<u8>) {
    let mut reply = vec![0; HEAD];
    let (Some(lens), Some(token)) = (LENSES.get(lens), TOKENS.get(token)) else {
        return (Status::Closed, reply);
    };
    let Ok(asked) = <FrameSearch as Lift<UniFfiTag>>::try_read(&mut asked) else {
        return defect("a search cannot be read: interface and library are of different builds");
    };
    match lens.search_frame(buffers, asked, &token) {
        Ok(answer) => {
            <Answer as Lower<UniFfiTag>>::write(answer, &mut reply);
            (Status::Answer, reply)
        }
        Err(error) => {
            <PocketlensError as Lower<UniFfiTag>>::write(error, &mut reply);
            (Status::Error, reply)
        }
    }
}

fn defect(reason: &str) -> (Status, Vec<u8>) {
    let mut reply = vec![0; HEAD];
    <String as Lower<UniFfiTag>>::write(reason.to_owned(), &mut reply);
    (Status::Defect, reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(lens: u64, token: u64, asked: &[u8]) -> (u8, Vec<u8>) {
        // SAFETY: a slice is readable for its length.
        let reply = unsafe {
            let (none, length) = (std::ptr::null(), asked.len() as u64);
            pocketlens_search(
                lens,
                token,
                none,
                0,
                none,
                0,
                none,
                0,
                asked.as_ptr(),
                length,
            )
        };
        // SAFETY: as a reply is described; it is released once.
        unsafe {
            let length = reply.cast::<u64>().read_unaligned() as usize;
            let bytes = std::slice::from_raw_parts(reply, HEAD + length).to_vec();
            pocketlens_release(reply);
            (bytes[HEAD - 1], bytes[HEAD..].to_vec())
        }
    }

    #[test]
    fn what_is_closed_is_said() {
        let token = CancelToken::new();
        let id = token.clone().direct_id();
        assert!(TOKENS.get(id).is_some());
        assert_eq!(asked(0, id, &[]), (Status::Closed as u8, vec![]));
        drop(token);
        assert!(TOKENS.get(id).is_none());
        assert_ne!(CancelToken::new().direct_id(), id);
    }
}
