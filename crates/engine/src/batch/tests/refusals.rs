//! What cannot be gone on from is refused by name.

use computepool_core::ports::Adopt;
use computepool_core::{Constraint, FaultCode, Generate};

use super::ring::{PROMPT, Ring, TOKENS, after, greedy, id, spelled};
use crate::child::Stepper;
use crate::cpu::Cpu;

#[test]
fn answers_that_are_over_or_could_not_have_been_given() {
    let mut ring = Ring::load(|| Cpu::new(1), &["0..4"], 512);
    let yes = Generate { constraint: Some(Constraint::Lark(r#"start: "yes" "!"?"#.to_owned())), ..greedy() };
    let cases = [
        (after(&greedy(), &[5; TOKENS as usize]), FaultCode::InvalidRequest, "20 of at most 20"),
        (after(&greedy(), &[4_000_000]), FaultCode::InvalidRequest, "cannot have been produced"),
        (Generate { ignore_eos: false, ..after(&greedy(), &[5, 0]) }, FaultCode::InvalidRequest, "has ended"),
        (after(&yes, &spelled("yet")), FaultCode::BadGrammar, "number 2 "),
        (after(&yes, &spelled("yes!")), FaultCode::InvalidRequest, "complete with token number 3"),
    ];
    for (request, code, words) in cases {
        let fault = ring.refused(2, &request, None);
        assert!(fault.code == code && fault.message.contains(words), "{fault:?}");
        assert_eq!(ring.shards[0].kv_tokens_used(), 0);
    }
    ring.open(2, &after(&yes, &spelled("ye")), None);
    let rest = ring.tokens(2, &after(&yes, &spelled("ye")), 0, 1);
    assert_eq!((rest[0].id, rest[0].index), (spelled("s")[0], 2));
}

#[test]
fn kv_that_is_not_there() {
    let mut ring = Ring::load(|| Cpu::new(1), &["0..4"], 512);
    let request = greedy();
    let rest = after(&request, &[5]);
    let adopt = |number, positions| Some(Adopt { generation: id(number), positions });
    assert_eq!(ring.refused(3, &rest, adopt(2, 10)).code, FaultCode::WrongSession);
    for (positions, code) in [(PROMPT + 1, FaultCode::InvalidRequest), (PROMPT, FaultCode::WrongShape)] {
        ring.open(2, &request, None);
        assert_eq!(ring.refused(3, &rest, adopt(2, positions)).code, code);
        assert_eq!(ring.shards[0].kv_tokens_used(), 0, "whoever is given up is closed, whatever comes of it");
    }
    // Nobody takes over from itself.
    ring.open(2, &request, None);
    assert_eq!(ring.refused(2, &rest, adopt(2, 0)).code, FaultCode::ProtocolViolation);
}
