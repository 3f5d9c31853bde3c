use std::path::PathBuf;

use bytes::Bytes;
use computepool_core::ports::{EngineCommand, EngineEvent, StepInput};
use computepool_core::{
    Activation, ActivationType, ContentHash, Fault, FaultCode, GenerationId, LayerRange, ShardSpec,
};

use super::*;

fn step(rows: u32, hidden: u32) -> HostMessage {
    let data: Vec<u8> = (0..rows * hidden * 4).map(|byte| byte as u8).collect();
    let hidden = Activation::new(rows, hidden, ActivationType::F32, Bytes::from(data)).unwrap();
    let input = StepInput::Hidden(hidden);
    HostMessage::Command(EngineCommand::Step { generation: GenerationId([7; 16]), position: 3, sample: true, input })
}

fn messages() -> Vec<HostMessage> {
    let spec = ShardSpec {
        model: ContentHash([1; 32]),
        layers: LayerRange::new(2, 5).unwrap(),
        kv_bytes: 1 << 40,
        max_context: 4096,
    };
    let options = EngineOptions { threads: 3, device: DeviceChoice::Cuda(1) };
    vec![
        HostMessage::Load { path: PathBuf::from("models/ä b.gguf"), spec, options },
        HostMessage::Measure { path: PathBuf::from("m.gguf"), model: ContentHash([1; 32]), options },
        HostMessage::Ping(u64::MAX),
        step(1, 4096),
        step(64, 576),
    ]
}

#[tokio::test]
async fn messages_come_back_as_they_went_both_ways() {
    let mut bytes = Vec::new();
    for message in messages() {
        encode(&message, &mut bytes).unwrap();
    }
    let (mut blocking, mut buffer) = (bytes.as_slice(), Vec::new());
    let mut waiting = bytes.as_slice();
    for message in messages() {
        assert_eq!(read_blocking::<HostMessage>(&mut blocking, &mut buffer).unwrap(), message);
        assert_eq!(read_message::<HostMessage, _>(&mut waiting, &mut buffer).await.unwrap(), message);
    }
    assert!(matches!(read_blocking::<HostMessage>(&mut blocking, &mut buffer), Err(PipeError::Closed)));
    assert!(matches!(read_message::<HostMessage, _>(&mut waiting, &mut buffer).await, Err(PipeError::Closed)));
}

#[tokio::test]
async fn whatever_is_not_a_frame_is_named() {
    let mut good = Vec::new();
    encode(&step(2, 8), &mut good).unwrap();
    let altered = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let cases: [(Vec<u8>, &str); 7] = [
        (b"thread 'main' panicked".to_vec(), "starts with"),
        (altered(4, 9), "speaks version 9"),
        (altered(6, 1), "speaks version"),
        (altered(11, 0xFF), "are allowed"),
        (good[..5].to_vec(), "broke off"),
        (good[..good.len() - 1].to_vec(), "broke off"),
        (altered(HEADER_BYTES, 77), "cannot be understood"),
    ];
    for (bytes, expected) in cases {
        let error = read_blocking::<HostMessage>(&mut bytes.as_slice(), &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error} instead of {expected}");
        let error = read_message::<HostMessage, _>(&mut bytes.as_slice(), &mut Vec::new()).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error} instead of {expected}");
    }
    // A length that leaves bytes over.
    let mut long = good.clone();
    long[8] += 1;
    long.push(0);
    let error = read_blocking::<HostMessage>(&mut long.as_slice(), &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("left over"), "{error}");
}

#[test]
fn what_is_too_long_is_not_written() {
    let mut bytes = vec![1, 2, 3];
    let event = EngineEvent::Failed {
        generation: GenerationId([0; 16]),
        fault: Fault::new(FaultCode::Internal, "x".repeat(MAX_FRAME_BYTES)),
    };
    assert!(matches!(encode(&ChildMessage::Event(event), &mut bytes), Err(PipeError::Oversize { .. })));
    assert_eq!(bytes, [1, 2, 3]);
}

#[test]
fn an_activation_with_a_lying_shape_is_refused() {
    // `Activation` does not check its shape when it is deserialised, so its reader must.
    let mut bytes = Vec::new();
    encode(&step(1, 4), &mut bytes).unwrap();
    let frame = &bytes[HEADER_BYTES..];
    let honest: HostMessage = decode(frame).unwrap();
    assert_eq!(honest, step(1, 4));
    let rows = frame.iter().rposition(|byte| *byte == 16).unwrap() - 3;
    assert_eq!(frame[rows], 1);
    let mut lying = frame.to_vec();
    lying[rows] = 9;
    assert!(decode::<HostMessage>(&lying).is_err());
}

#[test]
#[ignore = "a measurement, not a check: run with --ignored --nocapture"]
fn what_a_frame_costs() {
    let (message, mut bytes, mut buffer) = (step(1, 4096), Vec::new(), Vec::new());
    let began = std::time::Instant::now();
    for _ in 0..10_000 {
        bytes.clear();
        encode(&message, &mut bytes).unwrap();
        let back: HostMessage = read_blocking(&mut bytes.as_slice(), &mut buffer).unwrap();
        std::hint::black_box(back);
    }
    println!("{:.2} µs to write and read 16 KiB", began.elapsed().as_secs_f64() * 100.0);
}
