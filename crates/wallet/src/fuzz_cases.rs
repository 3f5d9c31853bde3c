//! How many cases a test with garbage runs.

use proptest::test_runner::Config;

/// `COMPUTEPOOL_FUZZ_CASES`, which `make fuzz` sets, or proptest's own number.
pub(crate) fn fuzz_cases() -> Config {
    let asked = std::env::var("COMPUTEPOOL_FUZZ_CASES").ok().and_then(|count| count.parse().ok());
    asked.map_or_else(Config::default, Config::with_cases)
}
