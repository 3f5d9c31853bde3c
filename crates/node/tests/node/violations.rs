//! A neighbour that breaks the rules hurts its own session, by name, and nothing else.

use std::sync::Arc;

use bytes::Bytes;
use computepool_core::control::{NodeMessage, OrchestratorMessage};
use computepool_core::{Activation, ActivationType, Fault, FaultCode, GenerationId, HopFrame, Lane, NodeId, SessionId};

use crate::kit::{Cluster, Frames, HIDDEN, Opened, hidden, name, rows};

/// A middle and an exit behind an entry that the test plays, with one generation of 20 prompt positions and 30 in all.
struct Victims {
    cluster: Cluster,
    session: Opened,
    generation: GenerationId,
    evil: NodeId,
    prefill: Frames,
    decode: Frames,
    /// Where the exit sends tokens.
    _back: Arc<tokio::task::JoinHandle<()>>,
}

async fn victims() -> Victims {
    let cluster = Cluster::start(&["2..4", "4..6"]).await;
    let evil = name("evil");
    let mut doors = cluster.net.join(&evil);
    // Takes what comes back, and never says anything about it.
    let back = tokio::spawn(async move {
        let mut lanes = Vec::new();
        while let Some(lane) = doors.recv().await {
            lanes.push(tokio::spawn(futures::StreamExt::for_each(lane.frames, |_| async {})));
        }
    });
    let session = cluster.open_ticket(cluster.ticket_with(&[("evil", "0..2")], &[])).await;
    let to = cluster.machines[0].id.clone();
    let prefill = cluster.net.connect(&session.ticket, &evil, &to, Lane::Prefill).await.unwrap();
    let decode = cluster.net.connect(&session.ticket, &evil, &to, Lane::Decode).await.unwrap();
    let generation = cluster.open(&session, &[1; 20], 10).await;
    Victims { cluster, session, generation, evil, prefill, decode, _back: Arc::new(back) }
}

fn chunk(generation: GenerationId, position: u32, hidden: Activation, sample: bool) -> HopFrame {
    HopFrame::Activation { generation, position, sample, hidden }
}

impl Victims {
    /// Sends frames of the generation; the last one must end the lane and the generation with `code`.
    async fn send(self, lane: Lane, frames: Vec<HopFrame>, code: FaultCode) {
        let sender = if lane == Lane::Prefill { &self.prefill } else { &self.decode };
        for frame in frames {
            sender.send(Ok(frame)).await.unwrap();
        }
        self.ended(lane, code, code).await;
    }

    /// The lane is reset, the fault counted, the generation failed; the machines live on.
    async fn ended(self, lane: Lane, counted: FaultCode, failed: FaultCode) {
        let Victims { cluster, session, generation, prefill, decode, .. } = self;
        assert_eq!(cluster.failed(0, generation).await.code, failed);
        let status = cluster.status(0, "one fault", |s| !s.faults.is_empty()).await;
        assert_eq!((status.faults_of(counted), status.faults.len()), (1, 1));
        // Whatever the generation failed for, the orchestrator knows that its session is good for nothing more.
        cluster.refused(0, session.session).await;
        // The exit hears of it from its neighbour, not only from the orchestrator.
        assert_eq!(cluster.failed(1, generation).await.code, failed);
        let (reset, other) = if lane == Lane::Prefill { (prefill, decode) } else { (decode, prefill) };
        tokio::time::timeout(std::time::Duration::from_secs(5), reset.closed()).await.expect("the lane is reset");
        assert!(!other.is_closed());

        let refused = cluster.ask(&session, &[1; 20], 10).await;
        cluster.failed(0, refused).await;
        cluster.close(generation).await;
        cluster.close(refused).await;
        cluster.close_session(&session).await;
        other.closed().await;

        // Another session on the same machines is as good as ever.
        honest(&cluster).await;
        assert_eq!(
            cluster.count(|_, m| matches!(m, NodeMessage::GenerationFailed { generation: g, .. } if *g == generation)),
            2
        );
        cluster.end().await;
    }
}

/// Plays an honest entry for one prompt chunk of a session of its own, up to the first token.
async fn honest(cluster: &Cluster) {
    let session = cluster.open_ticket(cluster.ticket_with(&[("evil", "0..2")], &[])).await;
    let to = &cluster.machines[0].id;
    let lane = cluster.net.connect(&session.ticket, &name("evil"), to, Lane::Prefill).await.unwrap();
    let generation = cluster.open(&session, &[1; 4], 2).await;
    lane.send(Ok(chunk(generation, 0, rows(4), true))).await.unwrap();
    cluster.some_tokens(generation, 1).await;
    cluster.close(generation).await;
    cluster.close_session(&session).await;
}

