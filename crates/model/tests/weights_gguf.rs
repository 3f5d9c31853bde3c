//! GGUF files that lie, and what is said about them.

use computepool_core::{Fault, FaultCode};
use computepool_model::config::Architecture;
use computepool_model::gguf::{self, GgufError, ValueType};
use computepool_model::testkit::{GgufTensor, GgufValue, GgufWriter, TinyModel, TinySpec, as_f32};
use computepool_model::{ModelError, ModelFile, TensorType};

fn two_tensors() -> GgufWriter {
    let mut writer = GgufWriter::default();
    writer.entry("a.number", GgufValue::U32(7)).entry("a.text", GgufValue::String("seven".into()));
    writer.tensor("first", &[2, 32], TensorType::Q8_0, vec![1; 68]);
    writer.tensor("second", &[3], TensorType::F32, vec![2; 12]);
    writer
}

fn refused(writer: &GgufWriter) -> GgufError {
    gguf::parse(&writer.to_bytes()).expect_err("this file lies")
}

#[test]
fn metadata_and_tensors_are_read_as_written() {
    let mut writer = two_tensors();
    writer
        .entry("negative", GgufValue::I32(-5))
        .entry("wide", GgufValue::U64(u64::MAX))
        .entry("small", GgufValue::U8(255))
        .entry("float", GgufValue::F32(0.5))
        .entry("truth", GgufValue::Bool(true))
        .entry("words", GgufValue::Strings(vec!["a".into(), "".into(), "Ġé".into()]))
        .entry("scores", GgufValue::F32s(vec![-1.0, 2.5]))
        .entry("kinds", GgufValue::I32s(vec![1, -3]));
    for version in [2, 3] {
        writer.version = version;
        let bytes = writer.to_bytes();
        let metadata = gguf::parse(&bytes).unwrap();
        assert_eq!(metadata.version(), version);
        assert_eq!(metadata.get_u32("a.number").unwrap(), Some(7));
        assert_eq!(metadata.get_str("a.text").unwrap(), Some("seven"));
        assert_eq!(metadata.get_i64("negative").unwrap(), Some(-5));
        assert_eq!(metadata.get_u64("wide").unwrap(), Some(u64::MAX));
        assert_eq!(metadata.get_u32("small").unwrap(), Some(255));
        assert_eq!(metadata.get_f32("float").unwrap(), Some(0.5));
        assert_eq!(metadata.get_bool("truth").unwrap(), Some(true));
        assert_eq!(metadata.get_strings("words").unwrap().unwrap(), ["a", "", "Ġé"]);
        assert_eq!(metadata.get_f32s("scores").unwrap().unwrap(), [-1.0, 2.5]);
        assert_eq!(metadata.get_i64s("kinds").unwrap().unwrap(), [1, -3]);
        assert_eq!(metadata.get_u32("missing").unwrap(), None);

        assert!(matches!(metadata.get_u32("negative"), Err(GgufError::OutOfRange { .. })));
        assert!(matches!(metadata.get_u32s("kinds"), Err(GgufError::OutOfRange { .. })));
        assert!(matches!(metadata.get_u32("a.text"), Err(GgufError::WrongType { got: "a string", .. })));
        assert!(matches!(metadata.get_strings("scores"), Err(GgufError::WrongType { got: "an array of floats", .. })));
        assert!(matches!(metadata.get_f32("words"), Err(GgufError::WrongType { .. })));

        let tensors = metadata.tensors();
        assert_eq!((tensors[0].name.as_str(), tensors[0].shape.as_slice()), ("first", &[2, 32][..]));
        let bytes_of = |i: usize| &bytes[tensors[i].range.start as usize..tensors[i].range.end as usize];
        assert_eq!(bytes_of(0), [1; 68]);
        assert_eq!(bytes_of(1), [2; 12]);
    }
}

#[test]
fn other_formats_and_versions_are_refused_by_name() {
    assert!(matches!(gguf::parse(b"GGML\x03\0\0\0"), Err(GgufError::BadMagic { got }) if got == *b"GGML"));
    for version in [0, 1, 4, 77] {
        let writer = GgufWriter { version, ..two_tensors() };
        assert_eq!(refused(&writer), GgufError::UnsupportedVersion { got: version });
    }
    let swapped = GgufWriter { version: 3u32.swap_bytes(), ..two_tensors() };
    assert_eq!(refused(&swapped), GgufError::BigEndian);
    assert_eq!(Fault::from(GgufError::BigEndian).code, FaultCode::UnsupportedModel);
}

