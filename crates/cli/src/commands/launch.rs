//! `mlxm launch`: configure a program for the gateway, and start it.

mod files;
mod jsonc;
mod record;
mod undo;

use std::fmt::Write as _;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use clap::Args;
use mlxm_api::gateway::client_setup_with_key;
use mlxm_api::wire::aliases::AliasRequest;
use mlxm_api::wire::clients::{Client, ClientQuery, ClientSetup, ClientSnippet, ClientVariable};
use mlxm_hub::names;
use serde::Serialize;

use self::record::{Access, Record, SetAlias};
use crate::complete;
use crate::context::Context;
use crate::failure::Failure;
use crate::gateway::{Gateway, GatewayArguments};
use crate::output::{Report, Section};

const EXAMPLES: &str = "\
CLIENT is one of the list that `mlxm launch` prints, or the start of its name. Its files are changed where it has others, with a copy \
of each; values that are not about the gateway remain. The gateway is started in the background if none is running.

Examples:
  mlxm launch                            the clients
  mlxm launch claude --model Qwen3-Coder-30B --fast Qwen3-4B
  mlxm launch codex -- exec \"Explain this project.\"
  mlxm launch zed --config               writes the configuration, and starts nothing
  mlxm launch goose --print              prints it, and changes nothing
  mlxm launch claude --undo              as it was before";

/// Configure a program for the gateway, and start it
#[derive(Debug, Args)]
#[command(visible_alias = "connect", after_help = EXAMPLES)]
pub struct Launch {
    /// Client, such as claude-code; without one, all are listed
    client: Option<String>,

    /// Profile or local model [default: one in memory, else the first profile or model]
    #[arg(long, value_name = "NAME", add = complete::startable())]
    model: Option<String>,

    /// Profile or local model for small tasks, where the client has such a role [default: that of --model]
    #[arg(long, value_name = "NAME", add = complete::startable())]
    fast: Option<String>,

    /// Write the configuration, and start nothing
    #[arg(long)]
    config: bool,

    /// Print the configuration, and change nothing
    #[arg(long, conflicts_with = "config")]
    print: bool,

    /// Restore the files and aliases as they were before
    #[arg(long, conflicts_with_all = ["config", "print", "model", "fast", "arguments"])]
    undo: bool,

    /// Arguments for the program
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,

    #[command(flatten)]
    gateway: GatewayArguments,
}

/// The clients.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Clients(Vec<Client>);

impl Report for Clients {
    fn sections(&self) -> Vec<Section> {
        let mut table = Section::table(&["client", "name", "what it is"]);
        for client in &self.0 {
            table.row([
                client.id.clone(),
                client.name.clone(),
                client.description.clone(),
            ]);
        }
        vec![table]
    }

    fn quiet_lines(&self) -> Vec<String> {
        self.0.iter().map(|client| client.id.clone()).collect()
    }
}

/// A configuration as it is printed.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Printed(ClientSetup);

impl Report for Printed {
    fn sections(&self) -> Vec<Section> {
        let setup = &self.0;
        let files = setup.files.iter().filter(|file| !file.is_written_by_setup);
        let mut sections: Vec<Section> = files
            .map(|file| Section::sentence(format!("{}\n\n{}", files::shown(file), file.content)))
            .collect();
        if !setup.environment.is_empty() {
            let mut variables = Section::properties("Environment");
            for variable in &setup.environment {
                variables.property(&variable.name, &variable.value);
            }
            sections.push(variables);
        }
        let commands = setup.setup.iter().chain(&setup.start);
        sections
            .extend(commands.map(|command| Section::sentence(format!("$ {}", command.join(" ")))));
        sections.extend(code(&setup.snippets));
        sections.extend(setup.notes.iter().map(Section::sentence));
        sections
    }

    fn quiet_lines(&self) -> Vec<String> {
        let contents = self.0.files.iter().map(|file| file.content.clone());
        let snippets = self.0.snippets.iter().map(|snippet| snippet.text.clone());
        contents.chain(snippets).collect()
    }
}

fn code(snippets: &[ClientSnippet]) -> impl Iterator<Item = Section> {
    let snippets = snippets.iter();
    snippets.map(|snippet| Section::sentence(format!("{}\n\n{}", snippet.title, snippet.text)))
}

/// What was written.
#[derive(Debug, Serialize)]
struct Configured {
    client: String,
    name: String,
    model: Option<String>,
    files: Vec<ConfiguredFile>,
    aliases: Vec<AliasRequest>,
    environment: Vec<ClientVariable>,
    start: Option<Vec<String>>,
    snippets: Vec<ClientSnippet>,
}

#[derive(Debug, Serialize)]
struct ConfiguredFile {
    path: String,
    backup: Option<String>,
    /// Where the version is that was changed since the last launch.
    kept: Option<String>,
}

