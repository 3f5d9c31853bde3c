//! The committed description of the interface is the one the code makes.

use computepool_api::openapi_json;
use computepool_api::testkit::FakeInference;
use serde_json::Value;

use crate::endpoint::Endpoint;

#[tokio::test]
async fn openapi_json_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let made = openapi_json();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default().replace("\r\n", "\n");
    assert!(made == committed, "crates/api/openapi.json is out of date: run this test with UPDATE_OPENAPI=1");
    let served = Endpoint::new(FakeInference::saying("ok")).get("/openapi.json").await;
    assert_eq!(served.ok(), serde_json::from_str::<Value>(&made).unwrap());
}

#[test]
fn every_route_is_described() {
    let document: Value = serde_json::from_str(&openapi_json()).unwrap();
    let mut paths: Vec<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    paths.sort_unstable();
    let routes = [
        "/health",
        "/metrics",
        "/openapi.json",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/models",
        "/v1/models/{id}",
        "/v1/network",
        "/v1/session",
    ];
    assert_eq!(paths, routes);
}
