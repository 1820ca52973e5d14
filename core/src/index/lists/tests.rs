//! Lists against a loop over all rows.

use proptest::prelude::*;

use super::super::quantise::{Stored, quantise, stride};
use super::super::top::Scored;
use super::encode::Encoded;
use super::*;
use crate::kernel::Cpu;

/// Vectors around some centres; `spread` says how far.
struct Made {
    dim: usize,
    vectors: Vec<Vec<f32>>,
    values: Vec<i8>,
    fine: Vec<u8>,
    units: Vec<f32>,
    items: Vec<u32>,
}

fn gaussian(rng: &mut fastrand_like::Rng) -> f32 {
    (0..6).map(|_| rng.unit() - 0.5).sum::<f32>()
}

/// A small generator: the crate that the library uses for it is not always there.
mod fastrand_like {
    pub(super) struct Rng(pub(super) u64);

    impl Rng {
        pub(super) fn next(&mut self) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            self.0 >> 33
        }

        pub(super) fn unit(&mut self) -> f32 {
            self.next() as f32 / (1u64 << 31) as f32
        }
    }
}

impl Made {
    fn new(
        count: usize,
        dim: usize,
        centres: usize,
        spread: f32,
        rows_an_item: u32,
        seed: u64,
    ) -> Self {
        let mut rng = fastrand_like::Rng(seed);
        let centres: Vec<Vec<f32>> = (0..centres)
            .map(|_| (0..dim).map(|_| gaussian(&mut rng)).collect())
            .collect();
        let mut made = Self {
            dim,
            vectors: Vec::new(),
            values: Vec::new(),
            fine: Vec::new(),
            units: Vec::new(),
            items: Vec::new(),
        };
        for n in 0..count as u32 {
            let centre = &centres[rng.next() as usize % centres.len()];
            let vector: Vec<f32> = centre
                .iter()
                .map(|c| c + spread * gaussian(&mut rng))
                .collect();
            let stored = Stored::new(&vector, dim).unwrap();
            made.values.extend(&stored.row);
            made.fine.extend(&stored.fine);
            made.units.push(stored.inverse_norm());
            made.items.push(n / rows_an_item);
            made.vectors.push(vector);
        }
        made
    }

    fn encode(&self) -> Encoded {
        let rows = Rows {
            dim: stride(self.dim),
            values: &self.values,
            fine: &self.fine,
            units: &self.units,
            items: &self.items,
        };
        encode(
            Cpu::native(),
            &rows,
            self.dim,
            self.items.last().unwrap() + 1,
        )
    }

    fn query(&self, vector: &[f32]) -> ListQuery {
        ListQuery::new(vector, &quantise(vector, self.dim).unwrap())
    }

    /// The best items by the cosine of the vectors as they were made.
    fn exact(&self, query: &[f32], wanted: usize) -> Vec<(u32, f32)> {
        let norm = |v: &[f32]| v.iter().map(|v| v * v).sum::<f32>().sqrt();
        let mut best: std::collections::BTreeMap<u32, f32> = Default::default();
        for (vector, &item) in self.vectors.iter().zip(&self.items) {
            let dot: f32 = vector.iter().zip(query).map(|(a, b)| a * b).sum();
            let score = dot / (norm(vector) * norm(query));
            let kept = best.entry(item).or_insert(score);
            *kept = kept.max(score);
        }
        let mut best: Vec<(u32, f32)> = best.into_iter().collect();
        best.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        best.truncate(wanted);
        best
    }
}

fn search(
    encoded: &Encoded,
    made: &Made,
    query: &[f32],
    wanted: usize,
    mask: Option<&RowMask>,
    effort: Effort,
) -> Vec<Scored> {
    search_on(Cpu::native(), encoded, made, query, wanted, mask, effort)
}

fn search_on(
    cpu: Cpu,
    encoded: &Encoded,
    made: &Made,
    query: &[f32],
    wanted: usize,
    mask: Option<&RowMask>,
    effort: Effort,
) -> Vec<Scored> {
    let lists = encoded.lists(stride(made.dim));
    nearest(cpu, &lists, &made.query(query), wanted, true, mask, effort).unwrap()
}

fn recall(found: &[Scored], exact: &[(u32, f32)]) -> f64 {
    let is_found = |item: u32| found.iter().any(|scored| scored.item == item);
    exact.iter().filter(|(item, _)| is_found(*item)).count() as f64 / exact.len() as f64
}

