//! The table of nodes, among real ones.

use computepool_core::FaultCode;
use computepool_transport::{NetworkOptions, RelayLimits};

use crate::support::{Node, Over, eventually, network_options, soon};

/// A node that answers the table's queries, and some that only ask; each knows the first alone.
async fn circle(others: usize) -> (Node, Vec<Node>) {
    let options = NetworkOptions { kad: true, ..network_options(Over::Tcp) };
    let centre = Node::start_on(NetworkOptions { relay_server: Some(RelayLimits::default()), ..options.clone() }).await;
    let mut nodes = Vec::new();
    for _ in 0..others {
        let node = Node::start_on(options.clone()).await;
        soon(node.network.dial(centre.id(), &centre.network.addresses())).await.unwrap();
        nodes.push(node);
    }
    (centre, nodes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_find_who_has_something_and_where_each_other_is() {
    let (centre, nodes) = circle(3).await;
    let [one, two, three] = nodes.as_slice() else { unreachable!() };
    let key = [7; 32];
    assert!(soon(three.network.providers(key)).await.is_empty());
    one.network.provide(key).await.unwrap();
    two.network.provide(key).await.unwrap();
    let mut both = vec![one.id().clone(), two.id().clone()];
    both.sort_unstable();
    eventually(async || {
        let mut found = three.network.providers(key).await;
        found.sort_unstable();
        found == both
    })
    .await;
    eventually(async || one.network.providers(key).await == [two.id().clone()]).await;
    assert!(soon(three.network.providers([8; 32])).await.is_empty());

    eventually(async || three.network.find(one.id()).await == one.network.addresses()).await;
    assert!(three.network.path(one.id()).is_none(), "nobody had to dial anybody for that");
    soon(three.network.connect(one.id(), &three.network.find(one.id()).await)).await.unwrap();
    let nobody = Node::start(Over::Tcp).await;
    assert!(soon(three.network.find(nobody.id())).await.is_empty());
    assert_eq!(centre.network.refusals().records, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_provided_before_anybody_is_known_is_told_later() {
    let options = NetworkOptions { kad: true, ..network_options(Over::Tcp) };
    let early = Node::start_on(options).await;
    early.network.provide([1; 32]).await.unwrap();
    let (centre, nodes) = circle(1).await;
    soon(early.network.dial(centre.id(), &centre.network.addresses())).await.unwrap();
    eventually(async || nodes[0].network.providers([1; 32]).await == [early.id().clone()]).await;
    early.network.stop_providing([1; 32]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_outside_the_table_says_so() {
    let node = Node::start(Over::Tcp).await;
    assert_eq!(node.network.provide([1; 32]).await.unwrap_err().code, FaultCode::InvalidRequest);
    assert!(soon(node.network.providers([1; 32])).await.is_empty());
    assert!(soon(node.network.find(node.id())).await.is_empty());
    assert!(node.network.lan_peers().is_empty());
}
