//! The frame codec: what is written is read, and what is not a frame is refused by name, however it is cut up.

use computepool_core::{Activation, ActivationType, FaultCode, GenerationId, HopFrame, Lane};
use computepool_transport::frame::{Decoder, FrameError, FrameLimits, PREFIX_BYTES, decode_all, encode};
use computepool_transport::hello;
use proptest::prelude::*;

use crate::support::{Random, fuzz_cases};

const LIMITS: FrameLimits = FrameLimits {
    lane: Lane::Prefill,
    max_activation_bytes: 4096,
    max_rows: 32,
    hidden: 8,
    activation: ActivationType::F16,
    max_context: 1000,
};

fn limits(lane: Lane) -> FrameLimits {
    FrameLimits { lane, ..LIMITS }
}

fn bytes_of(frame: &HopFrame) -> Vec<u8> {
    let (head, payload) = encode(frame).unwrap();
    [&head[..], &payload[..]].concat()
}

/// 3 rows at position 5.
fn good() -> Vec<u8> {
    let hidden = Activation::new(3, 8, ActivationType::F16, vec![0xAB; 48].into()).unwrap();
    bytes_of(&HopFrame::Activation { generation: GenerationId([1; 16]), position: 5, sample: true, hidden })
}

fn a_frame() -> impl Strategy<Value = HopFrame> {
    let generation = any::<[u8; 16]>().prop_map(GenerationId);
    let forward =
        (generation.clone(), 0u32..900, any::<bool>(), 1u32..=32).prop_map(|(generation, position, sample, rows)| {
            let data: Vec<u8> = (0..rows * 16).map(|i| (i ^ position) as u8).collect();
            let hidden = Activation::new(rows, 8, ActivationType::F16, data.into()).unwrap();
            HopFrame::Activation { generation, position, sample, hidden }
        });
    let abort = (generation, 0..FaultCode::ALL.len())
        .prop_map(|(generation, i)| HopFrame::Abort { generation, code: FaultCode::ALL[i] });
    prop_oneof![3 => forward, 1 => abort]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_written_is_read_however_it_arrives(
        frames in proptest::collection::vec(a_frame(), 0..6),
        piece in 1usize..600,
    ) {
        let bytes: Vec<u8> = frames.iter().flat_map(bytes_of).collect();
        let (read, end) = decode_all(LIMITS, &bytes, piece);
        prop_assert_eq!(end, Ok(()));
        prop_assert_eq!(read, frames);
    }

    #[test]
    fn a_stream_cut_inside_a_frame_is_truncated(frame in a_frame(), cut in any::<prop::sample::Index>()) {
        let bytes = bytes_of(&frame);
        let cut = 1 + cut.index(bytes.len() - 1);
        let (read, end) = decode_all(LIMITS, &bytes[..cut], 64);
        prop_assert!(read.is_empty());
        prop_assert!(matches!(end, Err(FrameError::Truncated { .. })), "{end:?}");
        prop_assert_eq!(end.unwrap_err().code(), FaultCode::LinkLost);
    }

    #[test]
    fn tokens_travel_back_and_activations_do_not(position in 0u32..=1000, id in any::<u32>()) {
        let token = HopFrame::Token { generation: GenerationId([3; 16]), position, id };
        let (read, end) = decode_all(limits(Lane::Return), &bytes_of(&token), 7);
        prop_assert_eq!((read, end), (vec![token.clone()], Ok(())));
        let (_, end) = decode_all(limits(Lane::Decode), &bytes_of(&token), 7);
        prop_assert_eq!(end, Err(FrameError::Lane { got: 2, lane: Lane::Decode }));
        let (_, end) = decode_all(limits(Lane::Return), &good(), 7);
        prop_assert_eq!(end, Err(FrameError::Lane { got: 1, lane: Lane::Return }));
    }
}

/// Mutates good input, and makes up input from nothing: no panic, no frame outside its limits, no space beyond them, and
/// the same outcome however the bytes arrive.
#[test]
fn mutated_frames_end_in_a_named_error() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut refused = std::collections::BTreeMap::<&str, u64>::new();
    for _ in 0..fuzz_cases(10_000) {
        let limits = limits(Lane::ALL[random.below(3)]);
        let mut bytes = match random.below(4) {
            0 => (0..random.below(200)).map(|_| random.next() as u8).collect(),
            1 => bytes_of(&HopFrame::Token { generation: GenerationId([2; 16]), position: 4, id: 77 }),
            2 => bytes_of(&HopFrame::Abort { generation: GenerationId([2; 16]), code: FaultCode::Cancelled }),
            _ => [good(), good()].concat(),
        };
        random.mutate(&mut bytes);
        let (frames, end) = decode_all(limits, &bytes, bytes.len());
        let in_pieces = decode_all(limits, &bytes, 1 + random.below(40));
        assert!(frames == in_pieces.0 && end == in_pieces.1, "how it arrives changes what it says: {bytes:02x?}");
        for frame in frames {
            if let HopFrame::Activation { position, hidden, .. } = &frame {
                assert!(limits.lane != Lane::Return && hidden.rows() <= 32 && position + hidden.rows() <= 1000);
            }
        }
        if end.is_ok() {
            *refused.entry("sound").or_default() += 1;
        }
        if let Err(error) = end {
            *refused.entry(error.code().as_str()).or_default() += 1;
        }
        if let Some((prefix, body)) = bytes.split_first_chunk::<PREFIX_BYTES>() {
            // The hello's parser sees the same bytes, as prefix and as body.
            if let Ok(length) = hello::announced(prefix) {
                assert!(length <= hello::MAX_HELLO_BYTES);
            }
            let _ = hello::parse(body);
        }
    }
    println!("mutated frames at the decoder, by answer: {refused:?}");
    for code in ["bad_frame", "oversize_frame", "wrong_shape", "link_lost"] {
        assert!(refused.contains_key(code), "the mutations never reached {code}: {refused:?}");
    }
}