impl From<files::Written> for ConfiguredFile {
    fn from(file: files::Written) -> Self {
        let shown = |path: PathBuf| path.display().to_string();
        Self {
            path: shown(file.path),
            backup: file.backup.map(shown),
            kept: file.kept.map(shown),
        }
    }
}

impl Configured {
    /// In sentences.
    fn lines(&self) -> Vec<String> {
        let model = self.model.as_deref().unwrap_or_default();
        let mut lines = vec![format!("{} uses {model}", self.name)];
        for file in &self.files {
            let mut line = format!("wrote {}", file.path);
            if let Some(backup) = &file.backup {
                let _ = write!(line, "; it was before: {backup}");
            }
            if let Some(kept) = &file.kept {
                let _ = write!(line, "; your changes since are in {kept}");
            }
            lines.push(line);
        }
        for alias in &self.aliases {
            lines.push(format!("{} stands for {}", alias.name, alias.target));
        }
        if !self.files.is_empty() || !self.aliases.is_empty() {
            lines.push(format!("`mlxm launch {} --undo` restores it", self.client));
        }
        lines
    }
}

impl Report for Configured {
    fn sections(&self) -> Vec<Section> {
        let mut sections = vec![Section::sentence(self.lines().join("\n"))];
        if let Some(start) = &self.start {
            let variables = self.environment.iter();
            let variables = variables.map(|each| format!("{}={} ", each.name, each.value));
            let command = format!("{}{}", variables.collect::<String>(), start.join(" "));
            sections.push(Section::sentence(format!("Start it with\n  {command}")));
        }
        sections.extend(code(&self.snippets));
        sections
    }

    fn quiet_lines(&self) -> Vec<String> {
        self.files.iter().map(|file| file.path.clone()).collect()
    }
}

impl Launch {
    /// Configures the client and becomes its process.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        if self.undo {
            return undo::undo(context, self.client.as_deref(), &self.gateway);
        }
        let gateway = self.gateway.find_or_start(context)?;
        let clients = gateway.clients()?;
        let Some(wanted) = &self.client else {
            context.output.report(&Clients(clients))?;
            return Ok(());
        };
        let ids: Vec<&str> = clients.iter().map(|client| client.id.as_str()).collect();
        let id = find(&ids, wanted)?.to_owned();
        let setup = self.setup(&gateway, &id)?;
        for problem in &setup.problems {
            context
                .output
                .warn(&format!("{} {}", problem.message, problem.advice));
        }
        if self.print {
            context.output.report(&Printed(setup))?;
            return Ok(());
        }
        if setup.model.is_none() {
            let hint = "run `mlxm search` to find a model and `mlxm pull` to download it";
            return Err(Failure::with_hint("there is no model to use", hint).into());
        }
        let url = self.gateway.other_url()?;
        let configured = configure(&gateway, url.as_deref(), &setup)?;
        let starts = setup.start.as_ref().filter(|_| !self.config);
        let Some(start) = starts else {
            context.output.report(&configured)?;
            return Ok(());
        };
        for line in configured.lines() {
            context.output.note(&line);
        }
        // Its connections are not those of the program.
        drop(gateway);
        self.start(&setup, start)
    }

    /// The configuration, with the key.
    fn setup(&self, gateway: &Gateway, id: &str) -> anyhow::Result<ClientSetup> {
        let query = ClientQuery {
            model: self.model.clone(),
            fast: self.fast.clone(),
            url: Some(gateway.url()),
        };
        let setup = gateway.client_setup(id, &query)?;
        if self.fast.is_some() && !setup.client.has_fast_model {
            let message = format!("{} uses one model: omit --fast", setup.client.name);
            return Err(Failure::Usage(message).into());
        }
        let key = self.gateway.key().filter(|_| setup.key.is_required);
        if setup.key.is_required && key.is_none() && !self.print {
            return Err(Failure::with_hint(
                "the gateway has an API key, which the client needs",
                "set MLXM_API_KEY to it, or use --api-key",
            )
            .into());
        }
        client_setup_with_key(&setup, key.as_deref()).ok_or_else(|| {
            Failure::with_hint(
                format!(
                    "the gateway at {} describes another configuration of {id} than this version of mlxm",
                    gateway.url()
                ),
                "use the same version for both",
            )
            .into()
        })
    }

    /// Becomes the program; returns only if that fails.
    fn start(&self, setup: &ClientSetup, command: &[String]) -> anyhow::Result<()> {
        let command = with_real_paths(setup, command)?;
        let mut process = self::command(&command)?;
        process.args(&self.arguments);
        process.envs(variables(setup));
        let error = process.exec();
        Err(not_started(&setup.client, &command, error))
    }
}

