use std::collections::VecDeque;

use serde_json::json;

use super::*;
use crate::rpc::Rpc;

/// What a fake endpoint does when it is asked anything but its chain id.
#[derive(Clone, Debug)]
pub(in crate::rpc) enum Does {
    Answer(Value),
    Break,
    Refuse(i64, &'static str),
    Hang,
}

#[derive(Clone)]
pub(in crate::rpc) struct Fake {
    chain_id: u64,
    script: Arc<Mutex<VecDeque<Does>>>,
    asked: Arc<Mutex<u32>>,
}

impl Fake {
    /// Does these things, then the last of them for ever.
    pub(in crate::rpc) fn new(chain_id: u64, script: impl IntoIterator<Item = Does>) -> Self {
        Self { chain_id, script: Arc::new(Mutex::new(script.into_iter().collect())), asked: Arc::default() }
    }

    fn asked(&self) -> u32 {
        *self.asked.lock().unwrap()
    }
}

impl Service<RequestPacket> for Fake {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let request = packet.as_single().unwrap();
        let id = request.id().clone();
        let does = if request.method() == "eth_chainId" {
            Does::Answer(json!(format!("{:#x}", self.chain_id)))
        } else {
            *self.asked.lock().unwrap() += 1;
            let mut script = self.script.lock().unwrap();
            if script.len() > 1 { script.pop_front().unwrap() } else { script[0].clone() }
        };
        Box::pin(async move {
            let answer = match does {
                Does::Answer(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
                Does::Refuse(code, message) => {
                    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
                }
                Does::Break => return Err(TransportErrorKind::custom_str("a secret address broke")),
                Does::Hang => std::future::pending().await,
            };
            Ok(serde_json::from_value(answer).unwrap())
        })
    }
}

pub(in crate::rpc) fn over(fakes: &[&Fake]) -> Rpc {
    let named = fakes.iter().enumerate();
    let transports = named.map(|(index, fake)| (format!("rpc{index}"), BoxTransport::new((*fake).clone()))).collect();
    Rpc::over(1, transports, Patience::default()).unwrap()
}

fn block(number: u64) -> Does {
    Does::Answer(json!(format!("{number:#x}")))
}

#[tokio::test(start_paused = true)]
async fn where_one_breaks_the_next_is_asked() {
    let (broken, well) = (Fake::new(1, [Does::Break]), Fake::new(1, [block(7)]));
    let rpc = over(&[&broken, &well]);
    assert_eq!(rpc.head().await.unwrap(), 7);
    assert_eq!(rpc.head().await.unwrap(), 7);
    assert_eq!((broken.asked(), well.asked()), (1, 2), "who broke rests");
}

#[tokio::test(start_paused = true)]
async fn a_slow_one_is_not_waited_for() {
    let (slow, well) = (Fake::new(1, [Does::Hang]), Fake::new(1, [block(7)]));
    assert_eq!(over(&[&slow, &well]).head().await.unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_busy_one_is_asked_again_later() {
    let busy = Fake::new(1, [Does::Refuse(429, "too many requests"), block(7)]);
    assert_eq!(over(&[&busy]).head().await.unwrap(), 7);
    assert_eq!(busy.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_an_answer() {
    let refusing = Fake::new(1, [Does::Refuse(-32_602, "invalid params")]);
    let spare = Fake::new(1, [block(7)]);
    let error = over(&[&refusing, &spare]).head().await.unwrap_err();
    assert!(matches!(error, ChainError::Refused { code: -32_602, .. }), "{error}");
    assert_eq!(spare.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn lying_about_the_chain_is_found_out_before_anything_is_believed() {
    let (foreign, well) = (Fake::new(2, [block(9)]), Fake::new(1, [block(7)]));
    let rpc = over(&[&foreign, &well]);
    assert_eq!(rpc.head().await.unwrap(), 7);
    assert_eq!(foreign.asked(), 0);
    let error = over(&[&foreign]).head().await.unwrap_err();
    assert!(matches!(error, ChainError::Lied { lie: Lie::Chain { expected: 1, .. }, .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn lying_by_going_back_is_noticed_and_another_is_asked() {
    let (rewound, well) = (Fake::new(1, [block(1_000), block(3)]), Fake::new(1, [block(1_001)]));
    let rpc = over(&[&rewound, &well]);
    assert_eq!(rpc.head().await.unwrap(), 1_000);
    assert_eq!(rpc.head().await.unwrap(), 1_001);
}

#[tokio::test(start_paused = true)]
async fn patience_ends_and_says_what_each_did_without_its_address() {
    let (broken, slow) = (Fake::new(1, [Does::Break]), Fake::new(1, [Does::Hang]));
    let began = Instant::now();
    let error = over(&[&broken, &slow]).head().await.unwrap_err();
    let ChainError::Unreachable { tried, .. } = &error else { panic!("{error}") };
    assert!(tried.contains("rpc0: no connection") && tried.contains("rpc1: no answer within"), "{tried}");
    assert!(!error.to_string().contains("secret"));
    assert!(began.elapsed() <= Patience::default().request + Patience::default().answer);
}