async fn breaks(lane: Lane, code: FaultCode, frames: impl FnOnce(GenerationId) -> Vec<HopFrame>) {
    let victims = victims().await;
    let frames = frames(victims.generation);
    victims.send(lane, frames, code).await;
}

#[tokio::test]
async fn a_repeated_chunk_is_a_replay() {
    breaks(Lane::Prefill, FaultCode::Replay, |g| vec![chunk(g, 0, rows(8), false), chunk(g, 0, rows(8), false)]).await;
}

#[tokio::test]
async fn a_gap_is_refused() {
    breaks(Lane::Prefill, FaultCode::WrongShape, |g| vec![chunk(g, 0, rows(8), false), chunk(g, 9, rows(8), false)])
        .await;
}

#[tokio::test]
async fn more_rows_than_the_ticket_allows_are_refused() {
    breaks(Lane::Prefill, FaultCode::WrongShape, |g| vec![chunk(g, 0, rows(17), false)]).await;
}

#[tokio::test]
async fn rows_past_the_prompt_are_refused() {
    breaks(Lane::Prefill, FaultCode::WrongShape, |g| vec![chunk(g, 0, rows(16), false), chunk(g, 16, rows(5), true)])
        .await;
}

#[tokio::test]
async fn a_position_at_the_end_of_numbers_is_refused() {
    breaks(Lane::Prefill, FaultCode::WrongShape, |g| vec![chunk(g, u32::MAX, rows(8), false)]).await;
}

#[tokio::test]
async fn sampling_in_the_middle_of_a_prompt_is_refused() {
    breaks(Lane::Prefill, FaultCode::WrongShape, |g| vec![chunk(g, 0, rows(8), true)]).await;
}

#[tokio::test]
async fn hidden_states_of_another_width_are_refused() {
    let wide = || Activation::new(1, HIDDEN + 1, ActivationType::F32, Bytes::from(vec![0; 20])).unwrap();
    breaks(Lane::Prefill, FaultCode::WrongShape, |g| vec![chunk(g, 0, wide(), false)]).await;
}

#[tokio::test]
async fn hidden_states_of_another_type_are_refused() {
    let half = || Activation::new(1, HIDDEN, ActivationType::F16, Bytes::from(vec![0; 8])).unwrap();
    breaks(Lane::Prefill, FaultCode::WrongShape, |g| vec![chunk(g, 0, half(), false)]).await;
}

#[tokio::test]
async fn a_token_does_not_travel_forward() {
    breaks(Lane::Decode, FaultCode::ProtocolViolation, |generation| {
        vec![HopFrame::Token { generation, position: 0, id: 1 }]
    })
    .await;
}

#[tokio::test]
async fn a_prompt_does_not_travel_on_the_decode_lane() {
    breaks(Lane::Decode, FaultCode::WrongShape, |g| vec![chunk(g, 0, rows(1), true)]).await;
}

/// After a whole prompt has gone through.
async fn breaks_after_prompt(code: FaultCode, frames: impl FnOnce(GenerationId) -> Vec<HopFrame>) {
    let victims = victims().await;
    let g = victims.generation;
    for frame in [chunk(g, 0, rows(10), false), chunk(g, 10, rows(10), true)] {
        victims.prefill.send(Ok(frame)).await.unwrap();
    }
    victims.cluster.some_tokens(g, 1).await;
    let frames = frames(g);
    victims.send(Lane::Decode, frames, code).await;
}

#[tokio::test]
async fn a_decode_step_has_one_row() {
    breaks_after_prompt(FaultCode::WrongShape, |g| vec![chunk(g, 20, rows(2), true)]).await;
}

#[tokio::test]
async fn a_decode_step_is_sampled() {
    breaks_after_prompt(FaultCode::WrongShape, |g| vec![chunk(g, 20, rows(1), false)]).await;
}

#[tokio::test]
async fn a_decode_step_is_not_repeated() {
    breaks_after_prompt(FaultCode::Replay, |g| vec![chunk(g, 19, rows(1), true)]).await;
}

