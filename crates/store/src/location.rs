//! Where records are kept: what a URL says, and how it is named to people.

use std::fmt;
use std::path::PathBuf;

use sqlx::postgres::PgConnectOptions;

use crate::StoreError;

/// What may stand behind the `?` of a PostgreSQL URL. The driver would log others, with their values.
const PARAMETERS: [&str; 17] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// A database. It is shown without its password.
pub(crate) enum Location {
    /// A SQLite file, by its absolute path.
    File(PathBuf),
    /// A PostgreSQL server's database.
    Server(Box<PgConnectOptions>),
}

impl Location {
    /// Understands `sqlite:PATH`, a path, and `postgres://…`. No error repeats what the URL says.
    pub(crate) fn parse(url: &str) -> Result<Self, StoreError> {
        let refuse = |why: &str| Err(StoreError::BadUrl { why: why.to_owned() });
        let path = match url.split_once(':') {
            Some(("postgres" | "postgresql", rest)) => return Self::server(url, rest),
            Some(("sqlite", rest)) => rest.strip_prefix("//").unwrap_or(rest),
            // One letter is a drive.
            Some((scheme, rest)) if scheme.len() > 1 && rest.starts_with("//") => {
                return refuse(&format!("nothing is known of {scheme}://"));
            }
            _ => url,
        };
        if path.is_empty() {
            return refuse("it names no file");
        }
        if path == ":memory:" {
            return refuse("records in memory would not outlast the process");
        }
        match std::path::absolute(path) {
            Ok(path) => Ok(Self::File(path)),
            Err(error) => refuse(&format!("it is not a path: {error}")),
        }
    }

    fn server(url: &str, rest: &str) -> Result<Self, StoreError> {
        let refuse = |why: String| Err(StoreError::BadUrl { why });
        let Some(rest) = rest.strip_prefix("//") else {
            return refuse("a server's URL begins with postgres://".to_owned());
        };
        let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        if rest[authority..].contains('@') {
            // Else the end of a password would be taken for the name of a database, and shown.
            return refuse("the characters / ? # @ of a password are written %2F %3F %23 %40".to_owned());
        }
        let query = rest.split_once('?').map_or("", |(_, query)| query);
        let keys = query.split('&').filter_map(|pair| pair.split('=').next()).filter(|key| !key.is_empty());
        if let Some(unknown) = keys.into_iter().find(|key| !PARAMETERS.contains(key)) {
            return refuse(format!("nothing is known of the parameter {unknown}"));
        }
        match url.parse::<PgConnectOptions>() {
            Ok(options) => Ok(Self::Server(Box::new(options))),
            Err(error) => refuse(error.to_string()),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Server(options) => {
                write!(f, "postgres://{}@", options.get_username())?;
                match options.get_socket() {
                    Some(socket) => write!(f, "{}", socket.display())?,
                    None => write!(f, "{}:{}", options.get_host(), options.get_port())?,
                }
                write!(f, "/{}", options.get_database().unwrap_or(options.get_username()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        match Location::parse(url) {
            Ok(location) => location.to_string(),
            Err(error) => format!("refused: {error}"),
        }
    }

    #[test]
    fn files_are_told_from_servers() {
        for url in ["sqlite:pool.db", "sqlite://pool.db", "pool.db"] {
            let Ok(Location::File(path)) = Location::parse(url) else { panic!("{url}") };
            assert!(path.is_absolute() && path.ends_with("pool.db"), "{url}");
        }
        assert!(matches!(Location::parse("C://pool.db"), Ok(Location::File(_))));
        assert_eq!(shown("postgresql://ann@db.example/pool"), "postgres://ann@db.example:5432/pool");
        assert_eq!(shown("postgres://ann@%2Frun%2Fpg/pool"), "postgres://ann@/run/pg/pool");
        for refused in
            ["", "sqlite:", "sqlite::memory:", "mysql://ann@db/pool", "postgres:db", "postgres://a@b/c?sslmod=x"]
        {
            assert!(shown(refused).starts_with("refused: "), "{refused}");
        }
    }

    #[test]
    fn no_password_is_ever_shown() {
        for url in [
            "postgres://ann:hush@db.example/pool",
            "postgres://ann:hush@db.example:99999/pool",
            "postgres://ann:12/hush@db.example/pool",
            "postgres://ann:12?hush@db.example/pool",
            "postgres://ann@db.example/pool?password=hush",
            "postgres://ann@db.example/pool?passwd=hush",
            "mysql://ann:hush@db.example/pool",
        ] {
            assert!(!shown(url).contains("hush"), "{}", shown(url));
        }
    }
}
