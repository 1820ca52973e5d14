//! The swap under `loom`, which runs a test once for every order in which its threads can take turns.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p pocketlens --no-default-features --lib current::model`

use loom::sync::Mutex;
use loom::thread;

use super::*;

/// What is on disk, by its version; what is open is a version that was read.
type Disk = Arc<Mutex<u32>>;

/// An update: writes the next version and opens it.
fn update(disk: &Disk, open: &Current<u32>) {
    let changed = open.change::<()>(|_| {
        let mut version = disk.lock().unwrap();
        *version += 1;
        Ok(Some(*version))
    });
    assert_eq!(changed, Ok(true));
}

/// A reload: opens what is on disk, if that is something else.
fn reload(disk: &Disk, open: &Current<u32>) {
    let changed = open.change::<()>(|old| {
        let version = *disk.lock().unwrap();
        // Opening takes a while, in which others have their turn.
        thread::yield_now();
        Ok((version != *old).then_some(version))
    });
    assert!(changed.is_ok());
}

/// The first version is open, and one of so many is on disk.
fn start(on_disk: u32) -> (Disk, Arc<Current<u32>>) {
    (Arc::new(Mutex::new(on_disk)), Arc::new(Current::new(0)))
}

#[test]
fn a_reload_does_not_bring_back_what_an_update_has_replaced() {
    loom::model(|| {
        let (disk, open) = start(1);
        let (its_disk, its_open) = (Arc::clone(&disk), Arc::clone(&open));
        let reloading = thread::spawn(move || reload(&its_disk, &its_open));
        update(&disk, &open);
        assert_eq!(*open.get(), 2, "who has updated sees the update");
        reloading.join().unwrap();
        assert_eq!(*open.get(), 2);
    });
}

#[test]
fn readers_keep_what_they_have_and_never_go_back() {
    loom::model(|| {
        let (disk, open) = start(0);
        let (its_disk, its_open) = (Arc::clone(&disk), Arc::clone(&open));
        let updating = thread::spawn(move || {
            update(&its_disk, &its_open);
            update(&its_disk, &its_open);
        });
        let first = open.get();
        let kept = *first;
        let second = open.get();
        assert!(*first <= *second && *first == kept);
        updating.join().unwrap();
        assert_eq!(*open.get(), 2);
    });
}

#[test]
fn two_updates_both_stay() {
    loom::model(|| {
        let (disk, open) = start(0);
        let (its_disk, its_open) = (Arc::clone(&disk), Arc::clone(&open));
        let other = thread::spawn(move || update(&its_disk, &its_open));
        update(&disk, &open);
        other.join().unwrap();
        assert_eq!((*open.get(), *disk.lock().unwrap()), (2, 2));
    });
}
