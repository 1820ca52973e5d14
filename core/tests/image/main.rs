//! Photo files end to end: every format and orientation decodes, every bad file is a typed error.

#![cfg(feature = "codecs")]

mod bad;
mod formats;
mod made;
mod scaled;
