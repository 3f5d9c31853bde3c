//! Every way a generation ends: once, closed everywhere, accounted for, forgotten.

use computepool_core::control::NodeMessage;
use computepool_core::{Fault, FaultCode, FinishReason, GenerationEvent, SessionId, Usage};
use computepool_orchestrator::{Cancelling, Effect, EventKind, Footprint, Limits, PoolSettings};

use crate::script::*;

#[test]
fn the_end_waits_for_every_account_and_keeps_those_that_hold() {
    let mut script = Script::up(3);
    let (generation, session) = script.running(3);
    script.token(2, generation, 0, Some(FinishReason::Length));
    let good = receipt(&node(1), generation, session, range("10..20"));
    script.says(1, NodeMessage::Closed { generation, receipt: Some(good.clone()) });
    script.closed(2, generation);
    assert_eq!(script.told(), []);
    let first = receipt(&node(0), generation, session, range("0..10"));
    script.says(0, NodeMessage::Closed { generation, receipt: Some(first.clone()) });
    let usage = Usage { prompt_tokens: 4, completion_tokens: 1, receipts: vec![first, good] };
    assert_eq!(script.told(), [GenerationEvent::Ended(usage)], "in route order");
    assert_eq!(script.state.footprint().generations, 0);
}

#[test]
fn receipts_that_do_not_hold_are_left_out_and_noted() {
    let (other, elsewhere) = (computepool_core::GenerationId([250; 16]), SessionId([250; 16]));
    for case in 0..6 {
        let mut script = Script::up(1);
        let (generation, session) = script.running(1);
        script.token(0, generation, 0, Some(FinishReason::Stop));
        let layers = range("0..30");
        let mut signed = match case {
            0 => receipt(&node(1), generation, session, layers),
            1 => receipt(&node(0), other, session, layers),
            2 => receipt(&node(0), generation, elsewhere, layers),
            3 => receipt(&node(0), generation, session, range("0..29")),
            _ => receipt(&node(0), generation, session, layers),
        };
        match case {
            4 => signed.signature[0] ^= 1,
            5 => signed.receipt.compute_us += 1,
            _ => {}
        }
        script.says(0, NodeMessage::Closed { generation, receipt: Some(signed) });
        let [GenerationEvent::Ended(usage)] = &script.told()[..] else { panic!("case {case}: {:?}", script.told()) };
        assert_eq!(usage.receipts, [], "case {case}");
        assert!(script.status(0).reason.contains("receipt does not hold"), "case {case}");
    }
}

#[test]
fn who_does_not_account_in_time_is_not_waited_for() {
    let mut script = Script::up(2);
    let (generation, session) = script.running(2);
    script.token(1, generation, 0, Some(FinishReason::Stop));
    let good = receipt(&node(0), generation, session, range("0..15"));
    script.says(0, NodeMessage::Closed { generation, receipt: Some(good.clone()) });
    script.wait(limits().close_ms - 1);
    assert_eq!(script.told(), []);
    script.wait(1);
    let usage = Usage { prompt_tokens: 4, completion_tokens: 1, receipts: vec![good] };
    assert_eq!(script.told(), [GenerationEvent::Ended(usage)]);
    script.closed(1, generation);
    assert_eq!(script.last, [], "late, and no offence");
}

#[test]
fn a_node_lost_after_the_last_token_costs_its_receipt_and_nothing_else() {
    let mut script = Script::up(2);
    let (generation, _) = script.running(2);
    script.token(1, generation, 0, Some(FinishReason::Stop));
    script.closed(0, generation);
    script.disconnect(1);
    assert!(matches!(&script.told()[..], [GenerationEvent::Ended(usage)] if usage.completion_tokens == 1));
}

#[test]
fn a_cancel_closes_everywhere_at_once() {
    let mut script = Script::up(3);
    let (generation, _) = script.running(3);
    script.token(2, generation, 0, None);
    script.cancel(generation);
    assert_eq!(script.fault().code, FaultCode::Cancelled);
    assert_eq!(script.sent_to(is_close), [node(0), node(1), node(2)]);
    script.cancel(generation);
    assert_eq!(script.last, []);
    script.token(2, generation, 1, None);
    assert_eq!(script.last, [], "a token that was on its way");
    assert!(!script.status(2).reason.contains("broke"));
    (0..3).for_each(|n| script.closed(n, generation));
    assert_eq!(script.state.footprint().generations, 0);
}

#[test]
fn a_cancel_before_the_session_is_open_leaves_nothing() {
    let mut script = Script::up(1);
    let generation = script.ask("ann", request(4, 8));
    let session = script.opening_session();
    script.cancel(generation);
    assert_eq!(script.fault().code, FaultCode::Cancelled);
    assert_eq!(script.state.footprint().generations, 0);
    script.says(0, NodeMessage::SessionOpened { session });
    assert_eq!(script.sent_to(is_open), []);
}

