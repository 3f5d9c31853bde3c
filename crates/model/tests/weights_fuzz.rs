//! Mutated model files: each is refused by name or sound, and none costs more memory or time than its size explains.
//! The same functions are fuzzed with coverage feedback in `fuzz/`.
#![expect(clippy::unwrap_used, reason = "what a test sets up may fail it")]

use computepool_model::config::Architecture;
use computepool_model::gguf;
use computepool_model::testkit::{TinyModel, TinySpec, as_q8_0};
use computepool_model::{ModelError, ModelFile, TensorName};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

/// A change to a file.
#[derive(Clone, Debug)]
enum Mutation {
    /// Another byte here.
    Byte(prop::sample::Index, u8),
    /// A number that overflows something, little-endian, over four or eight bytes.
    Number(prop::sample::Index, u64, bool),
    /// A piece moved elsewhere.
    Copy(prop::sample::Index, prop::sample::Index, usize),
    /// The file ends here.
    Cut(prop::sample::Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let number = prop_oneof![
        Just(0),
        Just(1),
        Just(u64::MAX),
        Just(u64::from(u32::MAX)),
        Just(i64::MAX as u64),
        (0u32..64).prop_map(|bit| 1u64 << bit),
        any::<u64>(),
    ];
    prop_oneof![
        4 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Byte(at, byte)),
        4 => (any::<prop::sample::Index>(), number, any::<bool>()).prop_map(|(at, to, wide)| Mutation::Number(at, to, wide)),
        1 => (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1usize..64)
            .prop_map(|(from, to, len)| Mutation::Copy(from, to, len)),
        1 => any::<prop::sample::Index>().prop_map(Mutation::Cut),
    ]
}

/// Most changes go into the header, where they matter.
fn apply(bytes: &mut Vec<u8>, header: usize, mutation: &Mutation) {
    let reach = header.min(bytes.len());
    if reach == 0 {
        return;
    }
    match mutation {
        Mutation::Byte(at, byte) => bytes[at.index(reach)] = *byte,
        Mutation::Number(at, to, wide) => {
            let at = at.index(reach);
            let len = if *wide { 8 } else { 4 }.min(bytes.len() - at);
            bytes[at..at + len].copy_from_slice(&to.to_le_bytes()[..len]);
        }
        Mutation::Copy(from, to, len) => {
            let (from, to) = (from.index(reach), to.index(reach));
            let len = (*len).min(bytes.len() - from.max(to));
            bytes.copy_within(from..from + len, to);
        }
        Mutation::Cut(at) => {
            let at = at.index(bytes.len());
            bytes.truncate(at);
        }
    }
}

/// Opens a file that may be anything; where it opens, everything it promises must hold.
fn open_and_check(bytes: Vec<u8>) -> Result<(), TestCaseError> {
    if let Ok(metadata) = gguf::parse(&bytes) {
        let mut end = 0;
        for tensor in metadata.tensors() {
            prop_assert!(tensor.range.start >= end && tensor.range.end <= bytes.len() as u64);
            end = tensor.range.end;
        }
        for key in metadata.keys() {
            prop_assert!(metadata.get(key).is_ok_and(|value| value.is_some()));
            let _ = (metadata.get_strings(key), metadata.get_u32s(key), metadata.get_f32s(key), metadata.get_str(key));
        }
    }
    if let Ok(file) = ModelFile::from_gguf(bytes) {
        let config = file.config();
        prop_assert!(config.rope.inverse_frequencies(config.rope_dim).iter().all(|frequency| frequency.is_finite()));
        let layers = computepool_core::LayerRange::new(0, config.layer_count).unwrap();
        let mut bytes = 0;
        for name in file.shard_tensors(layers) {
            let tensor = file.require(name).unwrap();
            prop_assert_eq!(Some(tensor.bytes().len()), tensor.kind().tensor_bytes(tensor.shape()));
            bytes += tensor.bytes().len() as u64;
        }
        prop_assert_eq!(bytes, file.shard_bytes(layers));
        prop_assert!(file.tensor(TensorName::TokenEmbedding).unwrap().is_some());
    }
    Ok(())
}

/// How many: `COMPUTEPOOL_FUZZ_CASES`, or the given number.
fn fuzz_cases(usual: u32) -> u32 {
    std::env::var("COMPUTEPOOL_FUZZ_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(usual)
}

fn seeded(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(20_261_123), failure_persistence: None, ..Config::default() }
}

fn base(architecture: Architecture) -> (Vec<u8>, usize) {
    let spec = TinySpec { layers: 1, vocabulary: 257, ffn: 32, hidden: 32, ..TinySpec::new(architecture) };
    let bytes = TinyModel::random(spec).to_gguf(&as_q8_0);
    let header = gguf::parse(&bytes).unwrap().tensors()[0].range.start as usize;
    (bytes, header)
}

#[test]
fn mutated_files_are_refused_by_name_or_sound() {
    let bases = [Architecture::Llama, Architecture::Gemma3].map(base);
    let cases = fuzz_cases(4000);
    let answers = std::cell::RefCell::new(std::collections::BTreeMap::<String, u32>::new());
    let before = resident_bytes();
    let strategy = (0..bases.len(), prop::collection::vec(mutation(), 0..4));
    let mut runner = proptest::test_runner::TestRunner::new(seeded(cases));
    runner
        .run(&strategy, |(which, mutations)| {
            let (mut bytes, header) = bases[which].clone();
            mutations.iter().for_each(|mutation| apply(&mut bytes, header, mutation));
            let answer = match ModelFile::from_gguf(bytes.clone()) {
                Ok(_) => "sound".to_owned(),
                Err(error) => kind(&error),
            };
            *answers.borrow_mut().entry(answer).or_default() += 1;
            open_and_check(bytes)
        })
        .unwrap();
    // Neither all nor none: the mutations reach past the magic number.
    let answers = answers.into_inner();
    println!("{cases} mutated files: {answers:?}");
    println!("memory before {} kB, at the end {} kB", before >> 10, resident_bytes() >> 10);
    let sound = answers.get("sound").copied().unwrap_or(0);
    assert!(sound > cases / 20 && sound < cases - cases / 20, "{sound} of {cases} are sound");
    assert!(answers.len() > 5, "the mutations reach few of the checks: {answers:?}");
    assert!(resident_bytes() < before + (48 << 20), "{cases} files cost memory that stays");
}

proptest! {
    #![proptest_config(seeded(fuzz_cases(2000)))]

    #[test]
    fn random_bytes_after_the_magic_number_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        open_and_check([&b"GGUF\x03\0\0\0"[..], &bytes].concat())?;
    }
}

/// The name of an error, without what it carries.
fn kind(error: &ModelError) -> String {
    let text = format!("{error:?}");
    let inner = text.strip_prefix("Gguf(").unwrap_or(&text);
    inner.chars().take_while(char::is_ascii_alphanumeric).collect()
}

/// Memory this process holds; 0 where the system does not say.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}
