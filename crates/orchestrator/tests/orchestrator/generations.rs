//! Generations: checked, admitted everywhere, begun once, and passed on token by token.

use computepool_core::control::{NodeMessage, OrchestratorMessage};
use computepool_core::{Constraint, Fault, FaultCode, FinishReason, GenerationEvent, Retry};
use computepool_orchestrator::{Cancelling, EventKind, Limits, PoolSettings};

use crate::script::*;

#[test]
fn requests_are_checked_before_anybody_is_asked() {
    let mut script = Script::up(1);
    let mut refused = |request, code| {
        script.ask("ann", request);
        let fault = script.fault();
        assert_eq!(fault.code, code, "{}", fault.message);
        assert_eq!(script.state.footprint().generations, 0);
        assert_eq!(script.state.footprint().sessions, 0);
        fault
    };
    refused(request(0, 4), FaultCode::InvalidRequest);
    refused(request(4, 0), FaultCode::InvalidRequest);
    let mut greedy = request(4, 4);
    greedy.logprobs = Some(21);
    refused(greedy, FaultCode::InvalidRequest);
    let mut huge = request(4, 4);
    huge.constraint = Some(Constraint::Lark("x".repeat(5 << 20)));
    refused(huge, FaultCode::InvalidRequest);
    let long = refused(request(2000, 49), FaultCode::ContextLength);
    for number in ["2048", "2000", "49", "2049"] {
        assert!(long.message.contains(number), "{}", long.message);
    }
    refused(request(1, u32::MAX), FaultCode::ContextLength);
    script.ask("ann", request(2000, 48));
    assert_eq!(script.sent_to(is_open_session), [node(0)], "a request that just fits");
}

#[test]
fn without_a_route_the_client_learns_what_is_missing_and_when_to_retry() {
    let mut script = Script::new(2);
    script.join(0, None);
    script.ask("ann", request(4, 4));
    let fault = script.fault();
    assert_eq!(fault.code, FaultCode::NoRoute);
    assert!(fault.message.contains("1 of 2 nodes"), "{}", fault.message);
    assert!(matches!(fault.retry, Retry::AfterMs(_)) && fault.hint.is_some());
    script.join(1, None);
    script.ask("ann", request(4, 4));
    assert!(script.fault().message.contains("box is loading layers 0..15"));
}

#[test]
fn each_hop_is_told_what_it_needs_and_no_more() {
    let parts = |shards: usize, penalty: f32| {
        let mut script = Script::up(shards);
        let mut request = request(4, 8);
        request.sampling.repetition_penalty = penalty;
        script.ask("ann", request);
        let session = script.opening_session();
        (0..shards).for_each(|n| {
            script.says(n, NodeMessage::SessionOpened { session });
        });
        let part = |(to, message): &(_, OrchestratorMessage)| match message {
            OrchestratorMessage::OpenGeneration { part, .. } => {
                assert_eq!((part.prompt_len, part.max_len), (4, 12));
                Some((computepool_core::NodeId::clone(to), part.request.clone().map(|told| told.prompt.len())))
            }
            _ => None,
        };
        script.sent.iter().filter_map(part).collect::<Vec<_>>()
    };
    assert_eq!(parts(1, 1.0), [(node(0), Some(4))]);
    assert_eq!(parts(3, 1.0), [(node(0), Some(4)), (node(1), None), (node(2), Some(0))]);
    assert_eq!(parts(3, 1.2), [(node(0), Some(4)), (node(1), None), (node(2), Some(4))]);
}

#[test]
fn it_begins_once_when_all_have_admitted_it() {
    let mut script = Script::up(3);
    let generation = script.ask("ann", request(4, 8));
    let session = script.opening_session();
    (0..3).for_each(|n| {
        script.says(n, NodeMessage::SessionOpened { session });
    });
    script.says(2, NodeMessage::GenerationOpened { generation });
    script.says(1, NodeMessage::GenerationOpened { generation });
    assert_eq!(script.sent_to(is_begin), []);
    script.says(0, NodeMessage::GenerationOpened { generation });
    assert_eq!(script.sent_to(is_begin), [node(0)]);
    assert_eq!(script.told(), [GenerationEvent::Started(generation)]);
}

