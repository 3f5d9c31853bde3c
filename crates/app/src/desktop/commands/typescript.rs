//! The page's types, made from the table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ts_rs::{Config, TS, TypeVisitor};

use super::super::wire::{HostEvent, Problem};

/// A command as TypeScript sees it.
pub(super) struct Command {
    name: &'static str,
    doc: String,
    arguments: String,
    result: String,
    types: BTreeMap<String, String>,
}

struct Collect<'a> {
    config: &'a Config,
    types: &'a mut BTreeMap<String, String>,
}

impl TypeVisitor for Collect<'_> {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        collect::<T>(self.config, self.types);
    }
}

/// A type and all that it is made of.
fn collect<T: TS + 'static + ?Sized>(config: &Config, types: &mut BTreeMap<String, String>) {
    // Only what is declared has a file of its own; the rest is part of the language.
    let name = T::ident(config);
    if T::output_path().is_some() && !types.contains_key(&name) {
        let docs = T::docs().unwrap_or_default();
        types.insert(name, format!("{docs}export {}\n", T::decl(config)));
    }
    T::visit_dependencies(&mut Collect { config, types });
}

impl Command {
    pub(super) fn of<A: TS + 'static, R: TS + 'static>(name: &'static str, doc: &[&str]) -> Self {
        let config = Config::new();
        let mut types = BTreeMap::new();
        collect::<A>(&config, &mut types);
        collect::<R>(&config, &mut types);
        R::visit_generics(&mut Collect { config: &config, types: &mut types });
        let doc = doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
        Self { name, doc, arguments: A::name(&config), result: R::name(&config), types }
    }
}

/// The whole of the page's types: what is in `ui/src/platform/generated/commands.ts`.
pub fn typescript() -> String {
    let config = Config::new();
    let mut types = BTreeMap::new();
    let mut table = String::new();
    super::each_command(|command| {
        types.extend(command.types);
        // Writing to a string does not fail.
        let _ = writeln!(table, "  /** {} */", command.doc);
        let _ = writeln!(table, "  {}: {{ args: {}; result: {} }};", command.name, command.arguments, command.result);
    });
    collect::<HostEvent>(&config, &mut types);
    collect::<Problem>(&config, &mut types);
    let mut text = "// Made from the table of commands in crates/app by `make bindings`. Do not edit.\n\n".to_owned();
    for declaration in types.values() {
        text.push_str(declaration);
        text.push('\n');
    }
    let _ =
        write!(text, "/** Everything that a page can ask of its host. */\nexport interface Commands {{\n{table}}}\n");
    text
}
