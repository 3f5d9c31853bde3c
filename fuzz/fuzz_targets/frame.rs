//! What a neighbour writes to a lane. Two bytes choose the lane, the type of its numbers and how the rest is cut up.

#![no_main]

use computepool_core::{ActivationType, Lane};
use computepool_transport::frame::{FrameLimits, decode_all, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [choice, piece, input @ ..] = data else { return };
    let limits = FrameLimits {
        lane: Lane::ALL[usize::from(choice % 3)],
        max_activation_bytes: 4096,
        max_rows: 16,
        hidden: 8,
        activation: [ActivationType::F32, ActivationType::F16, ActivationType::Bf16][usize::from((choice >> 4) % 3)],
        max_context: 1000,
    };
    let (frames, end) = decode_all(limits, input, usize::from(*piece));
    let (whole, whole_end) = decode_all(limits, input, usize::MAX);
    assert!(frames == whole && end == whole_end, "how a stream is cut up changes what it says");
    for frame in frames {
        let (head, payload) = encode(&frame).expect("a decoded frame can be written");
        let bytes = [&head[..], &payload[..]].concat();
        let (again, end) = decode_all(limits, &bytes, usize::MAX);
        assert!(end.is_ok() && again == [frame], "a frame does not survive being written and read");
    }
});