#[test]
fn every_cut_of_a_file_is_refused() {
    let bytes = two_tensors().to_bytes();
    gguf::parse(&bytes).unwrap();
    for len in 0..bytes.len() {
        let error = gguf::parse(&bytes[..len]).expect_err("a cut file");
        assert!(matches!(error, GgufError::Truncated { .. } | GgufError::OutOfFile { .. }), "{len}: {error}");
    }
}

#[test]
fn counts_are_checked_before_they_cost_memory() {
    for count in [1000, 60_000, u64::from(u32::MAX), u64::MAX / 32, u64::MAX] {
        let tensors = refused(&GgufWriter { tensor_count: Some(count), ..two_tensors() });
        assert!(
            matches!(tensors, GgufError::Truncated { .. } | GgufError::TooMany { what: "tensors", .. }),
            "{tensors}"
        );
        refused(&GgufWriter { entry_count: Some(count), ..two_tensors() });
    }
    // An array and a string that announce more than there is.
    for (kind, count) in [(ValueType::U8, u64::MAX), (ValueType::String, 1 << 23), (ValueType::F64, 1 << 61)] {
        let mut bytes = GgufWriter { entry_count: Some(1), ..GgufWriter::default() }.to_bytes();
        bytes.truncate(24);
        bytes.extend(1u64.to_le_bytes());
        bytes.push(b'k');
        bytes.extend(ValueType::Array.id().to_le_bytes());
        bytes.extend(kind.id().to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend([0; 64]);
        let error = gguf::parse(&bytes).expect_err("a gigantic array");
        assert!(matches!(error, GgufError::Truncated { .. } | GgufError::TooMany { .. }), "{error}");
    }
}

#[test]
fn nested_arrays_have_a_floor() {
    let nested = |depth: usize| {
        let mut bytes = GgufWriter { entry_count: Some(1), ..GgufWriter::default() }.to_bytes();
        bytes.truncate(24);
        bytes.extend(1u64.to_le_bytes());
        bytes.push(b'k');
        bytes.extend(ValueType::Array.id().to_le_bytes());
        for _ in 1..depth {
            bytes.extend(ValueType::Array.id().to_le_bytes());
            bytes.extend(1u64.to_le_bytes());
        }
        bytes.extend(ValueType::U8.id().to_le_bytes());
        bytes.extend(1u64.to_le_bytes());
        bytes.push(9);
        bytes.resize(bytes.len().next_multiple_of(32) + 32, 0);
        gguf::parse(&bytes)
    };
    let metadata = nested(4).unwrap();
    assert!(matches!(metadata.get_strings("k"), Err(GgufError::WrongType { got: "an array of arrays", .. })));
    for depth in [5, 6, 10_000] {
        assert!(matches!(nested(depth), Err(GgufError::NestedTooDeep { .. })), "{depth}");
    }
}

#[test]
fn metadata_that_contradicts_itself_is_refused() {
    let mut twice = two_tensors();
    twice.entry("a.number", GgufValue::U32(8));
    assert_eq!(refused(&twice), GgufError::DuplicateKey { key: "a.number".into() });

    for alignment in [0, 1, 4, 24, 1 << 17, u32::MAX] {
        let mut writer = two_tensors();
        writer.entry("general.alignment", GgufValue::U32(alignment));
        assert_eq!(refused(&writer), GgufError::BadAlignment { got: alignment });
    }
    let mut writer = two_tensors();
    writer.entry("general.alignment", GgufValue::String("32".into()));
    assert!(matches!(refused(&writer), GgufError::WrongType { .. }));
    let mut wide = GgufWriter { alignment: 4096, ..two_tensors() };
    wide.entry("general.alignment", GgufValue::U32(4096));
    assert_eq!(gguf::parse(&wide.to_bytes()).unwrap().tensors()[1].range.start % 4096, 0);

    let mut bytes = two_tensors().to_bytes();
    let at = bytes.windows(8).position(|window| window == b"a.number").unwrap() + 8;
    bytes[at..at + 4].copy_from_slice(&13u32.to_le_bytes());
    assert_eq!(gguf::parse(&bytes).unwrap_err(), GgufError::UnknownValueType { key: "a.number".into(), got: 13 });
    bytes[at..at + 4].copy_from_slice(&ValueType::Bool.id().to_le_bytes());
    assert_eq!(gguf::parse(&bytes).unwrap_err(), GgufError::BadBool { key: "a.number".into(), got: 7 });
    let mut bytes = two_tensors().to_bytes();
    let at = bytes.windows(8).position(|window| window == b"a.number").unwrap();
    bytes[at] = 0xff;
    assert!(matches!(gguf::parse(&bytes), Err(GgufError::NotUtf8 { .. })));
}

#[test]
fn tensors_must_have_their_own_bytes_inside_the_file() {
    let with = |change: &dyn Fn(&mut GgufTensor)| {
        let mut writer = two_tensors();
        change(&mut writer.tensors[1]);
        refused(&writer)
    };
    let second = || "second".to_owned();
    assert_eq!(with(&|t| t.name = "first".into()), GgufError::DuplicateTensor { tensor: "first".into() });
    assert_eq!(with(&|t| t.dims = vec![]), GgufError::BadRank { tensor: second(), got: 0 });
    assert_eq!(with(&|t| t.dims = vec![1; 5]), GgufError::BadRank { tensor: second(), got: 5 });
    assert_eq!(with(&|t| t.dims = vec![3, 0]), GgufError::EmptyTensor { tensor: second() });
    assert_eq!(with(&|t| t.dims = vec![u64::MAX; 4]), GgufError::TensorTooLarge { tensor: second() });
    assert_eq!(with(&|t| t.dims = vec![1 << 32, 1 << 32]), GgufError::TensorTooLarge { tensor: second() });
    assert!(matches!(with(&|t| t.dims = vec![1 << 40]), GgufError::OutOfFile { .. }));
    assert!(matches!(with(&|t| t.dims = vec![4]), GgufError::OutOfFile { bytes: 16, .. }));
    assert!(matches!(with(&|t| t.kind = 2), GgufError::PartialBlock { cols: 3, block: 32, kind: "Q4_0", .. }));
    assert_eq!(with(&|t| t.kind = 9999), GgufError::UnknownTensorType { tensor: second(), got: 9999 });
    assert_eq!(with(&|t| t.offset = Some(0)), GgufError::Overlap { first: "first".into(), second: second() });
    assert!(matches!(with(&|t| t.offset = Some(64)), GgufError::Overlap { .. }));
    assert!(matches!(with(&|t| t.offset = Some(97)), GgufError::MisalignedTensor { offset: 97, .. }));
    for offset in [128, 1 << 40, u64::MAX - 31] {
        assert!(matches!(with(&|t| t.offset = Some(offset)), GgufError::OutOfFile { .. }), "{offset}");
    }
    assert!(matches!(with(&|t| t.name = "n".repeat(129)), GgufError::TooMany { what: "a tensor name", .. }));

    let unsupported = with(&|t| t.kind = 20);
    assert_eq!(unsupported, GgufError::UnsupportedTensorType { tensor: second(), kind: "IQ4_NL" });
    let fault = Fault::from(ModelError::from(unsupported));
    assert_eq!(fault.code, FaultCode::UnsupportedModel);
    assert!(fault.hint.unwrap().contains("Q4_0"));
}

#[test]
fn text_from_the_file_cannot_flood_or_paint_a_message() {
    let mut writer = two_tensors();
    let nasty = format!("\u{1b}[31m{}\n", "x".repeat(5000));
    writer.entry(nasty.clone(), GgufValue::U8(1)).entry(nasty, GgufValue::U8(1));
    let message = refused(&writer).to_string();
    assert!(message.len() < 300 && !message.contains(['\u{1b}', '\n']), "{message}");
}

fn open(change: impl Fn(&mut GgufWriter)) -> Result<ModelFile, ModelError> {
    let mut writer = TinyModel::random(TinySpec::new(Architecture::Llama)).gguf_writer(&as_f32);
    change(&mut writer);
    ModelFile::from_gguf(writer.to_bytes())
}

fn fault(change: impl Fn(&mut GgufWriter)) -> Fault {
    open(change).expect_err("this model cannot run").into()
}

#[test]
fn a_model_must_be_complete_and_of_the_shape_it_claims() {
    open(|_| {}).unwrap();
    let number = |key: &'static str, value: u32| {
        fault(move |writer| {
            writer.set(key, GgufValue::U32(value));
        })
    };
    for (key, value) in [
        ("llama.block_count", 0),
        ("llama.block_count", 5),
        ("llama.block_count", u32::MAX),
        ("llama.embedding_length", 65),
        ("llama.embedding_length", u32::MAX),
        ("llama.feed_forward_length", 0),
        ("llama.attention.head_count", 0),
        ("llama.attention.head_count", 3),
        ("llama.attention.head_count_kv", 0),
        ("llama.attention.head_count_kv", 3),
        ("llama.attention.head_count_kv", 8),
        ("llama.attention.key_length", 0),
        ("llama.rope.dimension_count", 15),
        ("llama.rope.dimension_count", 18),
        ("llama.context_length", 0),
        ("tokenizer.ggml.eos_token_id", 320),
    ] {
        let fault = number(key, value);
        assert!(matches!(fault.code, FaultCode::BadModelFile | FaultCode::UnsupportedModel), "{key} {value}: {fault}");
        assert!(fault.hint.is_some(), "{key}");
    }
    for key in ["llama.block_count", "llama.embedding_length", "llama.attention.layer_norm_rms_epsilon"] {
        let error = open(|writer| {
            writer.remove(key);
        })
        .unwrap_err();
        assert!(matches!(&error, ModelError::MissingSetting { key: missing } if missing == key), "{error}");
    }
    for base in [0.0, f32::NAN, f32::INFINITY, -1.0] {
        let fault = fault(|writer| {
            writer.set("llama.rope.freq_base", GgufValue::F32(base));
        });
        assert_eq!(fault.code, FaultCode::BadModelFile);
    }

    let error = open(|writer| writer.tensors.retain(|tensor| tensor.name != "blk.2.ffn_up.weight")).unwrap_err();
    assert!(matches!(&error, ModelError::MissingTensor { tensor } if tensor == "blk.2.ffn_up.weight"), "{error}");
    let error = open(|writer| writer.tensors.retain(|tensor| tensor.name != "token_embd.weight")).unwrap_err();
    assert!(matches!(error, ModelError::MissingTensor { .. }), "{error}");
    let error = open(|writer| {
        let tensor = writer.tensors.iter_mut().find(|tensor| tensor.name == "blk.1.attn_k.weight").unwrap();
        tensor.dims.reverse();
    })
    .unwrap_err();
    assert!(
        matches!(&error, ModelError::WrongShape { expected, got, .. } if expected == &[32, 64] && got == &[64, 32]),
        "{error}"
    );
    let error = open(|writer| {
        let tensor = writer.tensors.iter_mut().find(|tensor| tensor.name == "output_norm.weight").unwrap();
        (tensor.kind, tensor.bytes) = (TensorType::Q8_0.gguf_id(), vec![0; 68]);
    })
    .unwrap_err();
    assert!(matches!(error, ModelError::NotFloat { kind: TensorType::Q8_0, .. }), "{error}");
}

