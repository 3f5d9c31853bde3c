//! `computepool bench`: one model unsharded and split over 2 and 3 nodes, measured in turn in one run.
//!
//! Every number is a ratio of medians over rounds in which each split has its turn, so that a machine whose speed drifts
//! slows all of them alike. Each engine has one thread. At the end, what being paid costs the first token.

mod paid;

use std::sync::Arc;
use std::time::{Duration, Instant};

use computepool_app::cluster::{ClusterSettings, Nodes};
use computepool_app::orchestrator::{OrchestratorSettings, RunningOrchestrator};
use computepool_core::ports::{Inference, NetworkStatus};
use computepool_core::{ClientId, Fault, FaultCode, Generate, GenerationEvent, ModelId, Sampling};
use futures::StreamExt;

use crate::arguments::{BenchArguments, ClusterArguments};
use crate::show::table;

/// Two shards must decode at least this much of what one does.
const DECODE_TARGET: f64 = 0.95;
/// Many streams together must give at least this many times the tokens of one.
const STREAMS_TARGET: f64 = 1.7;

/// One model behind one number of shards.
pub(crate) struct Split {
    shards: usize,
    orchestrator: RunningOrchestrator,
    nodes: Nodes,
    inference: Arc<dyn Inference>,
    model: ModelId,
    vocabulary: u32,
}

/// A finished generation.
pub(crate) struct Timed {
    /// Its tokens.
    pub(crate) ids: Vec<u32>,
    first: Duration,
    total: Duration,
}

impl Timed {
    /// Seconds per token after the first.
    fn per_token(&self) -> f64 {
        (self.total - self.first).as_secs_f64() / (self.ids.len().max(2) - 1) as f64
    }
}

impl Split {
    /// Starts the orchestrator in this process and its nodes as processes of their own.
    pub(crate) async fn start(model: &str, shards: usize, context: u32) -> Result<Self, Fault> {
        let cluster =
            ClusterArguments { model: Some(model.to_owned()), shards, threads: 1, kv_mb: 1024, context, unpaid: true };
        let mut settings: ClusterSettings = cluster.settings("127.0.0.1:0")?;
        settings.logs = settings.logs.join(format!("split-{shards}"));
        computepool_app::paths::make_folder(&settings.logs)?;
        let orchestrator = RunningOrchestrator::start(OrchestratorSettings {
            shards,
            max_context: context,
            kv_bytes: settings.kv_bytes,
            api: None,
            ..OrchestratorSettings::local(vec![model.parse()?])
        })
        .await?;
        let nodes = Nodes::start(&settings, &orchestrator.address().addresses).await?;
        orchestrator.available(Duration::from_secs(120)).await?;
        let inference = orchestrator.inference();
        let summary = inference.models().into_iter().next().map(|(status, _)| status.summary);
        let summary = summary.ok_or_else(|| Fault::new(FaultCode::ModelNotFound, "no model is offered"))?;
        Ok(Self { shards, orchestrator, nodes, inference, model: summary.id, vocabulary: summary.vocabulary })
    }

    /// Runs one greedy generation to its full length.
    pub(crate) async fn generate(&self, prompt: Vec<u32>, tokens: u32) -> Result<Timed, Fault> {
        let request = Generate {
            prompt,
            produced: Vec::new(),
            max_tokens: tokens,
            sampling: Sampling { temperature: 0.0, ..Sampling::default() },
            constraint: None,
            logprobs: None,
            ignore_eos: true,
        };
        let began = Instant::now();
        let mut events = self.inference.generate(&ClientId::new("bench")?, &self.model, request).await?;
        let (mut ids, mut first, mut total) = (Vec::new(), Duration::ZERO, Duration::ZERO);
        while let Some(event) = events.next().await {
            match event {
                GenerationEvent::Started(_) => {}
                GenerationEvent::Token(token) => {
                    total = began.elapsed();
                    if ids.is_empty() {
                        first = total;
                    }
                    ids.push(token.id);
                }
                GenerationEvent::Ended(_) => return Ok(Timed { ids, first, total }),
                GenerationEvent::Failed(fault) => return Err(fault),
            }
        }
        Err(Fault::new(FaultCode::Internal, "the generation ended without saying how"))
    }