#[test]
fn each_wrong_field_is_refused_by_its_name() {
    type Check = fn(&FrameError) -> bool;
    let cases: &[(usize, &[u8], FaultCode, Check)] = &[
        (0, b"X", FaultCode::BadFrame, |e| matches!(e, FrameError::Magic { .. })),
        (4, &[2], FaultCode::BadFrame, |e| matches!(e, FrameError::Version { got: 2, expected: 1 })),
        (5, &[99], FaultCode::BadFrame, |e| matches!(e, FrameError::Kind { got: 99 })),
        (5, &[16], FaultCode::BadFrame, |e| matches!(e, FrameError::Kind { got: 16 })),
        (6, &[2], FaultCode::BadFrame, |e| matches!(e, FrameError::Flags { got: 2, .. })),
        (8, &[32, 0, 0, 0], FaultCode::BadFrame, |e| matches!(e, FrameError::Length { got: 32, .. })),
        (8, &[255; 4], FaultCode::OversizeFrame, |e| matches!(e, FrameError::Oversize { limit: 4096, .. })),
        (8, &[33, 16, 0, 0], FaultCode::OversizeFrame, |e| matches!(e, FrameError::Oversize { got: 4097, .. })),
        (8, &[81, 0, 0, 0], FaultCode::WrongShape, |e| matches!(e, FrameError::Size { got: 49, expected: 48, .. })),
        (28, &[255; 4], FaultCode::WrongShape, |e| matches!(e, FrameError::Position { rows: 3, .. })),
        (28, &[0xE6, 3, 0, 0], FaultCode::WrongShape, |e| matches!(e, FrameError::Position { position: 998, .. })),
        (32, &[0; 4], FaultCode::WrongShape, |e| matches!(e, FrameError::Rows { got: 0, limit: 32 })),
        (32, &[33], FaultCode::WrongShape, |e| matches!(e, FrameError::Rows { got: 33, .. })),
        (32, &[4], FaultCode::WrongShape, |e| matches!(e, FrameError::Size { expected: 64, got: 48, .. })),
        (36, &[9], FaultCode::WrongShape, |e| matches!(e, FrameError::Hidden { expected: 8, got: 9 })),
        (40, &[2], FaultCode::WrongShape, |e| matches!(e, FrameError::Type { got: 2, .. })),
        (41, &[1], FaultCode::BadFrame, |e| matches!(e, FrameError::Reserved)),
    ];
    for (at, with, code, is_it) in cases {
        let mut bytes = good();
        bytes[*at..at + with.len()].copy_from_slice(with);
        let (frames, end) = decode_all(LIMITS, &bytes, 1000);
        let error = end.unwrap_err();
        assert!(frames.is_empty() && is_it(&error) && error.code() == *code, "byte {at} = {with:?}: {error:?}");
    }
    let mut unknown = bytes_of(&HopFrame::Abort { generation: GenerationId([1; 16]), code: FaultCode::Stalled });
    unknown[30] = b'_';
    assert_eq!(decode_all(LIMITS, &unknown, 1000).1, Err(FrameError::Code));
}

#[test]
fn an_oversize_announcement_is_refused_before_it_costs_memory() {
    let mut bytes = good();
    bytes[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut decoder = Decoder::new(LIMITS);
    decoder.space().copy_from_slice(&bytes[..PREFIX_BYTES]);
    assert!(matches!(decoder.filled(PREFIX_BYTES), Err(FrameError::Oversize { .. })));
    assert!(decoder.space().is_empty(), "nothing more is taken in");
    assert!(decoder.filled(0).is_err() && decoder.end().is_err(), "and the error stays");
}

#[test]
fn padding_is_taken_once_at_the_start_and_thrown_away() {
    let mut warm = vec![0; PREFIX_BYTES + 100];
    warm[..PREFIX_BYTES].copy_from_slice(&[b'C', b'P', b'H', b'P', 1, 4, 0, 0, 100, 0, 0, 0]);
    let (frames, end) = decode_all(LIMITS, &[warm.clone(), good()].concat(), 17);
    assert_eq!((frames.len(), end), (1, Ok(())));
    let (frames, end) = decode_all(LIMITS, &[good(), warm.clone()].concat(), 17);
    assert_eq!((frames.len(), end), (1, Err(FrameError::Kind { got: 4 })));
    let (_, end) = decode_all(LIMITS, &[warm.clone(), warm].concat(), 17);
    assert_eq!(end, Err(FrameError::Kind { got: 4 }));
}
