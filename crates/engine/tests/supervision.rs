//! The supervisor of the engine process, against a real process: `examples/toy_engine.rs`.

#![expect(clippy::unwrap_used, reason = "what is unexpected here fails the test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use computepool_core::ports::{Engine, EngineCommand, EngineEvent, StepInput};
use computepool_core::{
    Activation, ActivationType, ContentHash, Fault, FaultCode, GenerationId, LayerRange, ModelSpeed, Retry, ShardSpec,
};
use computepool_engine::client::{EngineClient, EngineLaunch, EnginePhase, EngineSnapshot, RestartPolicy, Timing};
use futures::StreamExt;
use futures::stream::BoxStream;
use sysinfo::{Pid, ProcessesToUpdate, System};

/// Nothing here takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Examples are built beside the tests by every run that is not narrowed to single targets.
fn toy() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let name = format!("toy_engine{}", std::env::consts::EXE_SUFFIX);
    let toy = tests.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(toy.is_file(), "{} is missing: build the examples too", toy.display());
    toy
}

struct Bench {
    engine: Arc<EngineClient>,
    events: BoxStream<'static, EngineEvent>,
    folder: tempfile::TempDir,
}

fn spec(model: u8) -> ShardSpec {
    ShardSpec {
        model: ContentHash([model; 32]),
        layers: LayerRange::new(1, 3).unwrap(),
        kv_bytes: 100,
        max_context: 64,
    }
}

fn generation(number: u8) -> GenerationId {
    GenerationId([number; 16])
}