    /// A prompt of pseudo-random ids.
    pub(crate) fn prompt(&self, length: u32, seed: u64) -> Vec<u32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def1);
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // The first ids of most vocabularies are control tokens.
            100 + ((state >> 33) % u64::from(self.vocabulary - 200)) as u32
        };
        (0..length).map(|_| next()).collect()
    }

    /// What its orchestrator knows of its nodes.
    pub(crate) fn network(&self) -> NetworkStatus {
        self.inference.status()
    }

    /// Lets everything finish; `false` if a process had to be ended.
    pub(crate) async fn leave(self) -> bool {
        self.orchestrator.leave().await;
        self.nodes.leave().await
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// Measures and prints; `false` when a target was missed or an answer differed.
pub(crate) async fn bench(arguments: BenchArguments) -> Result<bool, Fault> {
    let model = crate::demo::model(arguments.model.as_deref())?;
    let mut splits = Vec::new();
    for shards in 1..=3 {
        splits.push(Split::start(&model, shards, 2048).await?);
    }
    let mut decode = vec![Vec::new(); splits.len()];
    let mut prefill = vec![Vec::new(); splits.len()];
    let mut same = true;
    for split in &splits {
        split.generate(split.prompt(16, 0), 8).await?;
    }
    for round in 0..arguments.rounds {
        let mut answers = Vec::new();
        for (index, split) in splits.iter().enumerate() {
            let timed = split.generate(split.prompt(16, round as u64), arguments.tokens).await?;
            decode[index].push(timed.per_token());
            answers.push(timed.ids);
            let timed = split.generate(split.prompt(arguments.prompt, 1000 + round as u64), 1).await?;
            prefill[index].push(timed.first.as_secs_f64());
        }
        same &= answers.windows(2).all(|pair| pair[0] == pair[1]);
    }
    let ratios = |of: &[Vec<f64>], index: usize| -> f64 {
        median(of[0].iter().zip(&of[index]).map(|(one, many)| one / many).collect())
    };
    let head = ["shards", "decode t/s", "of unsharded", "prefill t/s", "of unsharded", "ms per token and hop"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (index, split) in splits.iter().enumerate() {
        let (token, prompt) = (median(decode[index].clone()), median(prefill[index].clone()));
        let hop = (token - median(decode[0].clone())) * 1e3 / split.shards as f64;
        rows.push(vec![
            split.shards.to_string(),
            format!("{:.1}", 1.0 / token),
            format!("{:.3}", ratios(&decode, index)),
            format!("{:.1}", f64::from(arguments.prompt) / prompt),
            format!("{:.3}", ratios(&prefill, index)),
            if index == 0 { "–".to_owned() } else { format!("{hop:.2}") },
        ]);
    }
    println!("{}", table(&rows));
    println!("token ids of all splits {}\n", if same { "are identical" } else { "DIFFER" });
    let (two, three) = (ratios(&decode, 1), ratios(&decode, 2));
    let mut ok = same && two >= DECODE_TARGET;
    let mut figures = format!(
        "decode_2={two:.3} decode_3={three:.3} prefill_2={:.3} prefill_3={:.3}",
        ratios(&prefill, 1),
        ratios(&prefill, 2)
    );
    if let (Some(three), true) = (splits.last(), arguments.streams > 0) {
        let (gain, equal) = streams(three, arguments.streams, 32).await?;
        println!(
            "{} streams through {} shards: {gain:.2} × the tokens per second of one; answers {}\n",
            arguments.streams,
            three.shards,
            if equal { "equal their solo answers" } else { "DIFFER from their solo answers" }
        );
        ok &= equal && gain >= STREAMS_TARGET;
        figures.push_str(&format!(" streams={} streams_gain={gain:.2} equal={equal}", arguments.streams));
    }
    for split in splits {
        ok &= split.leave().await;
    }
    if arguments.paid > 0 {
        let (more, met) = paid::first_token(&model, arguments.paid).await?;
        ok &= met;
        figures.push_str(&format!(" {more}"));
    }
    println!("{figures} same_ids={same}");
    Ok(ok)
}

/// Many generations one after another, then all at once: how much faster, and whether each answer stayed the same.
async fn streams(split: &Split, count: usize, tokens: u32) -> Result<(f64, bool), Fault> {
    let prompt = |i: usize| split.prompt(8 + (i as u32 * 7) % 48, 5000 + i as u64);
    let mut solo = Vec::new();
    let began = Instant::now();
    for i in 0..count {
        solo.push(split.generate(prompt(i), tokens).await?.ids);
    }
    let alone = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let together = futures::future::try_join_all((0..count).map(|i| split.generate(prompt(i), tokens))).await?;
    let gain = alone / began.elapsed().as_secs_f64();
    Ok((gain, together.iter().zip(&solo).all(|(timed, solo)| &timed.ids == solo)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_counts() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
