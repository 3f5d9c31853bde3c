//! Taking over another generation's KV instead of computing it again.

use computepool_core::ports::{Adopt, EngineCommand, EngineEvent, StepInput};

use super::ring::{PROMPT, Ring, after, greedy, id, ids, requests};
use crate::accelerator::Accelerator;
use crate::backend::Backend;
use crate::child::Stepper;
use crate::cpu::Cpu;

fn adopt(positions: u32) -> Option<Adopt> {
    Some(Adopt { generation: id(2), positions })
}

#[test]
fn kv_that_is_taken_over_is_as_good_as_new() {
    let cut = ["0..1", "1..3", "3..4"];
    let mut ring = Ring::load(|| Cpu::new(1), &cut, 4096);
    for request in requests() {
        let whole = ring.whole(&request);
        let half = whole.len() / 2;
        // Around the edges of a page of 32 positions, of the prompt, and up to all that went through.
        for positions in [0, 1, 31, 32, 33, PROMPT - 1, PROMPT, PROMPT + half as u32 - 1] {
            for made in [half, whole.len() - 1] {
                ring.open(2, &request, None);
                ring.tokens(2, &request, 0, half);
                let rest = after(&request, &ids(&whole[..made]));
                let each = [EngineEvent::Closed { generation: id(2) }, EngineEvent::Opened { generation: id(3) }];
                assert_eq!(ring.open(3, &rest, adopt(positions)), vec![each; cut.len()].concat());
                assert_eq!(ring.tokens(3, &rest, positions, usize::MAX), whole[made..], "{positions}, {made}");
                ring.close(3);
            }
        }
    }
}

#[test]
fn candle_keeps_the_rows_whatever_room_they_had() {
    let mut ring = Ring::load(Accelerator::processor, &["0..2", "2..4"], 4096);
    let request = greedy();
    let whole = ring.whole(&request);
    for (room, positions) in [(20, 44), (20, 40), (9, 44), (90, 17), (90, 0)] {
        let first = computepool_core::Generate { max_tokens: room, ..request.clone() };
        ring.open(2, &first, None);
        ring.tokens(2, &first, 0, 5);
        let rest = after(&request, &ids(&whole[..6]));
        ring.open(3, &rest, adopt(positions));
        assert_eq!(ids(&ring.tokens(3, &rest, positions, usize::MAX)), ids(&whole[6..]), "{room}, {positions}");
        ring.close(3);
    }
}

/// Rows of the one sequence that is open, all of them queued.
fn queue<B: Backend>(ring: &mut Ring<B>, rows: u32) {
    let input = StepInput::Tokens((0..rows).map(|at| 3 + at % 90).collect());
    let step = EngineCommand::Step { generation: id(2), position: 0, sample: true, input };
    assert_eq!(ring.tell(0, step), []);
}

#[test]
fn what_was_queued_is_dropped_and_only_what_went_through_can_be_had() {
    for (positions, enough) in [(64, true), (65, false)] {
        let mut ring = Ring::load(|| Cpu::new(1), &["0..2"], 512);
        let open = |number, prompt_len, adopt| EngineCommand::Open {
            generation: id(number),
            max_len: 200,
            prompt_len,
            adopt,
            request: None,
        };
        ring.tell(0, open(2, 150, None));
        queue(&mut ring, 150);
        ring.shards[0].step(&mut Vec::new()).unwrap();
        let said = ring.tell(0, open(3, 160, adopt(positions)));
        assert_eq!(said[0], EngineEvent::Closed { generation: id(2) });
        assert_eq!(said[1] == EngineEvent::Opened { generation: id(3) }, enough, "{said:?}");
        assert!(!ring.shards[0].has_work(), "nothing of the old one is left in the queue");
        assert_eq!(ring.shards[0].kv_tokens_used(), if enough { 224 } else { 0 });
    }
}

#[test]
fn where_there_is_room_for_one_it_can_be_taken_over() {
    let mut ring = Ring::load(|| Cpu::new(1), &["0..4"], 64);
    let request = greedy();
    let whole = ring.whole(&request);
    ring.open(2, &request, None);
    ring.tokens(2, &request, 0, 4);
    let rest = after(&request, &ids(&whole[..4]));
    assert!(ring.refused(3, &rest, None).message.contains("are free"));
    ring.open(3, &rest, adopt(PROMPT + 3));
    assert_eq!(ring.tokens(3, &rest, PROMPT + 3, usize::MAX), whole[4..]);
    ring.close(3);
}