#[test]
fn one_refusal_closes_it_everywhere() {
    let mut script = Script::up(3);
    let generation = script.ask("ann", request(4, 8));
    let session = script.opening_session();
    (0..3).for_each(|n| {
        script.says(n, NodeMessage::SessionOpened { session });
    });
    script.says(0, NodeMessage::GenerationOpened { generation });
    let fault = Fault::new(FaultCode::NoCapacity, "no KV left").retry_after_ms(700);
    script.says(1, NodeMessage::GenerationFailed { generation, fault });
    let fault = script.fault();
    assert_eq!((fault.code, fault.retry), (FaultCode::NoCapacity, Retry::AfterMs(700)));
    assert!(fault.message.contains("layers 10..20") && fault.message.contains("no KV left"), "{}", fault.message);
    assert_eq!(script.sent_to(is_close), [node(0), node(1), node(2)]);
    script.says(2, NodeMessage::GenerationOpened { generation });
    assert_eq!(script.last, [], "a late admission changes nothing");
    (0..3).for_each(|n| script.closed(n, generation));
    assert_eq!(script.state.footprint().generations, 0);
    assert_eq!(script.state.footprint().sessions, 1, "the session is as good as before");
}

#[test]
fn a_nodes_word_on_the_request_reaches_the_client_as_it_is_and_on_the_client_not_at_all() {
    let mut faults = [
        (Fault::new(FaultCode::BadGrammar, "line 3: unexpected `}`"), FaultCode::BadGrammar, "line 3: unexpected `}`"),
        (Fault::new(FaultCode::Unauthorized, "pay me"), FaultCode::Internal, "box (layers 0..30): pay me (internal)"),
    ];
    for (fault, code, message) in &mut faults {
        let mut script = Script::up(1);
        let generation = script.ask("ann", request(4, 8));
        let session = script.opening_session();
        script.says(0, NodeMessage::SessionOpened { session });
        script.says(0, NodeMessage::GenerationFailed { generation, fault: fault.clone() });
        assert_eq!((script.fault().code, script.fault().message.as_str()), (*code, *message));
    }
}

#[test]
fn silence_in_place_of_an_admission_has_an_end() {
    let mut script = Script::up(2);
    let generation = script.ask("ann", request(4, 8));
    let session = script.opening_session();
    (0..2).for_each(|n| {
        script.says(n, NodeMessage::SessionOpened { session });
    });
    script.says(0, NodeMessage::GenerationOpened { generation });
    script.wait(limits().generation_open_ms);
    assert_eq!(script.fault().code, FaultCode::Stalled);
    assert!(script.fault().message.contains("layers 15..30"));
    assert_eq!(script.sent_to(is_close), [node(0), node(1)]);
}

#[test]
fn tokens_are_passed_on_in_order_and_the_last_one_closes() {
    let mut script = Script::up(2);
    let (generation, _) = script.running(2);
    for index in 0..3 {
        script.token(1, generation, index, None);
        assert_eq!(script.told(), [GenerationEvent::Token(token_event(index, None))]);
    }
    script.token(1, generation, 3, Some(FinishReason::Stop));
    assert_eq!(script.told(), [GenerationEvent::Token(token_event(3, Some(FinishReason::Stop)))]);
    assert_eq!(script.sent_to(is_close), [node(0), node(1)]);
}