#[tokio::test]
async fn decode_steps_wait_for_each_other() {
    let victims = victims().await;
    let g = victims.generation;
    for frame in [chunk(g, 0, rows(10), false), chunk(g, 10, rows(10), true)] {
        victims.prefill.send(Ok(frame)).await.unwrap();
    }
    victims.cluster.some_tokens(g, 1).await;
    victims.cluster.machines[0].engine.held.send_replace(true);
    for position in [20, 21] {
        victims.decode.send(Ok(chunk(g, position, rows(1), true))).await.unwrap();
    }
    assert_eq!(victims.cluster.failed(0, g).await.code, FaultCode::WrongShape);
    victims.cluster.machines[0].engine.held.send_replace(false);
    victims.ended(Lane::Decode, FaultCode::WrongShape, FaultCode::WrongShape).await;
}

#[tokio::test]
async fn nothing_goes_past_the_length_that_was_reserved() {
    let victims = victims().await;
    let g = victims.generation;
    for frame in [chunk(g, 0, rows(10), false), chunk(g, 10, rows(10), true)] {
        victims.prefill.send(Ok(frame)).await.unwrap();
    }
    for position in 20..29 {
        let tokens = (position - 19) as usize;
        let cluster = &victims.cluster;
        cluster.some_tokens(g, tokens).await;
        victims.decode.send(Ok(chunk(g, position, hidden(&[position]), true))).await.unwrap();
    }
    victims.cluster.tokens(g).await;
    // The exit has said its last token: one more position is one too many for it.
    victims.decode.send(Ok(chunk(g, 29, hidden(&[1]), true))).await.unwrap();
    let cluster = &victims.cluster;
    assert_eq!(cluster.failed(1, g).await.code, FaultCode::WrongShape);
    victims.decode.send(Ok(chunk(g, 30, hidden(&[1]), true))).await.unwrap();
    assert_eq!(cluster.failed(0, g).await.code, FaultCode::WrongShape);
    assert_eq!(cluster.close(g).await[1].as_ref().unwrap().receipt.decode_rows, 9);
    victims.cluster.end().await;
}

#[tokio::test]
async fn a_generation_that_is_not_open_breaks_the_lane() {
    let victims = victims().await;
    let stray = chunk(GenerationId([0xEE; 16]), 0, rows(1), false);
    victims.prefill.send(Ok(stray)).await.unwrap();
    victims.ended(Lane::Prefill, FaultCode::WrongSession, FaultCode::WrongSession).await;
}

#[tokio::test]
async fn a_generation_of_another_session_is_out_of_reach() {
    let victims = victims().await;
    let cluster = &victims.cluster;
    let other = cluster.open_ticket(cluster.ticket_with(&[("evil", "0..2")], &[])).await;
    let theirs = cluster.open(&other, &[1; 4], 2).await;
    victims.prefill.send(Ok(chunk(theirs, 0, rows(4), true))).await.unwrap();
    assert_eq!(cluster.failed(0, victims.generation).await.code, FaultCode::WrongSession);
    // Theirs goes on as if nothing had happened.
    let to = &cluster.machines[0].id;
    let lane = cluster.net.connect(&other.ticket, &victims.evil, to, Lane::Prefill).await.unwrap();
    lane.send(Ok(chunk(theirs, 0, rows(4), true))).await.unwrap();
    cluster.some_tokens(theirs, 1).await;
    cluster.close(theirs).await;
    victims.ended(Lane::Prefill, FaultCode::WrongSession, FaultCode::WrongSession).await;
}

#[tokio::test]
async fn the_others_of_a_broken_lane_are_told_so() {
    let victims = victims().await;
    let other = victims.cluster.open(&victims.session, &[1; 4], 2).await;
    victims.prefill.send(Ok(chunk(victims.generation, 3, rows(1), false))).await.unwrap();
    assert_eq!(victims.cluster.failed(0, other).await.code, FaultCode::LinkLost);
    victims.cluster.close(other).await;
    victims.ended(Lane::Prefill, FaultCode::WrongShape, FaultCode::WrongShape).await;
}

#[tokio::test]
async fn bytes_that_are_no_frame_end_the_lane_under_their_own_name() {
    let victims = victims().await;
    victims.prefill.send(Err(Fault::new(FaultCode::OversizeFrame, "too long"))).await.unwrap();
    victims.ended(Lane::Prefill, FaultCode::OversizeFrame, FaultCode::OversizeFrame).await;
}

