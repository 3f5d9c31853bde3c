//! The cut: exact, around insisted ranges, and within memory.

use computepool_orchestrator::PoolSettings;
use computepool_orchestrator::plan::{Candidate, PlanError, Share, least_bytes, plan, weight_bytes};
use proptest::prelude::*;

use crate::script::{range, summary};

fn free() -> Candidate {
    Candidate { insisted: None, memory_bytes: u64::MAX }
}

fn insists(layers: &str) -> Candidate {
    Candidate { insisted: Some(range(layers)), memory_bytes: u64::MAX }
}

fn shown(shares: &[Share]) -> Vec<(String, usize)> {
    shares.iter().map(|share| (share.layers.to_string(), share.candidate)).collect()
}

fn expect(shares: &[Share], expected: &[(&str, usize)]) {
    let expected: Vec<(String, usize)> = expected.iter().map(|(layers, who)| ((*layers).to_owned(), *who)).collect();
    assert_eq!(shown(shares), expected);
}

#[test]
fn equal_layers_are_cut_equally_in_order_of_registration() {
    let settings = PoolSettings::new(summary(30), 3);
    expect(&plan(&settings, &[free(); 4]).unwrap(), &[("0..10", 0), ("10..20", 1), ("20..30", 2)]);
    let each = PoolSettings::new(summary(30), 30);
    assert_eq!(plan(&each, &[free(); 30]).unwrap().len(), 30);
}

#[test]
fn embedding_and_head_weigh_on_the_ends() {
    let mut model = summary(10);
    model.embedding_bytes = 300;
    model.head_bytes = 300;
    let shares = plan(&PoolSettings::new(model, 3), &[free(); 3]).unwrap();
    // 300 + 2 × 100, 6 × 100, 2 × 100 + 300 is as even as it gets.
    assert_eq!(shares[1].layers.len(), 6, "{:?}", shown(&shares));
}

#[test]
fn insisted_ranges_are_kept_and_the_rest_is_cut_around_them() {
    let settings = PoolSettings::new(summary(30), 3);
    expect(&plan(&settings, &[free(), insists("5..15"), free()]).unwrap(), &[("0..5", 0), ("5..15", 1), ("15..30", 2)]);
    expect(
        &plan(&settings, &[insists("20..30"), insists("0..10"), insists("10..20")]).unwrap(),
        &[("0..10", 1), ("10..20", 2), ("20..30", 0)],
    );
}

#[test]
fn insisted_ranges_that_tile_the_model_win_over_the_number_of_shards() {
    let settings = PoolSettings::new(summary(30), 3);
    expect(&plan(&settings, &[insists("0..20"), insists("20..30")]).unwrap(), &[("0..20", 0), ("20..30", 1)]);
}

#[test]
fn what_cannot_be_joined_is_said() {
    let settings = PoolSettings::new(summary(30), 3);
    assert_eq!(plan(&settings, &[free(), free()]), Err(PlanError::TooFew { present: 2, needed: 3 }));
    let apart = [insists("5..10"), insists("12..20"), insists("0..4")];
    assert_eq!(plan(&settings, &apart), Err(PlanError::Insistence { needed: 3 }));
    assert_eq!(
        plan(&settings, &[insists("0..40"), free(), free()]),
        Err(PlanError::TooFew { present: 2, needed: 3 }),
        "a range beyond the model counts for nothing"
    );
}

#[test]
fn the_largest_share_goes_to_the_largest_node_only_where_it_must() {
    let mut model = summary(4);
    model.head_bytes = 1000;
    let settings = PoolSettings::new(model, 2);
    let exit = least_bytes(&settings, range("3..4"));
    let entry = least_bytes(&settings, range("0..3"));
    let with = |memory_bytes| Candidate { insisted: None, memory_bytes };
    assert!(entry > exit, "KV makes the three layers the larger share");
    expect(&plan(&settings, &[with(entry), with(exit)]).unwrap(), &[("0..3", 0), ("3..4", 1)]);
    expect(&plan(&settings, &[with(exit), with(entry)]).unwrap(), &[("0..3", 1), ("3..4", 0)]);
    let short = plan(&settings, &[with(exit), with(entry - 1)]);
    assert_eq!(short, Err(PlanError::Memory { layers: range("0..3"), needed: entry, offered: entry - 1 }));
}

/// The smallest possible largest share, by trying every cut.
fn exhaustive(settings: &PoolSettings, start: u32, shards: usize) -> Option<u64> {
    let end = settings.summary.layer_count;
    if shards == 1 {
        return (start < end).then(|| weight_bytes(settings, range(&format!("{start}..{end}"))));
    }
    (start + 1..end)
        .filter_map(|cut| {
            let first = weight_bytes(settings, range(&format!("{start}..{cut}")));
            Some(first.max(exhaustive(settings, cut, shards - 1)?))
        })
        .min()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_cut_is_exact_and_gapless(
        layers in prop::collection::vec(1_u64..1000, 1..9),
        embedding in 0_u64..2000,
        head in 0_u64..2000,
        shards in 1_usize..9,
    ) {
        let shards = shards.min(layers.len());
        let mut model = summary(layers.len() as u32);
        (model.layer_bytes, model.embedding_bytes, model.head_bytes) = (layers, embedding, head);
        let settings = PoolSettings::new(model, shards);
        let shares = plan(&settings, &vec![free(); shards]).unwrap();
        prop_assert_eq!(shares.len(), shards);
        prop_assert_eq!(shares[0].layers.start(), 0);
        prop_assert_eq!(shares[shards - 1].layers.end(), settings.summary.layer_count);
        prop_assert!(shares.windows(2).all(|pair| pair[0].layers.end() == pair[1].layers.start()));
        let largest = shares.iter().map(|share| weight_bytes(&settings, share.layers)).max();
        prop_assert_eq!(largest, exhaustive(&settings, 0, shards));
    }
}