#[test]
fn what_this_version_cannot_run_is_named_with_what_to_do() {
    let changes: [&dyn Fn(&mut GgufWriter); 9] = [
        &|writer| {
            writer.set("general.architecture", GgufValue::String("mamba".into()));
        },
        &|writer| {
            writer.set("llama.expert_count", GgufValue::U32(8));
        },
        &|writer| {
            writer.set("llama.rope.scaling.type", GgufValue::String("longrope".into()));
        },
        &|writer| {
            writer.set("llama.attention.causal", GgufValue::Bool(false));
        },
        &|writer| {
            writer.set("llama.attention.value_length", GgufValue::U32(32));
        },
        &|writer| {
            writer.set("llama.attention.head_count_kv", GgufValue::U32s(vec![2, 2, 1, 2]));
        },
        &|writer| {
            writer.set("split.count", GgufValue::U32(3));
        },
        &|writer| {
            writer.tensor("blk.0.attn_output.bias", &[64], TensorType::F32, vec![0; 256]);
        },
        &|writer| {
            writer.tensor("blk.0.ffn_gate_inp.weight", &[8, 64], TensorType::F32, vec![0; 2048]);
        },
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let fault = fault(change);
        assert_eq!(fault.code, FaultCode::UnsupportedModel, "{index}: {fault}");
        assert!(fault.hint.is_some(), "{index}: {fault}");
    }
    // One value per layer is fine where all are equal.
    let uniform = open(|writer| {
        writer.set("llama.attention.head_count_kv", GgufValue::U32s(vec![2; 4]));
    });
    assert_eq!(uniform.unwrap().config().kv_heads, 2);
}
