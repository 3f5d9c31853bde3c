//! Everything that a page can ask for, in one table: its names are the only ones there are, its arguments the only ones
//! that are read, and the TypeScript of the page is made from it.
//!
//! A command's arguments are refused as a whole where a field is missing, unknown or of another type. What a command
//! changes is written down before it answers.

mod chatting;
mod consent;
mod downloads;
mod earning;
mod money;
mod network;
mod owner;
mod programs;
mod typescript;
mod wallet;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;

pub(in crate::desktop) use earning::earner;
pub(in crate::desktop) use money::take;
pub use typescript::typescript;
pub(in crate::desktop) use wallet::name_of;

use super::threads::{Thread, ThreadHead};
use super::wire::{ConsentCard, ConsentRecord, Status};
use super::{Desktop, Settings, unknown};
use computepool_core::{Fault, FaultCode};

/// No arguments.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

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
                    other => {
                        let other: String = other.chars().take(40).collect();
                        Err(unknown(format!("there is no command {other:?}")))
                    }
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
    /// What carries the application, and what that can do.
    host(Nothing) -> owner::HostView = owner::host;
    /// Has it start when its owner logs in, or not any more.
    autostart_set(owner::Autostart) -> owner::HostView = owner::autostart_set;
    /// Hands everything over, and ends.
    quit(Nothing) -> Nothing = owner::quit;
    /// Flips Earn.
    earn_set(owner::Earn) -> Status = owner::earn_set;
    /// Pauses sharing, for a while or until it is resumed.
    pause(owner::PauseFor) -> Status = owner::pause;
    /// Ends a pause.
    resume(Nothing) -> Status = owner::resume;
    /// Puts an invite link where its owner can look at it; nothing is joined by that.
    invite_offer(owner::InviteLink) -> Status = owner::invite_offer;
    /// Takes or dismisses an invite link that was opened.
    invite_answer(owner::Invited) -> Status = owner::invite_answer;
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
    /// The wallets of this machine.
    wallets(Nothing) -> Vec<wallet::WalletView> = wallet::wallets;
    /// Makes a wallet with a new recovery phrase.
    wallet_create(wallet::NewWallet) -> wallet::WalletView = wallet::create;
    /// Brings a wallet in from a file that the host lets its owner choose: recovery words, a key, or a keystore.
    wallet_import(wallet::Importing) -> wallet::WalletView = wallet::import;
    /// Has the host show what brings a wallet back, outside the page.
    wallet_show_words(wallet::Opening) -> Nothing = wallet::show_words;
    /// Which of the words are to be given back.
    wallet_backup_question(wallet::Opening) -> wallet::AskedBack = wallet::backup_question;
    /// Gives them back: then the wallet counts as backed up.
    wallet_backup_answer(wallet::Answers) -> wallet::WalletView = wallet::backup_answer;
    /// Opens a wallet until it is locked or the application ends.
    wallet_unlock(wallet::Opening) -> Vec<wallet::WalletView> = wallet::unlock;
    /// Closes a wallet.
    wallet_lock(wallet::Named) -> Vec<wallet::WalletView> = wallet::lock;
    /// Throws a key away, where a backup of it was shown to exist.
    wallet_forget(wallet::Named) -> Vec<wallet::WalletView> = wallet::forget;
    /// What is in a wallet.
    wallet_balances(wallet::Named) -> money::BalancesView = money::balances;
    /// Play money, on a devnet.
    wallet_faucet(wallet::Named) -> money::BalancesView = money::faucet;
    /// Tries what sending would do.
    wallet_send_preview(money::Sending) -> money::Preview = money::send_preview;
    /// Sends.
    wallet_send(money::Sending) -> money::DoneView = money::send;
    /// Claims what was earned, and turns it into USDC.
    wallet_withdraw(wallet::Named) -> Vec<money::DoneView> = money::withdraw;
    /// What a wallet may spend.
    wallet_limits(wallet::Named) -> Vec<money::LimitView> = money::limits;
    /// Lets a wallet spend what suits a payer or an operator.
    wallet_limits_preset(money::Presetting) -> Vec<money::LimitView> = money::limits_preset;
    /// Sets what a wallet may spend on one thing.
    wallet_limit_set(money::NewLimit) -> Vec<money::LimitView> = money::limit_set;
    /// Sessions that a wallet has paid for from here, and how they stand on the chain.
    wallet_paid(wallet::Named) -> Vec<money::PaidView> = money::paid;
    /// Stops such a session, or gets back what is left of it, without the seller.
    wallet_paid_fetch(money::Session) -> Vec<money::DoneView> = money::paid_fetch;
    /// What the machine has earned, by the chain's word.
    earnings(Nothing) -> earning::EarningsView = earning::earnings;
    /// Writes all of it as a table into the folder for downloads.
    earnings_export(Nothing) -> earning::Written = earning::earnings_export;
    /// Measures this machine, and says what sharing might bring; how far it is comes in events.
    forecast(super::forecast::Measuring) -> super::forecast::Forecast = super::forecast::forecast;
    /// Leaves: hands over, settles, withdraws, takes agreements back, and forgets what is to be forgotten.
    leave(super::departure::Leaving) -> super::departure::Report = super::departure::leave;
    /// Deletes what is kept here beside wallets, their books, and the record of consents.
    data_delete(Nothing) -> Nothing = owner::data_delete;
    /// The network that is asked, as its orchestrator knows it.
    network(Nothing) -> network::NetworkView = network::network;
    /// The models on this machine, and how they fit it.
    models(network::Context) -> Vec<network::ModelView> = network::local_models;
    /// The folder of models, and what is on its way into it.
    downloads(Nothing) -> downloads::DownloadsView = downloads::downloads;
    /// Fetches a model, or goes on where that broke off.
    model_fetch(downloads::Fetching) -> downloads::DownloadsView = downloads::fetch;
    /// Stops fetching one; what is here of it is kept.
    model_stop(downloads::ModelFileName) -> bool = downloads::stop;
    /// Deletes one from the folder of models.
    model_delete(downloads::ModelFileName) -> downloads::DownloadsView = downloads::delete;
    /// What can be asked, and what it costs.
    offer(Nothing) -> chatting::Offer = chatting::offer;
    /// Asks. The answer comes in events.
    chat_start(chatting::Question) -> Nothing = chatting::start;
    /// Stops an answer; whether it was under way.
    chat_stop(chatting::Answer) -> bool = chatting::stop;
    /// The session that pays for answers, where one is open.
    chat_session(Nothing) -> Option<chatting::SessionMeter> = chatting::session;
    /// Ends that session: what was not used comes back.
    chat_session_close(Nothing) -> Nothing = chatting::session_close;
    /// This machine's own endpoint for programs, and their keys.
    programs(Nothing) -> programs::ProgramsView = programs::programs;
    /// Makes a key for a program. It is told this once.
    key_make(programs::NewKey) -> programs::MadeKey = programs::key_make;
    /// Takes a key back.
    key_revoke(programs::KeyName) -> programs::ProgramsView = programs::key_revoke;
    /// What programs asked, without a word of it; newest first.
    requests(Nothing) -> Vec<super::programs::log::Entry> = programs::requests;
    /// Conversations that are kept here, newest first, or those in which a text occurs.
    threads(chatting::Query) -> Vec<ThreadHead> = chatting::threads;
    /// A conversation.
    thread_get(chatting::ThreadId) -> Thread = chatting::thread_get;
    /// Keeps a conversation.
    thread_put(chatting::Keep) -> Nothing = chatting::thread_put;
    /// Deletes a conversation.
    thread_delete(chatting::ThreadId) -> Nothing = chatting::thread_delete;
}

fn read<T: DeserializeOwned>(name: &str, arguments: Value) -> Result<T, Fault> {
    // A command without arguments may be called without any.
    let arguments = if arguments.is_null() { Value::Object(serde_json::Map::new()) } else { arguments };
    // What was given is told back in the error, and may be long.
    let said = |error: serde_json::Error| error.to_string().chars().take(300).collect::<String>();
    serde_json::from_value(arguments)
        .map_err(|error| unknown(format!("the arguments of {name} do not do: {}", said(error))))
}

fn write<T: Serialize>(result: &T) -> Result<Value, Fault> {
    serde_json::to_value(result)
        .map_err(|error| Fault::new(FaultCode::Internal, format!("the answer cannot be written: {error}")))
}