#[test]
fn a_client_that_missed_a_token_is_not_told_a_good_end() {
    let mut script = Script::up(1);
    let (generation, _) = script.running(1);
    script.token(0, generation, 0, Some(FinishReason::Stop));
    script.event(EventKind::Cancel(generation, Cancelling::Unread));
    assert_eq!(script.fault().code, FaultCode::Cancelled);
    script.closed(0, generation);
    assert_eq!(script.told(), []);
    assert_eq!(script.state.footprint().generations, 0);
}

#[test]
fn a_lost_node_is_named_and_the_others_are_closed() {
    let mut script = Script::up(3);
    let (generation, _) = script.running(3);
    script.token(2, generation, 0, None);
    script.disconnect(1);
    let fault = script.fault();
    assert_eq!(fault.code, FaultCode::NodeLost);
    assert_eq!(fault.message, "box (layers 10..20) left the network");
    assert_eq!(script.sent_to(is_close), [node(0), node(2)]);
}

#[test]
fn a_node_that_is_back_may_speak_of_what_it_lost() {
    let mut script = Script::up(2);
    let (generation, session) = script.running(2);
    script.disconnect(1);
    script.join(1, None);
    let fault = Fault::new(FaultCode::LinkLost, "the orchestrator was away");
    script.says(1, NodeMessage::GenerationFailed { generation, fault: fault.clone() });
    assert_eq!(script.last, []);
    script.says(1, NodeMessage::SessionRefused { session, fault });
    assert_eq!(script.last, []);
    script.closed(1, generation);
    assert_eq!(script.last, [], "the generation waits for the other shard alone");
    script.closed(0, generation);
    assert_eq!(script.state.footprint().sessions, 0);
    script.ready(1);
    assert_eq!(script.state.available(), [true]);
}

#[test]
fn a_lost_engine_is_named_and_its_node_closed_too() {
    let mut script = Script::up(2);
    let (generation, _) = script.running(2);
    let (assignment, _) = script.assigned(1).unwrap();
    let fault = Fault::new(FaultCode::EngineLost, "killed");
    script.says(1, NodeMessage::ShardDown { assignment, fault });
    assert_eq!(script.fault().code, FaultCode::EngineLost);
    assert!(script.fault().message.contains("layers 15..30"));
    assert_eq!(script.sent_to(is_close), [node(0), node(1)], "the node is still there");
    let fault = Fault::new(FaultCode::EngineLost, "killed");
    script.says(1, NodeMessage::GenerationFailed { generation, fault });
    assert_eq!(script.last, [], "told once");
    (0..2).for_each(|n| script.closed(n, generation));
    assert_eq!(script.sent_to(is_close_session), [node(0), node(1)]);
}

#[test]
fn a_broken_lane_costs_the_session_and_a_full_engine_does_not() {
    for (code, sessions) in [(FaultCode::LinkLost, 0), (FaultCode::NoCapacity, 1)] {
        let mut script = Script::up(2);
        let (generation, _) = script.running(2);
        script.says(0, NodeMessage::GenerationFailed { generation, fault: Fault::new(code, "so it is") });
        let told_at_once = !script.told().is_empty();
        assert_eq!(told_at_once, code == FaultCode::NoCapacity);
        script.closed(0, generation);
        script.closed(1, generation);
        if !told_at_once {
            assert_eq!(script.fault().code, code, "nobody said more of it");
        }
        assert_eq!(script.state.footprint().sessions, sessions);
    }
}

#[test]
fn the_place_of_a_loss_is_told_though_a_neighbour_speaks_first() {
    for left in [true, false] {
        let mut script = Script::up(3);
        let (generation, _) = script.running(3);
        let code = if left { FaultCode::LinkLost } else { FaultCode::EngineLost };
        let fault = Fault::new(code, "a neighbour gave the generation up");
        script.says(2, NodeMessage::GenerationFailed { generation, fault });
        assert_eq!(script.sent_to(is_close), [node(0), node(1), node(2)], "freed at once");
        assert_eq!(script.told(), [], "told when more is known");
        script.closed(0, generation);
        script.closed(2, generation);
        assert_eq!(script.told(), []);
        if left {
            script.disconnect(1);
        } else {
            let (assignment, _) = script.assigned(1).unwrap();
            script.says(1, NodeMessage::ShardDown { assignment, fault: Fault::new(FaultCode::EngineLost, "killed") });
        }
        let fault = script.fault();
        assert_eq!(fault.code, if left { FaultCode::NodeLost } else { FaultCode::EngineLost });
        assert!(fault.message.contains("layers 10..20"), "{fault}");
        script.closed(1, generation);
        assert_eq!(script.told(), [], "told once");
        assert_eq!(script.state.footprint().generations, 0);
    }
}

