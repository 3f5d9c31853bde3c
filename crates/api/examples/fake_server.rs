//! Serves a scripted model on a port, to try clients and conformance suites against: `fake_server [ADDRESS] [MODEL]`.
//!
//! Keys: `test-key`, and `limited-key`, which may ask three times a minute.

use std::num::NonZeroU32;
use std::sync::Arc;

use computepool_api::testkit::FakeInference;
use computepool_api::{ApiKey, ApiOptions, KeyDigest, KeyLimits, router, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8089".to_owned());
    let model = arguments.next().unwrap_or_else(|| "fake".to_owned());
    let limits = KeyLimits { generations: 4, per_minute: NonZeroU32::new(3), burst: None };
    let mut options = ApiOptions::default();
    options.keys =
        vec![KeyDigest::of("test-key").into(), ApiKey { digest: KeyDigest::of("limited-key"), limits: Some(limits) }];
    let listener = tokio::net::TcpListener::bind(address).await?;
    let app = router(options, Arc::new(FakeInference::answering_questions(&model)), None);
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    serve(listener, app, stop).await
}
