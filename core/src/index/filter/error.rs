//! What is wrong with a filter: always the asker's fault, always with the place in its JSON.

/// A filter that cannot be understood or is too large.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("filter at {at}: expected {expected}, found {found}")]
pub struct FilterError {
    /// Path in the JSON, as in `$.must[0].range.gte`; line and column where it is no JSON.
    pub at: String,
    /// What may stand there.
    pub expected: String,
    /// What stands there, shortened.
    pub found: String,
}
