//! Reading everything that is still true.

use computepool_core::ports::{NodeRecord, PlaceRecord, Record, SessionRecord};
use computepool_core::{ContentHash, FaultCode, LayerRange, NodeId, Sealed};

use crate::StoreError;
use crate::connection::{Connection, Row, Unsound, Value};

const NODES: &str =
    "SELECT node, advert, signature, seen_ms, strikes, slowness FROM nodes WHERE orchestrator = $1 ORDER BY node";
const PLACES: &str = "SELECT p.model, p.place, p.first_layer, p.end_layer, h.node, COALESCE(h.assignment, 0) \
    FROM places p LEFT JOIN holders h \
    ON h.orchestrator = p.orchestrator AND h.model = p.model AND h.place = p.place \
    WHERE p.orchestrator = $1 ORDER BY p.model, p.place, h.holder";
const SESSIONS: &str =
    "SELECT session, client, model, expires_ms FROM sessions WHERE orchestrator = $1 ORDER BY session";
const GENERATIONS: &str = "SELECT generation, session, began_ms, ended_ms, COALESCE(tokens, 0), fault FROM generations \
    WHERE orchestrator = $1 ORDER BY began_ms, generation";

/// The records of an orchestrator: nodes, places, sessions, then generations from the oldest on. Nobody else writes
/// them, so that four queries see one state.
pub(crate) async fn read(connection: &mut Connection, of: &NodeId) -> Result<Vec<Record>, StoreError> {
    let orchestrator = [Value::Text(of.as_str())];
    let mut records = Vec::new();
    for (table, sql, add) in [
        ("nodes", NODES, node as Add),
        ("places", PLACES, place as Add),
        ("sessions", SESSIONS, session as Add),
        ("generations", GENERATIONS, generation as Add),
    ] {
        for row in connection.rows(sql, &orchestrator).await? {
            add(&mut records, &row).map_err(|unsound| connection.damaged(table, &unsound))?;
        }
    }
    Ok(records)
}

/// Adds what a row says to the records.
type Add = fn(&mut Vec<Record>, &Row) -> Result<(), Unsound>;

fn node(records: &mut Vec<Record>, row: &Row) -> Result<(), Unsound> {
    records.push(Record::Node(NodeRecord {
        advert: Sealed { body: row.bytes(1)?, by: row.parsed(0)?, signature: row.bytes(2)? },
        seen_ms: row.number(3)?,
        strikes: row.number(4)?,
        slowness: row.number(5)?,
    }));
    Ok(())
}

/// A row for each holder, or one without a holder; rows of a place and places of a model come one after another.
fn place(records: &mut Vec<Record>, row: &Row) -> Result<(), Unsound> {
    let model: ContentHash = row.parsed(0)?;
    let place: usize = row.number(1)?;
    let layers = LayerRange::new(row.number(2)?, row.number(3)?)?;
    if !matches!(records.last(), Some(Record::Places { model: last, .. }) if *last == model) {
        records.push(Record::Places { model, places: Vec::new() });
    }
    let Some(Record::Places { places, .. }) = records.last_mut() else { return Ok(()) };
    if places.len() == place {
        places.push(PlaceRecord { layers, holders: Vec::new() });
    }
    let out_of_order = Unsound::Range(row.integer(1)?);
    let known = places.last_mut().filter(|last| last.layers == layers).ok_or(out_of_order)?;
    if let Some(holder) = row.maybe_text(4)? {
        known.holders.push((holder.parse()?, row.number(5)?));
    }
    Ok(())
}

fn session(records: &mut Vec<Record>, row: &Row) -> Result<(), Unsound> {
    records.push(Record::Session(SessionRecord {
        session: row.parsed(0)?,
        client: row.parsed(1)?,
        model: row.parsed(2)?,
        expires_ms: row.number(3)?,
    }));
    Ok(())
}

fn generation(records: &mut Vec<Record>, row: &Row) -> Result<(), Unsound> {
    let generation = row.parsed(0)?;
    records.push(Record::GenerationBegan { generation, session: row.parsed(1)?, at_ms: row.number(2)? });
    if row.maybe_integer(3)?.is_some() {
        let fault = row.maybe_text(5)?.map(|code| fault(&code));
        records.push(Record::GenerationEnded { generation, at_ms: row.number(3)?, tokens: row.number(4)?, fault });
    }
    Ok(())
}

/// A code that only another version knows is still a fault.
fn fault(code: &str) -> FaultCode {
    FaultCode::ALL.iter().copied().find(|known| known.as_str() == code).unwrap_or(FaultCode::Internal)
}
