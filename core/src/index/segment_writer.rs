//! Items to a segment file. The layout is drawn in `FORMAT.md`.

use std::collections::{BTreeMap, BTreeSet};

use super::items::Item;
use super::lists::{self, ListHead, Rows};
use super::quantise::stride;
use super::segment::{ENCODING_I8, ENCODING_LISTS, tags};
use super::{Schema, columns, local};
use crate::container::{ContainerWriter, Kind};
use crate::fingerprint::Fingerprint;
use crate::kernel::Cpu;

/// What all segments of an index have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentForm<'a> {
    pub(super) fingerprint: Fingerprint,
    pub(super) dim: usize,
    /// Kinds of columns that are demanded.
    pub(super) columns: &'a Schema,
    /// Whether rows go into lists where there are many. Not in shards: they keep all bits.
    pub(super) lists: bool,
}

/// Lays out items that are sorted by key.
pub(super) fn segment(
    form: &SegmentForm<'_>,
    items: &[(String, Item)],
) -> ContainerWriter<'static> {
    let &SegmentForm {
        fingerprint, dim, ..
    } = form;
    let count: usize = items.iter().map(|(_, item)| item.photos.len()).sum();
    let mut values = Vec::with_capacity(count * stride(dim));
    let mut fine = Vec::with_capacity(count * stride(dim) / 2);
    let mut units = Vec::with_capacity(count);
    let mut items_of_rows = Vec::with_capacity(count);
    let mut table = Vec::with_capacity(16 * items.len());
    let mut text = Vec::new();
    let mut place_of_key = BTreeMap::new();
    for ((key, item), number) in items.iter().zip(0u32..) {
        for photo in &item.photos {
            values.extend(&photo.row);
            fine.extend(&photo.fine);
            units.push(photo.inverse_norm());
            items_of_rows.push(number);
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

    let in_lists = form.lists && count >= lists::MIN_ROWS && dim <= lists::MAX_DIM;
    let encoding = if in_lists {
        ENCODING_LISTS
    } else {
        ENCODING_I8
    };
    let counts = [dim, stride(dim), count, items.len(), names.len()].map(|n| n as u32);
    let numbers = counts.into_iter().chain([encoding]);
    let mut head: Vec<u8> = numbers.flat_map(u32::to_le_bytes).collect();
    let mut writer = ContainerWriter::new(Kind::Segment, fingerprint);
    if in_lists {
        let rows = Rows {
            dim: stride(dim),
            values: &values,
            fine: &fine,
            units: &units,
            items: &items_of_rows,
        };
        let encoded = lists::encode(Cpu::native(), &rows, dim, items.len() as u32);
        head.extend(encoded.head.to_bytes());
        writer
            .section(tags::HEAD, head)
            .section(tags::CENTROIDS, bytes_of(&encoded.centroids))
            .section(tags::LISTS, encoded.table)
            .section(tags::ROWS, encoded.rows);
    } else {
        head.extend([0; ListHead::BYTES]);
        writer
            .section(tags::HEAD, head)
            .section(tags::ROWS, bytes_of(&values))
            .section(
                tags::NORMS,
                units
                    .into_iter()
                    .flat_map(f32::to_le_bytes)
                    .collect::<Vec<_>>(),
            )
            .section(
                tags::ITEMS_OF_ROWS,
                items_of_rows
                    .into_iter()
                    .flat_map(u32::to_le_bytes)
                    .collect::<Vec<_>>(),
            )
            .section(tags::FINE, fine);
    }
    writer
        .section(tags::ITEMS, table)
        .section(tags::GROUPS, groups)
        .section(tags::TEXT, text);
    columns::add_to(&mut writer, items, form.columns);
    local::add_to(&mut writer, items);
    writer
}

fn bytes_of(numbers: &[i8]) -> Vec<u8> {
    numbers.iter().map(|q| q.cast_unsigned()).collect()
}