impl Bench {
    /// An engine whose model number N is the file N in a folder of its own.
    fn with(change: impl FnOnce(&mut EngineLaunch, &Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_owned();
        let mut launch = EngineLaunch::new(
            toy(),
            Arc::new(move |hash: &ContentHash| {
                let path = place.join(hash.0[0].to_string());
                path.is_file().then_some(path)
            }),
        );
        launch.timing = Timing { ping: Duration::from_millis(50), ..Timing::default() };
        launch.restart = RestartPolicy { first_delay: Duration::from_millis(20), ..RestartPolicy::default() };
        change(&mut launch, folder.path());
        let (engine, events) = EngineClient::start(launch);
        let bench = Self { engine, events, folder };
        bench.script(1, "ok");
        bench
    }

    fn script(&self, model: u8, script: &str) {
        std::fs::write(self.folder.path().join(model.to_string()), script).unwrap();
    }

    async fn event(&mut self) -> EngineEvent {
        tokio::time::timeout(PATIENCE, self.events.next())
            .await
            .expect("an event is overdue")
            .expect("the events ended")
    }

    async fn down(&mut self) -> Fault {
        match self.event().await {
            EngineEvent::Down { fault } => fault,
            other => panic!("{other:?} instead of Down"),
        }
    }

    async fn ready(&mut self) {
        match self.event().await {
            EngineEvent::Ready { info } => assert_eq!(info.layers, spec(1).layers),
            other => panic!("{other:?} instead of Ready"),
        }
    }

    async fn open(&mut self, number: u8) {
        let generation = generation(number);
        let command = EngineCommand::Open { generation, max_len: 8, prompt_len: 4, adopt: None, request: None };
        self.engine.send(command).await.unwrap();
        assert_eq!(self.event().await, EngineEvent::Opened { generation });
    }

    async fn step(&self, number: u8, tokens: &[u32]) {
        let input = StepInput::Tokens(tokens.to_vec());
        let command = EngineCommand::Step { generation: generation(number), position: 0, sample: false, input };
        self.engine.send(command).await.unwrap();
    }

    /// Waits until the record says so.
    async fn record(&self, wanted: impl FnMut(&EngineSnapshot) -> bool) -> EngineSnapshot {
        let mut snapshot = self.engine.snapshot();
        let found = tokio::time::timeout(PATIENCE, snapshot.wait_for(wanted)).await;
        *found.expect("the record does not come to say so").unwrap()
    }

    /// A generation that works from end to end.
    async fn works(&mut self, number: u8) {
        self.open(number).await;
        self.step(number, &[9, 9]).await;
        let expected = EngineEvent::Absorbed { generation: generation(number), position: 0, rows: 2, compute_us: 1 };
        assert_eq!(self.event().await, expected);
        self.engine.send(EngineCommand::Close { generation: generation(number) }).await.unwrap();
        assert_eq!(self.event().await, EngineEvent::Closed { generation: generation(number) });
    }
}

fn is_running(pid: u32) -> bool {
    let mut system = System::new().unwrap();
    let pid = Pid::from_u32(pid);
    system.refresh_processes(ProcessesToUpdate::Some(&[pid]), true);
    system.process(pid).is_some_and(|process| !matches!(process.status(), sysinfo::ProcessStatus::Zombie))
}

fn kill(pid: u32) {
    let mut system = System::new().unwrap();
    let pid = Pid::from_u32(pid);
    system.refresh_processes(ProcessesToUpdate::Some(&[pid]), true);
    assert!(system.process(pid).unwrap().kill());
}

#[tokio::test]
async fn loads_serves_reports_and_leaves_no_process() {
    let mut bench = Bench::with(|launch, _| launch.threads = 3);
    let early = bench.engine.send(EngineCommand::Close { generation: generation(0) }).await.unwrap_err();
    assert_eq!(early.code, FaultCode::EngineLost);
    let info = bench.engine.load(spec(1)).await.unwrap();
    assert_eq!((info.kv_tokens, info.device.as_str()), (100, "Cpu, 3 threads"));
    bench.works(1).await;
    bench.open(2).await;
    let record = bench.record(|record| record.rss_bytes > 0 && record.kv_tokens_used == 1).await;
    assert_eq!((record.phase, record.starts, record.losses), (EnginePhase::Ready, 1, 0));
    assert!(record.peak_rss_bytes >= record.rss_bytes);
    let pid = record.pid.unwrap();
    assert!(is_running(pid));

    // Another shard is another process.
    bench.script(2, "ok");
    assert_eq!(bench.engine.load(spec(2)).await.unwrap().model, spec(2).model);
    assert!(!is_running(pid));
    bench.works(3).await;

    let pid = bench.record(|record| record.pid.is_some()).await.pid.unwrap();
    let began = Instant::now();
    bench.engine.stop().await;
    assert!(!is_running(pid) && began.elapsed() < Duration::from_secs(2));
    assert_eq!(bench.record(|_| true).await.phase, EnginePhase::Idle);
    assert!(bench.engine.send(EngineCommand::Close { generation: generation(1) }).await.is_err());

    // After a stop it can be used again, and dropping it is as good as stopping it.
    bench.engine.load(spec(1)).await.unwrap();
    bench.works(4).await;
    let pid = bench.record(|record| record.pid.is_some()).await.pid.unwrap();
    drop(bench.engine);
    assert_eq!(tokio::time::timeout(PATIENCE, bench.events.next()).await.unwrap(), None);
    assert!(!is_running(pid));
}

#[tokio::test]
async fn a_killed_engine_is_told_of_and_replaced() {
    let mut bench = Bench::with(|_, _| {});
    bench.engine.load(spec(1)).await.unwrap();
    for round in 1..4 {
        bench.open(1).await;
        let pid = bench.record(|record| record.pid.is_some()).await.pid.unwrap();
        kill(pid);
        let fault = bench.down().await;
        assert_eq!(fault.code, FaultCode::EngineLost);
        #[cfg(unix)]
        assert!(fault.message.contains("signal 9"), "{}", fault.message);
        bench.ready().await;
        let record = bench.record(|record| record.phase == EnginePhase::Ready).await;
        assert_eq!((record.starts, record.losses), (round + 1, round));
        // The new process knows nothing of the old one's generations.
        bench.step(1, &[9]).await;
        assert!(matches!(bench.event().await, EngineEvent::Failed { .. }));
        bench.works(2).await;
    }
}

#[tokio::test]
async fn a_panic_and_a_failed_step_say_why() {
    let mut bench = Bench::with(|_, _| {});
    bench.engine.load(spec(1)).await.unwrap();
    for (token, said) in [(1, "the toy panics in a step"), (3, "the toy cannot go on")] {
        bench.open(1).await;
        bench.step(1, &[token]).await;
        let fault = bench.down().await;
        assert!(fault.message.contains(said), "{}", fault.message);
        bench.ready().await;
    }
    bench.works(2).await;
}

#[tokio::test]
async fn a_hanging_engine_is_ended_and_a_slow_node_is_not_mistaken_for_one() {
    let mut bench = Bench::with(|launch, _| launch.timing.silence = Duration::from_millis(700));
    bench.engine.load(spec(1)).await.unwrap();
    bench.open(1).await;
    // The node does not listen for a while: everything backs up, and nobody is to blame.
    for _ in 0..1_000 {
        bench.step(1, &[9]).await;
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    for _ in 0..1_000 {
        assert!(matches!(bench.event().await, EngineEvent::Absorbed { .. }));
    }
    bench.step(1, &[2]).await;
    let fault = bench.down().await;
    assert!(fault.message.contains("did not answer for 0.7 s"), "{}", fault.message);
    bench.ready().await;
    bench.works(2).await;
    // One that hangs does not hold up the end either.
    bench.open(3).await;
    bench.step(3, &[2]).await;
    let pid = bench.record(|record| record.pid.is_some()).await.pid.unwrap();
    let began = Instant::now();
    bench.engine.stop().await;
    assert!(!is_running(pid) && began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn nonsense_on_the_pipe_is_a_loss_and_prints_are_not_nonsense() {
    let mut bench = Bench::with(|launch, folder| {
        let flag = folder.join("nonsense").display().to_string();
        launch.environment.push(("COMPUTEPOOL_ENGINE_TOY_NONSENSE".to_owned(), flag));
    });
    let flag = bench.folder.path().join("nonsense");
    std::fs::write(&flag, "").unwrap();
    let fault = bench.engine.load(spec(1)).await.unwrap_err();
    assert!(fault.message.contains("makes no sense"), "{}", fault.message);
    bench.engine.load(spec(1)).await.unwrap();
    bench.works(1).await;
    bench.open(2).await;
    bench.step(2, &[4]).await;
    assert!(matches!(bench.event().await, EngineEvent::Absorbed { .. }));
    // The same while it recovers: one more try is needed.
    std::fs::write(&flag, "").unwrap();
    kill(bench.record(|record| record.pid.is_some()).await.pid.unwrap());
    bench.down().await;
    bench.ready().await;
    assert_eq!(bench.record(|_| true).await.losses, 3);
    bench.works(3).await;
}

#[tokio::test]
async fn loads_that_fail_say_why_and_are_given_up_in_the_end() {
    let mut bench = Bench::with(|launch, _| {
        launch.restart.deaths = 4;
        launch.timing.load = Duration::from_millis(800);
    });
    let missing = bench.engine.load(spec(7)).await.unwrap_err();
    assert_eq!(missing.code, FaultCode::ModelNotFound);
    bench.script(2, "refuse");
    let refused = bench.engine.load(spec(2)).await.unwrap_err();
    assert_eq!((refused.code, refused.message.as_str()), (FaultCode::UnsupportedModel, "the toy refuses this file"));
    bench.script(3, "die");
    let died = bench.engine.load(spec(3)).await.unwrap_err();
    assert!(died.code == FaultCode::EngineLost && died.message.contains("dies while loading"), "{}", died.message);
    bench.script(4, "slow");
    let slow = bench.engine.load(spec(4)).await.unwrap_err();
    assert!(slow.message.contains("longer than 0.8 s to load"), "{}", slow.message);
    assert_eq!(bench.record(|_| true).await.pid, None);

    // It served once, and then dies on every load.
    bench.engine.load(spec(1)).await.unwrap();
    let before = bench.record(|record| record.phase == EnginePhase::Ready).await;
    bench.script(1, "die");
    kill(before.pid.unwrap());
    let first = bench.down().await;
    assert!(matches!(first.retry, Retry::AfterMs(_)));
    let last = bench.down().await;
    assert!(
        last.message.contains("4 times in a row") && last.message.contains("dies while loading"),
        "{}",
        last.message
    );
    assert_eq!(last.retry, Retry::Never);
    let record = bench.record(|record| record.phase == EnginePhase::GivenUp).await;
    assert_eq!((record.pid, record.losses - before.losses, record.starts - before.starts), (None, 4, 3));
    // Asked again, it tries again.
    bench.script(1, "ok");
    bench.engine.load(spec(1)).await.unwrap();
    bench.works(1).await;
}

#[tokio::test]
async fn a_load_can_be_called_off() {
    let mut bench = Bench::with(|_, _| {});
    bench.script(2, "slow");
    let engine = Arc::clone(&bench.engine);
    let loading = tokio::spawn(async move { engine.load(spec(2)).await });
    let pid = bench.record(|record| record.phase == EnginePhase::Loading).await.pid.unwrap();
    bench.engine.load(spec(1)).await.unwrap();
    assert_eq!(loading.await.unwrap().unwrap_err().code, FaultCode::Cancelled);
    assert!(!is_running(pid));
    bench.works(1).await;
    // An executable that is not there.
    let mut gone = Bench::with(|launch, folder| launch.executable = folder.join("no-such-engine"));
    let fault = gone.engine.load(spec(1)).await.unwrap_err();
    assert!(fault.message.contains("could not be started"), "{}", fault.message);
    gone.engine.stop().await;
    drop(gone.engine);
    assert_eq!(gone.events.next().await, None);
}

#[tokio::test]
async fn models_are_timed_while_nothing_else_runs() {
    let mut bench = Bench::with(|_, _| {});
    let model = spec(1).model;
    let speed = bench.engine.measure(model).await.unwrap();
    assert_eq!(speed, ModelSpeed { model, layer_ns: 1, layer_ns_8: 2, prefill_ns: 3, head_ns: 4 });
    let record = bench.record(|record| record.phase == EnginePhase::Idle).await;
    assert_eq!((record.pid, record.starts, record.losses), (None, 1, 0));
    assert_eq!(bench.engine.measure(spec(7).model).await.unwrap_err().code, FaultCode::ModelNotFound);
    bench.script(2, "refuse");
    let refused = bench.engine.measure(spec(2).model).await.unwrap_err();
    assert_eq!((refused.code, refused.message.as_str()), (FaultCode::UnsupportedModel, "the toy refuses this file"));
    bench.script(3, "die");
    let died = bench.engine.measure(spec(3).model).await.unwrap_err();
    assert!(died.code == FaultCode::EngineLost && died.message.contains("dies while loading"), "{}", died.message);

    // A shard is more important than a figure.
    bench.script(4, "slow");
    let engine = Arc::clone(&bench.engine);
    let measuring = tokio::spawn(async move { engine.measure(spec(4).model).await });
    let pid = bench.record(|record| record.phase == EnginePhase::Measuring).await.pid.unwrap();
    bench.engine.load(spec(1)).await.unwrap();
    assert_eq!(measuring.await.unwrap().unwrap_err().code, FaultCode::Cancelled);
    assert!(!is_running(pid));
    let refused = bench.engine.measure(model).await.unwrap_err();
    assert!(refused.code == FaultCode::NoCapacity && refused.message.contains("no shard"), "{}", refused.message);
    bench.works(1).await;
    bench.engine.stop().await;
    bench.engine.measure(model).await.unwrap();
}

#[tokio::test]
async fn large_activations_come_back_whole() {
    let mut bench = Bench::with(|_, _| {});
    bench.engine.load(spec(1)).await.unwrap();
    bench.open(1).await;
    // 1 row, 512 rows, and 32 MiB at once.
    for (rows, hidden) in [(1, 4_096), (512, 576), (2_048, 4_096)] {
        let data: Vec<u8> =
            (0..rows * hidden * 4u32).map(|byte| (byte.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let hidden = Activation::new(rows, hidden, ActivationType::F32, Bytes::from(data)).unwrap();
        let input = StepInput::Hidden(hidden.clone());
        let step = EngineCommand::Step { generation: generation(1), position: 5, sample: true, input };
        bench.engine.send(step).await.unwrap();
        let expected =
            EngineEvent::Hidden { generation: generation(1), position: 5, sample: true, hidden, compute_us: 1 };
        assert!(bench.event().await == expected, "{rows} rows were changed on the way");
    }
}

#[tokio::test]
async fn no_secret_goes_along() {
    let mut bench = Bench::with(|launch, _| {
        launch.threads = 2;
        launch.environment.push(("COMPUTEPOOL_ENGINE_EXTRA".to_owned(), "given".to_owned()));
    });
    bench.engine.load(spec(1)).await.unwrap();
    bench.open(1).await;
    bench.step(1, &[5]).await;
    let EngineEvent::Failed { fault, .. } = bench.event().await else { panic!("the toy tells its environment") };
    let variables: Vec<&str> = fault.message.lines().collect();
    for expected in ["RAYON_NUM_THREADS=2", "CANDLE_NUM_THREADS=2", "COMPUTEPOOL_ENGINE_EXTRA=given"] {
        assert!(variables.contains(&expected), "{expected} is missing of {variables:?}");
    }
    // Test runners set these for the tests themselves.
    assert!(std::env::vars().any(|(name, _)| name.starts_with("CARGO")));
    assert!(!variables.iter().any(|variable| variable.starts_with("CARGO")), "{variables:?}");
}

#[tokio::test]
async fn an_orphan_ends_by_itself_even_in_the_middle_of_a_step() {
    let mut bench = Bench::with(|launch, _| launch.timing.stop = Duration::from_secs(30));
    bench.engine.load(spec(1)).await.unwrap();
    bench.open(1).await;
    bench.step(1, &[2]).await;
    let pid = bench.record(|record| record.pid.is_some()).await.pid.unwrap();
    // The pipe is closed and, for half a minute, nothing else is done: the process has to find the way out itself.
    let began = Instant::now();
    bench.engine.stop().await;
    assert!(!is_running(pid) && began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_engine_in_a_folder_is_chosen_by_what_it_answers() {
    let folder = tempfile::tempdir().unwrap();
    let missing = EngineLaunch::choose(folder.path()).await.unwrap_err();
    assert_eq!(missing.code, FaultCode::Io);
    let named = |name: &str| folder.path().join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    std::fs::copy(toy(), named("computepool-engine")).unwrap();
    // One for CUDA that finds none is passed over, and so is one that does not start at all.
    std::fs::copy(toy(), named("computepool-engine-cuda")).unwrap();
    let chosen = EngineLaunch::choose(folder.path()).await.unwrap();
    assert_eq!((chosen.executable, chosen.devices[0].name.as_str()), (named("computepool-engine"), "a toy"));
    std::fs::write(named("computepool-engine-cuda"), "not an executable").unwrap();
    let chosen = EngineLaunch::choose(folder.path()).await.unwrap();
    assert_eq!(chosen.executable, named("computepool-engine"));
}