/// What the exit does wrong, as index, id and finish of tokens after token 0.
#[test]
fn tokens_that_cannot_be_end_the_generation_and_are_noted() {
    let stop = Some(FinishReason::Stop);
    type Wrong<'a> = (&'a str, &'a [(u32, u32, Option<FinishReason>)]);
    let cases: [Wrong<'_>; 5] = [
        ("a gap", &[(2, 5, None)]),
        ("a repetition", &[(0, 5, None)]),
        ("not in the vocabulary", &[(1, 1000, None)]),
        (
            "too many",
            &[(1, 5, None), (2, 5, None), (3, 5, None), (4, 5, None), (5, 5, None), (6, 5, None), (7, 5, None)],
        ),
        ("after the last", &[(1, 5, stop), (2, 5, None)]),
    ];
    for (what, tokens) in cases {
        let mut script = Script::up(2);
        let (generation, _) = script.running(2);
        script.token(1, generation, 0, None);
        for &(index, id, finish) in tokens {
            let event = computepool_core::TokenEvent { index, id, logprob: None, finish };
            script.says(1, NodeMessage::Token { generation, event });
        }
        let fault = script.fault();
        assert_eq!(fault.code, FaultCode::ProtocolViolation, "{what}");
        assert!(fault.message.contains("box (layers 15..30)"), "{what}: {}", fault.message);
        assert!(script.status(1).reason.contains("broke the protocol 1 times"), "{what}");
        script.token(1, generation, 1, None);
        assert_eq!(script.last, [], "{what}: nothing follows");
        (0..2).for_each(|n| script.closed(n, generation));
        assert_eq!(script.told(), [], "{what}: told once");
        assert_eq!(script.state.footprint().generations, 0, "{what}");
    }
}

#[test]
fn only_the_exit_may_send_tokens() {
    let mut script = Script::up(2);
    let (generation, _) = script.running(2);
    script.token(0, generation, 0, None);
    assert_eq!(script.disconnected(), [node(0)]);
    assert_eq!(script.fault().code, FaultCode::NodeLost);
}

#[test]
fn a_node_that_keeps_breaking_rules_is_disconnected() {
    let mut script = Script::up(1);
    for strike in 1..=limits().max_strikes {
        let generation = script.ask("ann", request(4, 8));
        let session = script.opening_session();
        if strike == 1 {
            script.says(0, NodeMessage::SessionOpened { session });
        }
        script.admit(generation, 1);
        script.token(0, generation, 7, None);
        assert_eq!(script.fault().code, FaultCode::ProtocolViolation);
    }
    assert_eq!(script.disconnected(), [node(0)]);
    assert_eq!(script.state.footprint().generations, 0);
}

#[test]
fn a_client_and_the_whole_have_their_bounds() {
    let mut pool = PoolSettings::new(summary(30), 1);
    pool.max_generations = 2;
    let limits = Limits { max_generations: 3, ..limits() };
    let mut script = Script::with(pool, limits);
    script.bring_up(1);
    script.ask("ann", request(4, 8));
    script.ask("ann", request(4, 8));
    script.ask("ann", request(4, 8));
    assert_eq!(script.fault().code, FaultCode::RateLimited);
    assert!(matches!(script.fault().retry, Retry::AfterMs(_)));
    script.ask("bob", request(4, 8));
    assert_eq!(script.told(), []);
    script.ask("cat", request(4, 8));
    assert_eq!(script.fault().code, FaultCode::NoCapacity);
}

#[test]
fn an_unknown_model_is_said_to_be_unknown() {
    let mut script = Script::up(1);
    let asked = computepool_orchestrator::Asked {
        generation: computepool_core::GenerationId([200; 16]),
        session: computepool_core::SessionId([200; 16]),
        client: client("ann"),
        model: computepool_core::ModelId::new("large").unwrap(),
        request: request(4, 4),
    };
    script.event(EventKind::Ask(Box::new(asked)));
    assert_eq!(script.fault().code, FaultCode::ModelNotFound);
    script.event(EventKind::Cancel(computepool_core::GenerationId([201; 16]), Cancelling::Dropped));
    assert_eq!(script.last, []);
}
