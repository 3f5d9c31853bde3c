//! What the owner has set, kept in a file.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use computepool_core::{Amount, Asset, Fault, FaultCode, Invite};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::paths::{make_folder, write_hint};
use crate::policy::{Pause, Rules};

/// Everything that is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, TS)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether the machine is to serve, and for whom.
    pub sharing: Sharing,
    /// When it may.
    pub rules: Rules,
    /// What answers are asked of, and what they may cost.
    pub using: Using,
    /// What the application looks like.
    pub look: Look,
    /// What a kilowatt-hour costs its owner.
    pub electricity: Electricity,
    /// How far its owner is with setting it up.
    pub setup: Setup,
}

/// Whether the machine is to serve, and for whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(default, deny_unknown_fields)]
pub struct Sharing {
    /// The big switch.
    pub earn: bool,
    /// A pause that the owner asked for; it outlives restarts.
    pub pause: Option<Pause>,
    /// What others see as this machine's name.
    pub name: String,
    /// The invite link of the network to serve in.
    pub invite: Option<String>,
    /// The wallet that is paid; nobody is where there is none.
    pub wallet: Option<String>,
    /// What a session must pay for the whole model at least, an hour, in USDC.
    pub least_per_hour: String,
    /// Processor threads for the engine; all but one where none are given.
    pub threads: Option<u32>,
    /// MiB of memory that are offered; what is free, less the reserve, where nothing is given.
    pub memory_mb: Option<u32>,
    /// GB of disk for weights that others hand over.
    pub disk_gb: Option<u32>,
}

/// What answers are asked of, and what they may cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(default, deny_unknown_fields)]
pub struct Using {
    /// The base address of an OpenAI-compatible endpoint, ending in `/v1`.
    pub endpoint: Option<String>,
    /// The wallet that pays for answers.
    pub wallet: Option<String>,
    /// The most that one session may cost, in USDC.
    pub most_per_session: Option<String>,
    /// The most that a session may cost an hour, in USDC.
    pub most_per_hour: Option<String>,
    /// The port of this machine's own endpoint for programs; the usual one where none is named.
    pub port: Option<u16>,
}

/// What the application looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(default, deny_unknown_fields)]
pub struct Look {
    /// Light, dark, or as the system has it.
    pub theme: Theme,
    /// A language by its BCP 47 tag; the system's where none is named.
    pub language: Option<String>,
    /// Keeps what was earned out of the tray.
    pub hide_earnings: bool,
    /// Shows all settings.
    pub advanced: bool,
    /// The owner was told that closing the window does not end the application.
    pub told_of_tray: bool,
}

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// As the system has it.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// What electricity costs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(default, deny_unknown_fields)]
pub struct Electricity {
    /// US dollars for a kilowatt-hour, as a decimal number; forecasts are not net of it where it is not known.
    pub usd_per_kwh: Option<String>,
}

/// How far its owner is with setting it up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(default, deny_unknown_fields)]
pub struct Setup {
    /// The step to go on with, from 0.
    pub step: u8,
    /// It is done, or was skipped.
    pub done: bool,
    /// What the owner wants of it.
    pub intent: Option<Intent>,
}

/// What an owner wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// Ask.
    Use,
    /// Serve.
    Share,
    /// Both.
    Both,
}

const MAX_NAME: usize = 64;
const MAX_TEXT: usize = 4096;

impl Settings {
    /// Whether they make sense.
    pub fn check(&self) -> Result<(), Fault> {
        let bad = |what: String| Err(Fault::new(FaultCode::InvalidRequest, what));
        self.rules.check().map_err(|error| Fault::new(FaultCode::InvalidRequest, error.to_string()))?;
        let sharing = &self.sharing;
        if sharing.name.chars().count() > MAX_NAME || sharing.name.chars().any(char::is_control) {
            return bad(format!("a machine's name has up to {MAX_NAME} characters, and no control characters"));
        }
        if let Some(invite) = &sharing.invite {
            invite.parse::<Invite>()?;
        }
        if !sharing.least_per_hour.is_empty() {
            dollars("the least pay an hour", &sharing.least_per_hour)?;
        }
        if sharing.threads == Some(0) || sharing.threads.is_some_and(|threads| threads > 1024) {
            return bad("an engine has between 1 and 1024 threads".to_owned());
        }
        if let Some(endpoint) = &self.using.endpoint {
            let web = endpoint.starts_with("http://") || endpoint.starts_with("https://");
            if !web || endpoint.len() > MAX_TEXT || reqwest::Url::parse(endpoint).is_err() {
                return bad("an endpoint's address begins with http:// or https:// and ends in /v1".to_owned());
            }
        }
        if self.using.port.is_some_and(|port| port < 1024) {
            return bad("ports below 1024 are the system's: name one between 1024 and 65535".to_owned());
        }
        for most in [&self.using.most_per_session, &self.using.most_per_hour].into_iter().flatten() {
            dollars("the most for a session", most)?;
        }
        if let Some(price) = &self.electricity.usd_per_kwh {
            dollars("the price of electricity", price)?;
        }
        for name in [&sharing.wallet, &self.using.wallet].into_iter().flatten() {
            name.parse::<computepool_wallet::WalletName>()
                .map_err(|error| Fault::new(FaultCode::InvalidRequest, error.to_string()))?;
        }
        if self.look.language.as_ref().is_some_and(|tag| tag.len() > MAX_NAME) {
            return bad("this is no language tag".to_owned());
        }
        Ok(())
    }
}

