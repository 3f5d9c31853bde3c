//! The commands of a conversation.

/// A line that starts with a slash.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// List the commands.
    Help,
    /// Forget the conversation.
    Clear,
    /// Set the system message.
    System(String),
    /// List the models, or talk to another one.
    Model(String),
    /// Ask the last question again.
    Retry,
    /// Write the conversation to a file.
    Save(String),
    /// Leave.
    Quit,
    /// Something else.
    Unknown(String),
}

impl Command {
    /// What `/help` prints.
    pub(crate) const HELP: &str = "\
/clear          start a new conversation
/system TEXT    set the system message and start anew
/model [ID]     list the models, or talk to another one
/retry          ask the last question again
/save FILE      write the conversation to a file as JSON
/quit           leave (as does Ctrl-D)
Ctrl-C          stop the answer that is being written";

    /// The command in `line`, if it is one.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        let rest = line.strip_prefix('/')?;
        let (name, argument) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let argument = argument.trim().to_owned();
        Some(match name {
            "help" | "?" => Self::Help,
            "clear" | "new" => Self::Clear,
            "system" => Self::System(argument),
            "model" | "models" => Self::Model(argument),
            "retry" => Self::Retry,
            "save" if !argument.is_empty() => Self::Save(argument),
            "quit" | "exit" | "bye" => Self::Quit,
            _ => Self::Unknown(line.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_with_a_slash_are_commands() {
        assert_eq!(Command::parse("hello / there"), None);
        assert_eq!(Command::parse("/system  be brief "), Some(Command::System("be brief".to_owned())));
        assert_eq!(Command::parse("/model"), Some(Command::Model(String::new())));
        assert_eq!(Command::parse("/save"), Some(Command::Unknown("/save".to_owned())));
        assert_eq!(Command::parse("/exit"), Some(Command::Quit));
    }
}
