//! Everything that a page can ask for, in one table: its names are the only ones there are, its arguments the only ones
//! that are read, and the TypeScript of the page is made from it.
//!
//! A command's arguments are refused as a whole where a field is missing, unknown or of another type. What a command
//! changes is written down before it answers.

mod consent;
mod owner;
mod typescript;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;

pub use typescript::typescript;

use super::wire::{ConsentCard, ConsentRecord, Status};
use super::{Desktop, Settings, unknown};
use computepool_core::{Fault, FaultCode};

/// No arguments.
#[derive(Clone, Copy, Debug, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The longest arguments that are read, in bytes.
pub const MAX_ARGUMENTS: usize = 1024 * 1024;

macro_rules! table {
    ($($(#[doc = $doc:literal])+ $name:ident($arguments:ty) -> $result:ty = $run:path;)+) => {
        /// The names of all commands.
        pub const COMMANDS: &[&str] = &[$(stringify!($name)),+];

        impl Desktop {
            /// Runs a command by its name.
            pub async fn call(&self, name: &str, arguments: Value) -> Result<Value, Fault> {
                match name {
                    $(stringify!($name) => {
                        let arguments: $arguments = read(name, arguments)?;
                        let result: $result = $run(self, arguments).await?;
                        write(&result)
                    })+
                    other => Err(unknown(format!("there is no command {other:.40?}"))),
                }
            }
        }

        fn each_command(mut each: impl FnMut(typescript::Command)) {
            $(each(typescript::Command::of::<$arguments, $result>(stringify!($name), &[$($doc),+]));)+
        }
    };
}

table! {
    /// The status that tray, window and page show.
    status(Nothing) -> Status = owner::status;
    /// Flips Earn.
    earn_set(owner::Earn) -> Status = owner::earn_set;
    /// Pauses sharing, for a while or until it is resumed.
    pause(owner::PauseFor) -> Status = owner::pause;
    /// Ends a pause.
    resume(Nothing) -> Status = owner::resume;
    /// All settings.
    settings_get(Nothing) -> Settings = owner::settings_get;
    /// Puts these in place of all settings, or none of them.
    settings_set(owner::NewSettings) -> Settings = owner::settings_set;
    /// What can be agreed to, and whether it is.
    consents(Nothing) -> Vec<ConsentCard> = consent::cards;
    /// Agrees to the text that `consents` gave.
    consent_give(consent::Given) -> Vec<ConsentCard> = consent::give;
    /// Takes an agreement back.
    consent_revoke(consent::Revoked) -> Vec<ConsentCard> = consent::revoke;
    /// Everything that was ever agreed to or taken back, oldest first.
    consent_history(Nothing) -> Vec<ConsentRecord> = consent::history;
}

fn read<T: DeserializeOwned>(name: &str, arguments: Value) -> Result<T, Fault> {
    // A command without arguments may be called without any.
    let arguments = if arguments.is_null() { Value::Object(serde_json::Map::new()) } else { arguments };
    serde_json::from_value(arguments)
        .map_err(|error| Fault::new(FaultCode::InvalidRequest, format!("the arguments of {name} do not do: {error}")))
}

fn write<T: Serialize>(result: &T) -> Result<Value, Fault> {
    serde_json::to_value(result)
        .map_err(|error| Fault::new(FaultCode::Internal, format!("the answer cannot be written: {error}")))
}