#[tokio::test]
async fn late_frames_of_closed_generations_are_no_fault() {
    let victims = victims().await;
    let Victims { cluster, session, generation, prefill, .. } = &victims;
    prefill.send(Ok(chunk(*generation, 0, rows(8), false))).await.unwrap();
    cluster.close(*generation).await;
    prefill.send(Ok(chunk(*generation, 8, rows(8), false))).await.unwrap();
    prefill.send(Ok(HopFrame::Abort { generation: GenerationId([3; 16]), code: FaultCode::Cancelled })).await.unwrap();
    let next = cluster.open(session, &[1; 4], 2).await;
    prefill.send(Ok(chunk(next, 0, rows(4), true))).await.unwrap();
    cluster.some_tokens(next, 1).await;
    cluster.close(next).await;
    assert!(cluster.machines[0].handle.status().borrow().faults.is_empty());
    victims.cluster.end().await;
}

#[tokio::test]
async fn lanes_without_a_place_in_an_open_session_are_dropped() {
    let victims = victims().await;
    let (cluster, evil) = (&victims.cluster, &victims.evil);
    let (middle, exit) = (&cluster.machines[0].id, &cluster.machines[1].id);
    let ticket = &victims.session.ticket;
    let faults = async |code| cluster.status(0, "the fault", |s| s.faults_of(code) == 1).await;

    let second = cluster.net.connect(ticket, evil, middle, Lane::Prefill).await.unwrap();
    second.closed().await;
    faults(FaultCode::ProtocolViolation).await;
    let stranger = cluster.net.connect(ticket, exit, middle, Lane::Decode).await.unwrap();
    stranger.closed().await;
    faults(FaultCode::NotInTicket).await;
    let mut forged = ticket.clone();
    forged.limits.max_rows = 1000;
    let wider = cluster.net.connect(&forged, evil, middle, Lane::Prefill).await.unwrap();
    wider.closed().await;
    faults(FaultCode::WrongSession).await;
    forged.session = SessionId([0xAB; 16]);
    let nowhere = cluster.net.connect(&forged, evil, middle, Lane::Prefill).await.unwrap();
    nowhere.closed().await;
    cluster.status(0, "the fault", |s| s.faults_of(FaultCode::WrongSession) == 2).await;

    // None of it touched the session.
    victims.prefill.send(Ok(chunk(victims.generation, 0, rows(8), false))).await.unwrap();
    victims.prefill.send(Ok(chunk(victims.generation, 8, rows(12), true))).await.unwrap();
    cluster.some_tokens(victims.generation, 1).await;
    cluster.close(victims.generation).await;
    victims.cluster.end().await;
}

/// An entry whose exit the test plays.
async fn returns(frames: impl FnOnce(GenerationId) -> Vec<HopFrame>, code: FaultCode) {
    let cluster = Cluster::start(&["0..4"]).await;
    let evil = name("evil");
    let mut doors = cluster.net.join(&evil);
    let session = cluster.open_ticket(cluster.ticket_with(&[], &[("evil", "4..6")])).await;
    let mut lanes = [doors.recv().await.unwrap(), doors.recv().await.unwrap()];
    let to = &cluster.machines[0].id;
    let back = cluster.net.connect(&session.ticket, &evil, to, Lane::Return).await.unwrap();
    let generation = cluster.begin(&session, &[1; 4], 10).await;
    let lane = lanes.iter_mut().find(|lane| lane.lane == Lane::Prefill).unwrap();
    let frame = futures::StreamExt::next(&mut lane.frames).await.unwrap().unwrap();
    assert!(matches!(frame, HopFrame::Activation { position: 0, sample: true, .. }));
    for frame in frames(generation) {
        back.send(Ok(frame)).await.unwrap();
    }
    assert_eq!(cluster.failed(0, generation).await.code, code);
    back.closed().await;
    // What the neighbour waits for is called off.
    let lane = lanes.iter_mut().find(|lane| lane.lane == Lane::Decode).unwrap();
    let mut last = futures::StreamExt::next(&mut lane.frames).await.unwrap().unwrap();
    while matches!(last, HopFrame::Activation { .. }) {
        last = futures::StreamExt::next(&mut lane.frames).await.unwrap().unwrap();
    }
    assert_eq!(last, HopFrame::Abort { generation, code });
    cluster.say(0, OrchestratorMessage::CloseGeneration { generation }).await;
    cluster.closed(0, generation).await;
    cluster.end().await;
}

#[tokio::test]
async fn an_entry_takes_each_token_once() {
    let token = |generation, position| HopFrame::Token { generation, position, id: 7 };
    returns(|g| vec![token(g, 3)], FaultCode::Replay).await;
    returns(|g| vec![token(g, 5)], FaultCode::WrongShape).await;
    returns(|g| vec![token(g, 4), token(g, 4)], FaultCode::Replay).await;
    returns(|g| vec![chunk(g, 4, rows(1), true)], FaultCode::ProtocolViolation).await;
}