/// The id that is meant: itself, or the start of only one.
fn find<'a>(ids: &[&'a str], wanted: &str) -> Result<&'a str, Failure> {
    let wanted = wanted.to_lowercase();
    let all = ids.iter().copied();
    if let Some(id) = all.clone().find(|id| *id == wanted) {
        return Ok(id);
    }
    let mut found = all.filter(|id| id.starts_with(wanted.as_str()));
    match (found.next(), found.next()) {
        (Some(id), None) if !wanted.is_empty() => Ok(id),
        _ => {
            let known = names::list(&ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
            Err(Failure::with_hint(
                format!("there is no client `{wanted}`"),
                format!("use {known}"),
            ))
        }
    }
}

/// Sets aliases, writes files and runs the commands that configure the client. `url` is that of a gateway of another home
/// directory.
fn configure(
    gateway: &Gateway,
    url: Option<&str>,
    setup: &ClientSetup,
) -> anyhow::Result<Configured> {
    let id = &setup.client.id;
    let access = if setup.key.is_required {
        Access::Private
    } else {
        Access::Unchanged
    };
    let mut record = Record::read(id)?;
    // First: a file that cannot be changed must not leave aliases.
    let mut prepared = Vec::with_capacity(setup.files.len());
    for file in &setup.files {
        prepared.push(files::prepare(file, &record)?);
    }
    set_aliases(gateway, url, setup, &mut record)?;
    let mut written = Vec::with_capacity(prepared.len());
    for file in prepared {
        written.push(ConfiguredFile::from(file.write(id, access, &mut record)?));
    }
    let outcome = setup
        .setup
        .iter()
        .try_for_each(|command| run(setup, command));
    // Also after a failure: the key can be in it.
    for file in setup.files.iter().filter(|file| file.is_written_by_setup) {
        files::note_written(id, file, access, &mut record)?;
    }
    outcome?;
    Ok(Configured {
        client: id.clone(),
        name: setup.client.name.clone(),
        model: setup.model.clone(),
        files: written,
        aliases: setup.aliases.clone(),
        environment: setup.environment.clone(),
        start: setup.start.clone(),
        snippets: setup.snippets.clone(),
    })
}

/// Sets aliases, and adds what they stood for to the record.
fn set_aliases(
    gateway: &Gateway,
    url: Option<&str>,
    setup: &ClientSetup,
    record: &mut Record,
) -> anyhow::Result<()> {
    let existing = gateway.aliases()?;
    for alias in &setup.aliases {
        let previous = existing.iter().find(|known| known.name == alias.name);
        record.set_alias(SetAlias {
            name: alias.name.clone(),
            target: alias.target.clone(),
            previous: previous.map(|known| known.target.clone()),
            gateway: url.map(str::to_owned),
        });
        record.write(&setup.client.id)?;
        gateway.set_alias(alias)?;
    }
    Ok(())
}

/// Runs a command that configures the client. Its output is for the user, apart from that of mlxm.
fn run(setup: &ClientSetup, command: &[String]) -> anyhow::Result<()> {
    let output = self::command(command)?.envs(variables(setup)).output();
    let output = output.map_err(|error| not_started(&setup.client, command, error))?;
    if output.status.success() {
        return Ok(());
    }
    let program = command.first().map_or("", String::as_str);
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    let last = last.map(|line| format!(": {}", crate::output::visible(line)));
    Err(Failure::with_hint(
        format!(
            "`{program}` failed ({}){}",
            output.status,
            last.unwrap_or_default()
        ),
        format!(
            "`mlxm launch {} --undo` restores what was changed",
            setup.client.id
        ),
    )
    .into())
}

fn command(words: &[String]) -> anyhow::Result<Command> {
    let (program, arguments) = words.split_first().context("the command is empty")?;
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

fn variables(setup: &ClientSetup) -> impl Iterator<Item = (&String, &String)> {
    let variables = setup.environment.iter();
    variables.map(|variable| (&variable.name, &variable.value))
}

/// The command with the paths of files as they are on this machine.
fn with_real_paths(setup: &ClientSetup, command: &[String]) -> anyhow::Result<Vec<String>> {
    let mut command = command.to_vec();
    for file in &setup.files {
        let (shown, path) = (files::shown(file), files::path(file)?);
        for word in command.iter_mut().filter(|word| **word == shown) {
            *word = path.display().to_string();
        }
    }
    Ok(command)
}

fn not_started(client: &Client, command: &[String], error: io::Error) -> anyhow::Error {
    let program = command.first().map_or("", String::as_str);
    if error.kind() != io::ErrorKind::NotFound {
        return anyhow::Error::new(error).context(format!("cannot start `{program}`"));
    }
    let install = match &client.install {
        Some(install) => format!("install it with `{install}`"),
        None => format!("install {}", client.name),
    };
    Failure::with_hint(
        format!(
            "`{program}` of {} is not installed, or not in PATH",
            client.name
        ),
        install,
    )
    .into()
}