#[test]
fn a_neighbour_that_lost_its_session_is_not_believed_to_know_the_place_either() {
    for already in [true, false] {
        let mut script = Script::up(3);
        let (generation, session) = script.running(3);
        let fault = Fault::new(FaultCode::LinkLost, "the lane was closed");
        if already {
            script.says(0, NodeMessage::GenerationFailed { generation, fault: fault.clone() });
        }
        script.says(2, NodeMessage::SessionRefused { session, fault });
        assert_eq!(script.told(), []);
        assert_eq!(script.sent_to(is_close).is_empty(), already, "closed once");
        script.disconnect(1);
        assert_eq!(script.fault().message, "box (layers 10..20) left the network");
        [0, 2].into_iter().for_each(|n| script.closed(n, generation));
        assert_eq!(script.state.footprint().sessions, 0);
    }
}

#[test]
fn a_loss_of_which_nobody_says_more_is_told_in_time() {
    let limits = Limits { close_ms: 500, ..limits() };
    let mut script = Script::with(PoolSettings::new(summary(30), 2), limits);
    script.bring_up(2);
    let (generation, _) = script.running(2);
    let fault = Fault::new(FaultCode::LinkLost, "the lane was closed");
    script.says(1, NodeMessage::GenerationFailed { generation, fault });
    script.wait(499);
    assert_eq!(script.told(), []);
    script.wait(1);
    assert_eq!(script.fault().message, "box (layers 15..30): the lane was closed (link_lost)");
}

#[test]
fn closing_unasked_breaks_the_generation() {
    let mut script = Script::up(2);
    let (generation, _) = script.running(2);
    script.closed(0, generation);
    assert_eq!(script.fault().code, FaultCode::ProtocolViolation);
    assert_eq!(script.sent_to(is_close), [node(0), node(1)]);
}

#[test]
fn a_generation_without_tokens_has_stalled_and_prompts_take_their_time() {
    let limits = Limits { stall_ms: 1000, prefill_ms_per_token: 10, ..limits() };
    let mut script = Script::with(PoolSettings::new(summary(30), 1), limits);
    script.bring_up(1);
    let (first, _) = script.running(1);
    let second = script.ask("ann", request(100, 8));
    script.admit(second, 1);
    // Both wait for both prompts: 1000 + 10 × (4 + 100) ms.
    script.wait(2039);
    assert_eq!(script.told(), []);
    script.token(0, second, 0, None);
    script.wait(1);
    let fault = script.fault();
    assert_eq!(fault.code, FaultCode::Stalled);
    assert!(fault.message.contains("2040 ms") && fault.message.contains("after 0 tokens"), "{}", fault.message);
    assert!(script.last.contains(&Effect::Tell(first, GenerationEvent::Failed(fault))));
    script.wait(998);
    assert_eq!(script.told(), []);
    script.wait(1);
    assert!(script.fault().message.contains("after 1 tokens"));
}

#[test]
fn a_drain_lets_running_ones_end_and_everybody_leave() {
    let mut script = Script::up(2);
    let (generation, _) = script.running(2);
    script.event(EventKind::Drain { deadline_ms: script.now_ms + 5000 });
    assert_eq!(script.state.available(), [false]);
    assert_eq!(script.last, []);
    script.ask("bob", request(4, 8));
    assert_eq!(script.fault().code, FaultCode::Draining);
    script.connect(9);
    assert_eq!(script.disconnected(), [node(9)]);
    script.token(1, generation, 0, Some(FinishReason::Stop));
    script.closed(0, generation);
    script.closed(1, generation);
    assert!(matches!(script.told()[..], [GenerationEvent::Ended(_)]));
    assert_eq!(script.sent_to(is_close_session), [node(0), node(1)]);
    assert_eq!(script.sent_to(is_leave), [node(0), node(1)]);
    script.disconnect(0);
    assert_eq!(script.last, []);
    script.disconnect(1);
    assert_eq!(script.last, [Effect::Stopped]);
    assert_eq!(script.state.footprint(), Footprint::default());
}

#[test]
fn a_drain_has_a_deadline_for_generations_and_for_nodes() {
    let mut script = Script::up(1);
    let (generation, _) = script.running(1);
    script.event(EventKind::Drain { deadline_ms: script.now_ms + 5000 });
    script.wait(4999);
    assert_eq!(script.told(), []);
    script.wait(1);
    assert_eq!(script.fault().code, FaultCode::Draining);
    assert_eq!(script.sent_to(is_leave), []);
    script.closed(0, generation);
    assert_eq!(script.sent_to(is_leave), [node(0)]);
    script.wait(limits().leave_ms);
    assert!(script.disconnected().contains(&node(0)));
    assert_eq!(script.last.last(), Some(&Effect::Stopped));
    assert_eq!(script.state.footprint(), Footprint::default());
    script.wait(10_000);
    assert_eq!(script.last, [], "it stops once");
}

#[test]
fn when_the_links_are_gone_everything_ends() {
    let mut script = Script::up(2);
    script.running(2);
    script.event(EventKind::LinksClosed);
    assert_eq!(script.fault().code, FaultCode::NodeLost);
    assert_eq!(script.state.footprint(), Footprint::default());
}
