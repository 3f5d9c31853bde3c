//! The header of a GGUF file, as a stranger may have written it: refused by name, or sound.

#![no_main]

use computepool_model::gguf::{self, Value};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(metadata) = gguf::parse(data) else { return };
    let mut end = 0;
    for tensor in metadata.tensors() {
        assert!(tensor.range.start >= end, "{tensor:?} overlaps the tensor before it, which ends at {end}");
        assert!(tensor.range.end >= tensor.range.start && tensor.range.end <= data.len() as u64, "{tensor:?}");
        end = tensor.range.end;
    }
    for key in metadata.keys() {
        // What was accepted must be readable as the type it says it has; every other type is refused, not misread.
        let value = metadata.get(key).expect("an accepted key is readable");
        let strings = metadata.get_strings(key);
        let numbers = metadata.get_f32s(key);
        if let Some(Value::Array(_, count)) = value {
            assert!(strings.map_or(0, |list| list.map_or(0, |list| list.len())) <= count);
            assert!(numbers.map_or(0, |list| list.map_or(0, |list| list.len())) <= count);
        }
        let _ = metadata.get_str(key);
        let _ = metadata.get_u64(key);
    }
});
