//! Writing records. Later ones replace earlier ones of the same thing.

use computepool_core::ports::{NodeRecord, PlaceRecord, Record, SessionRecord};
use computepool_core::{ContentHash, NodeId, SessionId};

use super::advert::Shown;
use crate::StoreError;
use crate::connection::{Connection, Value};

use Value::{Bytes, Integer, MaybeInteger, MaybeText, Text};

const PUT_NODE: &str = "INSERT INTO nodes (orchestrator, node, name, device, reach, memory_bytes, price_per_hour, \
    expires_ms, seen_ms, strikes, slowness, advert, signature) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
    ON CONFLICT (orchestrator, node) DO UPDATE SET name = excluded.name, device = excluded.device, \
    reach = excluded.reach, memory_bytes = excluded.memory_bytes, price_per_hour = excluded.price_per_hour, \
    expires_ms = excluded.expires_ms, seen_ms = excluded.seen_ms, strikes = excluded.strikes, \
    slowness = excluded.slowness, advert = excluded.advert, signature = excluded.signature";
const DROP_NODE: &str = "DELETE FROM nodes WHERE orchestrator = $1 AND node = $2";

const DROP_PLACES: &str = "DELETE FROM places WHERE orchestrator = $1 AND model = $2";
const DROP_HOLDERS: &str = "DELETE FROM holders WHERE orchestrator = $1 AND model = $2";
const PUT_PLACE: &str =
    "INSERT INTO places (orchestrator, model, place, first_layer, end_layer) VALUES ($1, $2, $3, $4, $5)";
const PUT_HOLDER: &str =
    "INSERT INTO holders (orchestrator, model, place, holder, node, assignment) VALUES ($1, $2, $3, $4, $5, $6)";

const PUT_SESSION: &str = "INSERT INTO sessions (orchestrator, session, client, model, expires_ms) \
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (orchestrator, session) DO UPDATE SET client = excluded.client, \
    model = excluded.model, expires_ms = excluded.expires_ms";
const DROP_SESSION: &str = "DELETE FROM sessions WHERE orchestrator = $1 AND session = $2";
const DROP_GENERATIONS: &str = "DELETE FROM generations WHERE orchestrator = $1 AND session = $2";

const BEGIN_GENERATION: &str = "INSERT INTO generations (orchestrator, generation, session, began_ms) \
    VALUES ($1, $2, $3, $4) ON CONFLICT (orchestrator, generation) DO UPDATE SET session = excluded.session, \
    began_ms = excluded.began_ms, ended_ms = NULL, tokens = NULL, fault = NULL";
const END_GENERATION: &str = "UPDATE generations SET ended_ms = $3, tokens = $4, fault = $5 \
    WHERE orchestrator = $1 AND generation = $2";
const FORGET_OLDEST: &str = "DELETE FROM generations WHERE orchestrator = $1 AND generation IN (\
    SELECT generation FROM generations WHERE orchestrator = $1 ORDER BY began_ms DESC, generation DESC \
    LIMIT 9223372036854775807 OFFSET $2)";

/// Writes one record of an orchestrator, in the transaction that is open.
pub(crate) async fn write(connection: &mut Connection, of: &NodeId, record: &Record) -> Result<(), StoreError> {
    let orchestrator = Text(of.as_str());
    match record {
        Record::Node(node) => put_node(connection, orchestrator, node).await,
        Record::NodeLeft(node) => run(connection, DROP_NODE, &[orchestrator, Text(node.as_str())]).await,
        Record::Places { model, places } => put_places(connection, orchestrator, *model, places).await,
        Record::Session(session) => put_session(connection, orchestrator, session).await,
        Record::SessionClosed(session) => drop_session(connection, orchestrator, *session).await,
        Record::GenerationBegan { generation, session, at_ms } => {
            let (generation, session) = (generation.to_string(), session.to_string());
            let began = whole("the time a generation began", *at_ms)?;
            run(connection, BEGIN_GENERATION, &[orchestrator, Text(&generation), Text(&session), began]).await
        }
        Record::GenerationEnded { generation, at_ms, tokens, fault } => {
            let generation = generation.to_string();
            let ended = whole("the time a generation ended", *at_ms)?;
            let fault = MaybeText(fault.map(|code| code.as_str()));
            let values = [orchestrator, Text(&generation), ended, Integer(i64::from(*tokens)), fault];
            run(connection, END_GENERATION, &values).await
        }
        _ => Err(StoreError::Failed {
            database: connection.database().to_owned(),
            why: "this version has no table for one of the records".to_owned(),
        }),
    }
}

