//! What pushing an index to an engine tells.

/// Told while pushing: items that are done, of how many.
pub type PushProgress<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// What a push did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Photos of items that were sent: new, or changed.
    pub sent: u64,
    /// Photos that were there already.
    pub unchanged: u64,
    /// Photos that were removed.
    pub removed: u64,
}
