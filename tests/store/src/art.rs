//! The printed surface of a product: patterns, emblems and lettering, put together by a layout.

pub(crate) mod canvas;
pub(crate) mod emblem;
pub(crate) mod layout;
pub(crate) mod lettering;
pub(crate) mod palette;
pub(crate) mod pattern;
pub(crate) mod sneaker;