/// Keeps the newest generations of an orchestrator and forgets the others.
pub(crate) async fn forget_oldest(connection: &mut Connection, of: &NodeId, kept: u32) -> Result<(), StoreError> {
    run(connection, FORGET_OLDEST, &[Text(of.as_str()), Integer(i64::from(kept))]).await
}

async fn put_node(connection: &mut Connection, orchestrator: Value<'_>, node: &NodeRecord) -> Result<(), StoreError> {
    let shown = Shown::of(&node.advert);
    let shown = shown.as_ref();
    let values = [
        orchestrator,
        Text(node.advert.by.as_str()),
        MaybeText(shown.map(|shown| shown.name.as_str())),
        MaybeText(shown.map(|shown| shown.device.as_str())),
        MaybeText(shown.map(|shown| shown.reach)),
        MaybeInteger(shown.map(|shown| shown.memory_bytes)),
        MaybeInteger(shown.map(|shown| shown.price_per_hour)),
        MaybeInteger(shown.map(|shown| shown.expires_ms)),
        whole("the time a node was last heard of", node.seen_ms)?,
        Integer(i64::from(node.strikes)),
        Integer(i64::from(node.slowness)),
        Bytes(&node.advert.body),
        Bytes(&node.advert.signature),
    ];
    run(connection, PUT_NODE, &values).await
}

async fn put_places(
    connection: &mut Connection,
    orchestrator: Value<'_>,
    model: ContentHash,
    places: &[PlaceRecord],
) -> Result<(), StoreError> {
    let model = model.to_string();
    let model = Text(&model);
    run(connection, DROP_HOLDERS, &[orchestrator, model]).await?;
    run(connection, DROP_PLACES, &[orchestrator, model]).await?;
    for (place, record) in (0..).zip(places) {
        let (first, end) = (i64::from(record.layers.start()), i64::from(record.layers.end()));
        let values = [orchestrator, model, Integer(place), Integer(first), Integer(end)];
        run(connection, PUT_PLACE, &values).await?;
        for (holder, (node, assignment)) in (0..).zip(&record.holders) {
            let assignment = whole("the number of an assignment", *assignment)?;
            let values = [orchestrator, model, Integer(place), Integer(holder), Text(node.as_str()), assignment];
            run(connection, PUT_HOLDER, &values).await?;
        }
    }
    Ok(())
}

async fn put_session(
    connection: &mut Connection,
    orchestrator: Value<'_>,
    record: &SessionRecord,
) -> Result<(), StoreError> {
    let (session, model) = (record.session.to_string(), record.model.to_string());
    let expires = whole("the time a session ends", record.expires_ms)?;
    let values = [orchestrator, Text(&session), Text(record.client.as_str()), Text(&model), expires];
    run(connection, PUT_SESSION, &values).await
}

async fn drop_session(
    connection: &mut Connection,
    orchestrator: Value<'_>,
    session: SessionId,
) -> Result<(), StoreError> {
    let session = session.to_string();
    run(connection, DROP_GENERATIONS, &[orchestrator, Text(&session)]).await?;
    run(connection, DROP_SESSION, &[orchestrator, Text(&session)]).await
}

async fn run(connection: &mut Connection, sql: &'static str, values: &[Value<'_>]) -> Result<(), StoreError> {
    connection.execute(sql, values).await.map(drop)
}

fn whole(what: &'static str, value: u64) -> Result<Value<'static>, StoreError> {
    i64::try_from(value).map(Integer).map_err(|_| StoreError::TooLarge { what, value })
}