#[test]
fn finds_what_a_loop_over_all_rows_finds() {
    // Clusters, and no structure at all.
    for (centres, spread, least) in [(60, 0.6, 0.97), (1, 1.0, 0.95)] {
        let made = Made::new(6000, 96, centres, spread, 1, 7);
        let encoded = made.encode();
        let mut found = 0.0;
        for n in 0..40 {
            let query: Vec<f32> = made.vectors[n * 150]
                .iter()
                .zip(&made.vectors[n * 7 + 1])
                .map(|(a, b)| a + 0.4 * b)
                .collect();
            let exact = made.exact(&query, 10);
            let hits = search(&encoded, &made, &query, 10, None, Effort::Lists);
            for hit in &hits {
                let item = made
                    .exact(&query, usize::MAX)
                    .into_iter()
                    .find(|(item, _)| *item == hit.item)
                    .unwrap();
                assert!((item.1 - hit.score).abs() < 0.004, "{item:?} {hit:?}");
            }
            found += recall(&hits, &exact) / 40.0;
        }
        assert!(found > least, "recall {found} with {centres} centres");
    }
}

#[test]
fn fewer_are_the_head_of_more_and_all_can_be_had() {
    let made = Made::new(5000, 70, 40, 0.5, 3, 3);
    let encoded = made.encode();
    let items = 5000usize.div_ceil(3);
    for n in 0..10 {
        let query = &made.vectors[n * 411];
        let ten = search(&encoded, &made, query, 10, None, Effort::Lists);
        for wanted in 1..10 {
            assert_eq!(
                search(&encoded, &made, query, wanted, None, Effort::Lists),
                ten[..wanted]
            );
        }
        for wanted in [30, 300, items, items + 5] {
            let more = search(&encoded, &made, query, wanted, None, Effort::Lists);
            assert_eq!(more.len(), wanted.min(items));
            assert_eq!(more[0], ten[0]);
            assert!(more.is_sorted());
        }
    }
}

#[test]
fn masks_leave_out_and_nothing_else() {
    let made = Made::new(5000, 64, 40, 0.5, 2, 5);
    let encoded = made.encode();
    let lists = encoded.lists(stride(made.dim));
    for every in [1, 2, 7, 100, 2500] {
        let mask = RowMask::new(&lists, |item| item % every == 0).unwrap();
        assert_eq!(mask.count(), 2 * 2500usize.div_ceil(every as usize));
        let query = &made.vectors[1234];
        let found = search(&encoded, &made, query, 10, Some(&mask), Effort::Lists);
        let mut exact = made.exact(query, usize::MAX);
        exact.retain(|(item, _)| item % every == 0);
        exact.truncate(10);
        assert_eq!(found.len(), exact.len());
        assert!(found.iter().all(|scored| scored.item % every == 0));
        assert!(
            recall(&found, &exact) >= 0.9,
            "every {every}: {found:?} {exact:?}"
        );
    }
}

#[test]
fn every_processor_gives_the_same_bits() {
    let made = Made::new(4500, 100, 30, 0.5, 1, 11);
    let encoded = made.encode();
    for query in made.vectors.iter().step_by(500) {
        for effort in [Effort::Lists, Effort::Signs, Effort::All] {
            let native = search(&encoded, &made, query, 20, None, effort);
            for cpu in Cpu::available() {
                assert_eq!(
                    search_on(cpu, &encoded, &made, query, 20, None, effort),
                    native
                );
            }
        }
    }
}

#[test]
fn rows_alone_and_rows_all_equal_can_be_listed() {
    for count in [1, 2, 17] {
        let mut made = Made::new(count, 64, 1, 0.5, 1, 2);
        assert_eq!(
            search(
                &made.encode(),
                &made,
                &made.vectors[0],
                5,
                None,
                Effort::Lists
            )
            .len(),
            count.min(5)
        );
        let first = made.values[..64].to_vec();
        made.values = first.repeat(count);
        made.fine = made.fine[..32].repeat(count);
        made.units = vec![made.units[0]; count];
        let found = search(
            &made.encode(),
            &made,
            &made.vectors[0],
            3,
            None,
            Effort::Signs,
        );
        // Equal scores: by item.
        let items: Vec<u32> = found.iter().map(|scored| scored.item).collect();
        assert_eq!(items, (0..count.min(3) as u32).collect::<Vec<_>>());
        assert!(found[0].score > 0.999);
    }
}

proptest! {
    #[test]
    fn packed_numbers_come_back(numbers in proptest::collection::vec(any::<u32>(), 0..50), bits in 1..=32u32) {
        let limit = u32::MAX >> (32 - bits);
        let numbers: Vec<u32> = numbers.into_iter().map(|n| n & limit).collect();
        let mut bytes = Vec::new();
        encode::write_packed(&mut bytes, numbers.iter().copied(), bits);
        prop_assert_eq!(bytes.len(), (numbers.len() * bits as usize).div_ceil(8));
        let read: Vec<u32> = (0..numbers.len()).map(|i| packed(&bytes, i, bits)).collect();
        prop_assert_eq!(read, numbers);
    }
}
