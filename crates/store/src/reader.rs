//! The ledger, read by others than the one who writes it.

use computepool_core::NodeId;
use computepool_core::ports::LedgerEntry;

use crate::connection::Connection;
use crate::location::Location;
use crate::{StoreError, records, schema};

const ORCHESTRATORS: &str = "SELECT orchestrator FROM orchestrators ORDER BY orchestrator";

/// Reads the ledgers in a database, also while their orchestrators run. It changes nothing and claims nothing.
pub struct LedgerReader {
    connection: Connection,
    location: Location,
}

impl LedgerReader {
    /// Opens the database that `url` names (see the [crate]'s documentation). It must be there, in the present layout.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let location = Location::parse(url)?;
        if let Location::File(path) = &location
            && !path.exists()
        {
            let why = "there is no such file".to_owned();
            return Err(StoreError::Unreachable { database: location.to_string(), why });
        }
        let mut connection = Connection::open_to_read(&location).await?;
        schema::is_present(&mut connection).await?;
        Ok(Self { connection, location })
    }

    /// What the database is called, without its password.
    pub fn database(&self) -> String {
        self.location.to_string()
    }

    /// The orchestrators whose records are in it.
    pub async fn orchestrators(&mut self) -> Result<Vec<NodeId>, StoreError> {
        let rows = self.connection.rows(ORCHESTRATORS, &[]).await?;
        let names: Result<Vec<NodeId>, _> = rows.iter().map(|row| row.parsed(0)).collect();
        names.map_err(|unsound| self.connection.damaged("orchestrators", &unsound))
    }

    /// Entries of an orchestrator after the first `skip`, in the order in which they were written; at most `limit`.
    pub async fn page(&mut self, of: &NodeId, skip: u64, limit: u32) -> Result<Vec<LedgerEntry>, StoreError> {
        records::page(&mut self.connection, of, skip, limit).await
    }
}
