//! What is open now, where it may be replaced while it is asked: an index that was updated, a lens that got a delegate.

#[cfg(all(test, loom))]
mod model;

use std::fmt;
use std::sync::{Arc, PoisonError};

use crate::sync::{Mutex, RwLock};

/// A value that readers take as it is and keep as long as they like, while a writer puts another in its place.
///
/// ```
/// use pocketlens::current::Current;
///
/// let open = Current::new(1);
/// let before = open.get();
/// let changed: Result<_, String> = open.change(|value| Ok(Some(value + 1)));
/// assert_eq!((*before, *open.get(), changed), (1, 2, Ok(true)));
/// ```
pub struct Current<T> {
    value: RwLock<Arc<T>>,
    /// Held by who changes the value, so that readers wait for no change.
    changing: Mutex<()>,
}

impl<T> Current<T> {
    /// Begins with a value.
    pub fn new(value: T) -> Self {
        Self {
            value: RwLock::new(Arc::new(value)),
            changing: Mutex::new(()),
        }
    }

    /// The value as it is now. Waits for nobody who does more than to take or put one.
    pub fn get(&self) -> Arc<T> {
        let value = self.value.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&value)
    }

    /// Puts what `change` makes of the value in its place, and says whether it made something. Readers have the old value
    /// meanwhile, and go on with it. Changes wait for one another: what one has put is never replaced by one that began
    /// before and did not see it.
    ///
    /// # Errors
    /// Those of `change`; the value stays then.
    pub fn change<E>(&self, change: impl FnOnce(&T) -> Result<Option<T>, E>) -> Result<bool, E> {
        // The lock guards no data that a panic could leave half changed.
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(value) = change(&self.get())? else {
            return Ok(false);
        };
        let value = Arc::new(value);
        let mut place = self.value.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *place, value);
        // Whoever is the last to let go of it closes files: not while readers wait.
        drop(place);
        drop(before);
        Ok(true)
    }
}

impl<T: fmt::Debug> fmt::Debug for Current<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Current").field(&self.get()).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_failed_change_leaves_everything() {
        let open = Current::new(7);
        assert_eq!(open.change(|_| Err("no")), Err("no"));
        assert_eq!(open.change::<()>(|_| Ok(None)), Ok(false));
        assert_eq!(*open.get(), 7);
    }

    #[test]
    fn a_panic_while_it_is_changed_does_not_end_it() {
        let open = Arc::new(Current::new(7));
        let other = Arc::clone(&open);
        let panicked = std::thread::spawn(move || other.change::<()>(|_| panic!("for the test")));
        assert!(panicked.join().is_err());
        assert_eq!(open.change::<()>(|value| Ok(Some(value + 1))), Ok(true));
        assert_eq!(*open.get(), 8);
    }
}
