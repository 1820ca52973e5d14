//! Local features of items (`crate::rerank`), in a section of their own: read for the best few hits only.

use super::items::Item;
use super::segment::Segment;
use super::{Index, IndexError};
use crate::container::{ContainerWriter, Tag};
use crate::descriptor::{LocalFeatures, MAX_LOCAL_DIM};

/// Of the optional section.
pub(super) const TAG: Tag = Tag(*b"locl");
/// Dimensions of a cell, and zeros.
const HEAD_BYTES: usize = 8;

impl Index {
    /// The local features of an item's photos, in no particular order; none where it was indexed without.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] when damage is met.
    pub fn local_features(&self, key: &str) -> Result<Vec<LocalFeatures>, IndexError> {
        for segment in self.segments() {
            if let Some(item) = segment.find_key(key)?
                && segment.is_live(item)
            {
                return of_item(segment, item);
            }
        }
        Ok(Vec::new())
    }

    /// Whether any item has local features.
    pub fn has_local_features(&self) -> bool {
        let mut segments = self.segments().iter();
        segments.any(|segment| segment.container().section(TAG).is_some())
    }
}

/// Adds the features of these items to their segment, where there are any.
pub(super) fn add_to(writer: &mut ContainerWriter<'_>, items: &[(String, Item)]) {
    let Some(dim) = items
        .iter()
        .find_map(|(_, item)| Some(item.local.first()?.dim()))
    else {
        return;
    };
    let mut starts = Vec::with_capacity(8 * (items.len() + 1));
    let mut features = Vec::new();
    for (_, item) in items {
        starts.extend((features.len() as u64).to_le_bytes());
        for local in item.local.iter().filter(|local| local.dim() == dim) {
            features.extend(local.to_bytes());
        }
    }
    starts.extend((features.len() as u64).to_le_bytes());
    let mut section = (dim as u32).to_le_bytes().to_vec();
    section.extend([0; HEAD_BYTES - 4]);
    section.extend(starts);
    section.extend(features);
    writer.section(TAG, section);
}

pub(super) fn of_item(segment: &Segment, item: u32) -> Result<Vec<LocalFeatures>, IndexError> {
    let Some(section) = segment.container().section(TAG) else {
        return Ok(Vec::new());
    };
    let refuse = |expected: String, found: String| {
        segment.corrupt(&format!("local features of item {item}"), expected, found)
    };
    let starts_end = HEAD_BYTES + 8 * (segment.items() as usize + 1);
    let (Some(head), Some(starts), Some(features)) = (
        section.first_chunk(),
        section.get(HEAD_BYTES..starts_end),
        section.get(starts_end..),
    ) else {
        let expected = format!("at least {starts_end} bytes");
        return Err(refuse(expected, section.len().to_string()));
    };
    let dim = u32::from_le_bytes(*head) as usize;
    if !(1..=MAX_LOCAL_DIM).contains(&dim) {
        let expected = format!("1 to {MAX_LOCAL_DIM} components");
        return Err(refuse(expected, dim.to_string()));
    }
    let (starts, _) = starts.as_chunks();
    let bounds = starts[item as usize..].iter().take(2);
    let [start, end] = match bounds.map(|&at| u64::from_le_bytes(at)).collect::<Vec<_>>()[..] {
        [start, end] => [start, end],
        _ => return Err(refuse("one of the items".into(), item.to_string())),
    };
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let Some(mut rest) = range.and_then(|(start, end)| features.get(start..end)) else {
        let expected = format!("a part of {} bytes", features.len());
        return Err(refuse(expected, format!("{start} to {end}")));
    };
    let mut found = Vec::new();
    while !rest.is_empty() {
        let Some((local, behind)) = LocalFeatures::from_bytes(rest, dim) else {
            let expected = "grids of cells".to_owned();
            return Err(refuse(
                expected,
                format!("{} bytes of another kind", rest.len()),
            ));
        };
        found.push(local);
        rest = behind;
    }
    Ok(found)
}

/// Whether the section is what a writer makes of what is read from it.
pub(super) fn verify(segment: &Segment) -> Result<(), IndexError> {
    let Some(section) = segment.container().section(TAG) else {
        return Ok(());
    };
    let mut bytes = HEAD_BYTES + 8 * (segment.items() as usize + 1);
    for item in 0..segment.items() {
        let features = of_item(segment, item)?;
        bytes += features
            .iter()
            .map(|local| 2 + local.values().len())
            .sum::<usize>();
    }
    if bytes == section.len() && section[4..HEAD_BYTES] == [0; 4] {
        return Ok(());
    }
    Err(segment.corrupt(
        "local features",
        format!("{bytes} bytes, features behind each other"),
        format!("{} bytes", section.len()),
    ))
}
