//! Items to a segment file. The layout is drawn in `FORMAT.md`.

use std::collections::{BTreeMap, BTreeSet};

use super::items::Item;
use super::quantise::stride;
use super::segment::{ENCODING_I8, tags};
use crate::container::{ContainerWriter, Kind};
use crate::fingerprint::Fingerprint;

/// Lays out items that are sorted by key.
pub(super) fn segment(
    fingerprint: Fingerprint,
    dim: usize,
    items: &[(String, Item)],
) -> ContainerWriter<'static> {
    let count: usize = items.iter().map(|(_, item)| item.photos.len()).sum();
    let mut rows = Vec::with_capacity(count * stride(dim));
    let mut norms = Vec::with_capacity(4 * count);
    let mut items_of_rows = Vec::with_capacity(4 * count);
    let mut table = Vec::with_capacity(16 * items.len());
    let mut text = Vec::new();
    let mut place_of_key = BTreeMap::new();
    for ((key, item), number) in items.iter().zip(0u32..) {
        for photo in &item.photos {
            rows.extend(photo.row.iter().map(|q| q.cast_unsigned()));
            norms.extend(photo.inverse_norm.to_le_bytes());
            items_of_rows.extend(number.to_le_bytes());
        }
        place_of_key.insert(key.as_str(), text.len() as u64);
        table.extend((text.len() as u64).to_le_bytes());
        table.extend((key.len() as u32).to_le_bytes());
        table.extend((item.payload.len() as u32).to_le_bytes());
        text.extend(key.bytes());
        text.extend(&item.payload);
    }

    let names: BTreeSet<&str> = items.iter().map(|(_, item)| item.group.as_str()).collect();
    let numbers: BTreeMap<&str, u32> = names.iter().copied().zip(0..).collect();
    let mut groups = Vec::with_capacity(4 * items.len() + 12 * names.len());
    for (_, item) in items {
        groups.extend(numbers[item.group.as_str()].to_le_bytes());
    }
    for name in &names {
        // Most groups have the name of a key, which is written already.
        let offset = place_of_key.get(name).copied().unwrap_or_else(|| {
            let offset = text.len() as u64;
            text.extend(name.bytes());
            offset
        });
        groups.extend(offset.to_le_bytes());
        groups.extend((name.len() as u32).to_le_bytes());
    }

    let counts = [dim, stride(dim), count, items.len(), names.len()].map(|n| n as u32);
    let mut head: Vec<u8> = counts.into_iter().flat_map(u32::to_le_bytes).collect();
    head.extend(ENCODING_I8.to_le_bytes());

    let mut writer = ContainerWriter::new(Kind::Segment, fingerprint);
    writer
        .section(tags::HEAD, head)
        .section(tags::ROWS, rows)
        .section(tags::NORMS, norms)
        .section(tags::ITEMS_OF_ROWS, items_of_rows)
        .section(tags::ITEMS, table)
        .section(tags::GROUPS, groups)
        .section(tags::TEXT, text);
    writer
}