fn dollars(what: &str, text: &str) -> Result<(), Fault> {
    let amount = Amount::parse(text, Asset::Usdc);
    amount.map(|_| ()).map_err(|error| Fault::new(FaultCode::InvalidRequest, format!("{what}: {error}")))
}

/// The file of settings.
#[derive(Clone, Debug)]
pub struct SettingsFile {
    path: PathBuf,
}

/// Settings as they were found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// What holds.
    pub settings: Settings,
    /// What was wrong with the file, and where it was put aside.
    pub trouble: Option<String>,
}

impl SettingsFile {
    /// In a folder.
    pub fn within(folder: &Path) -> Self {
        Self { path: folder.join("settings.toml") }
    }

    /// Reads it. A file that cannot be understood is put aside, never overwritten, and the defaults hold: those share
    /// nothing.
    pub fn read(&self) -> Result<Found, Fault> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Found { settings: Settings::default(), trouble: None });
            }
            Err(error) if error.kind() == ErrorKind::InvalidData => String::from("\u{0}"),
            Err(error) => return Err(self.failed("cannot be read", &error)),
        };
        let parsed = toml::from_str::<Settings>(&text).map_err(|error| error.message().to_owned());
        let checked = parsed.and_then(|settings| settings.check().map(|()| settings).map_err(|fault| fault.message));
        match checked {
            Ok(settings) => Ok(Found { settings, trouble: None }),
            Err(why) => {
                let aside = self.path.with_extension("toml.bad");
                std::fs::rename(&self.path, &aside).map_err(|error| self.failed("cannot be put aside", &error))?;
                let trouble = format!("the settings could not be used ({why}); they are kept in {}", aside.display());
                tracing::warn!("{trouble}");
                Ok(Found { settings: Settings::default(), trouble: Some(trouble) })
            }
        }
    }

    /// Writes it, whole or not at all.
    pub fn write(&self, settings: &Settings) -> Result<(), Fault> {
        let text = toml::to_string_pretty(settings).map_err(|error| {
            Fault::new(FaultCode::Internal, format!("the settings cannot be written down: {error}"))
        })?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        make_folder(folder)?;
        let written = || -> std::io::Result<()> {
            let mut fresh = std::fs::File::create(self.path.with_extension("toml.new"))?;
            fresh.write_all(text.as_bytes())?;
            fresh.sync_all()?;
            std::fs::rename(self.path.with_extension("toml.new"), &self.path)
        };
        written().map_err(|error| self.failed("cannot be written", &error))
    }

    fn failed(&self, what: &str, error: &std::io::Error) -> Fault {
        Fault::new(FaultCode::Io, format!("{} {what}: {error}", self.path.display())).hint(write_hint(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_defaults_share_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = SettingsFile::within(&folder.path().join("new"));
        assert_eq!(file.read().unwrap(), Found { settings: Settings::default(), trouble: None });
        assert!(!Settings::default().sharing.earn);
        let pause = Pause { until_ms: Some(1_700_000_000_000), finish: true };
        let sharing = Sharing { earn: true, name: "den".into(), pause: Some(pause), ..Sharing::default() };
        let schedule = vec![crate::policy::Span { days: [true; 7], from: 0, to: 60 }];
        let settings = Settings { sharing, rules: Rules { schedule, ..Rules::default() }, ..Settings::default() };
        file.write(&settings).unwrap();
        assert_eq!(file.read().unwrap().settings, settings);
    }

    #[test]
    fn a_file_that_makes_no_sense_is_put_aside_and_nothing_is_shared() {
        for text in ["sharing = 7", "\u{0}", "[sharing]\nearn = true\nsurprise = 1", "[rules]\nmax_fan_percent = 250"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("settings.toml");
            std::fs::write(&path, text).unwrap();
            let found = SettingsFile::within(folder.path()).read().unwrap();
            assert_eq!(found.settings, Settings::default());
            assert!(found.trouble.is_some());
            assert_eq!(std::fs::read_to_string(path.with_extension("toml.bad")).unwrap(), text);
            assert!(!path.exists());
        }
    }

    #[test]
    fn what_cannot_be_written_leaves_what_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = SettingsFile::within(folder.path());
        file.write(&Settings::default()).unwrap();
        // A folder where the fresh file would be: no process, root included, writes over that.
        std::fs::create_dir(folder.path().join("settings.toml.new")).unwrap();
        let settings = Settings { look: Look { advanced: true, ..Look::default() }, ..Settings::default() };
        assert_eq!(file.write(&settings).unwrap_err().code, FaultCode::Io);
        assert_eq!(file.read().unwrap().settings, Settings::default());
    }

    #[test]
    fn nonsense_is_refused() {
        let with = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.check()
        };
        assert!(with(|_| ()).is_ok());
        assert!(with(|it| it.sharing.name = "a\nb".into()).is_err());
        assert!(with(|it| it.sharing.name = "x".repeat(65)).is_err());
        assert!(with(|it| it.sharing.invite = Some("http://evil".into())).is_err());
        assert!(with(|it| it.sharing.least_per_hour = "-1".into()).is_err());
        assert!(with(|it| it.using.endpoint = Some("file:///etc/passwd".into())).is_err());
        assert!(with(|it| it.sharing.wallet = Some("../../x".into())).is_err());
        assert!(with(|it| it.electricity.usd_per_kwh = Some("cheap".into())).is_err());
        assert!(with(|it| it.rules.max_fan_percent = Some(200)).is_err());
    }
}
