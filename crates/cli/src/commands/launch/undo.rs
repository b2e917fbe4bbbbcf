//! `mlxm launch CLIENT --undo`: files and aliases as they were before.

use mlxm_api::wire::aliases::{Alias, AliasRequest};
use serde::Serialize;

use super::record::{self, Record, SetAlias};
use super::{files, find};
use crate::context::Context;
use crate::failure::Failure;
use crate::gateway::{Gateway, GatewayArguments};
use crate::output::{Report, Section};

/// What was restored.
#[derive(Debug, Default, Serialize)]
struct Undone {
    client: String,
    files: Vec<UndoneFile>,
    aliases: Vec<String>,
}

#[derive(Debug, Serialize)]
struct UndoneFile {
    path: String,
    /// Where the version is that was changed since.
    kept: Option<String>,
}

impl Report for Undone {
    fn sections(&self) -> Vec<Section> {
        let mut lines = vec![format!("{} is configured as before", self.client)];
        for file in &self.files {
            lines.push(match &file.kept {
                Some(kept) => format!("restored {}; your changes since are in {kept}", file.path),
                None => format!("restored {}", file.path),
            });
        }
        let aliases = self.aliases.iter();
        lines.extend(aliases.map(|name| restored_alias(name)));
        vec![Section::sentence(lines.join("\n"))]
    }

    fn quiet_lines(&self) -> Vec<String> {
        self.files.iter().map(|file| file.path.clone()).collect()
    }
}

/// Restores what was changed for a client.
pub fn undo(
    context: &Context,
    client: Option<&str>,
    gateway: &GatewayArguments,
) -> anyhow::Result<()> {
    let clients = record::clients()?;
    let ids: Vec<&str> = clients.iter().map(String::as_str).collect();
    let wanted =
        client.ok_or_else(|| Failure::Usage(format!("say which client: {}", described(&ids))))?;
    let client = find(&ids, wanted).map_err(|_| {
        Failure::with_hint(
            format!("nothing was changed for a client `{wanted}`"),
            described(&ids),
        )
    })?;
    let mut record = Record::read(client)?;
    let mut undone = Undone {
        client: client.to_owned(),
        ..Undone::default()
    };
    let url = gateway.other_url()?;
    let aliases = std::mem::take(&mut record.aliases).into_iter();
    let (here, elsewhere): (Vec<_>, Vec<_>) = aliases.partition(|alias| alias.gateway == url);
    if !here.is_empty() {
        // First: without the gateway nothing is restored, and the command can be run again.
        let gateway = gateway.require()?;
        undone.aliases = restore_aliases(&gateway, &here)?;
    }
    if let Some(alias) = elsewhere.first() {
        let failure = of_another_gateway(client, alias);
        for name in &undone.aliases {
            context.output.note(&restored_alias(name));
        }
        record.aliases = elsewhere;
        record.write(client)?;
        return Err(failure.into());
    }
    for file in &record.files {
        let kept = files::restore(client, file)?;
        undone.files.push(UndoneFile {
            path: file.path.display().to_string(),
            kept: kept.map(|path| path.display().to_string()),
        });
    }
    record.remove(client)?;
    context.output.report(&undone)?;
    Ok(())
}

fn described(ids: &[&str]) -> String {
    if ids.is_empty() {
        return "nothing was changed for any client".to_owned();
    }
    format!("files or aliases were changed for {}", ids.join(", "))
}

fn restored_alias(name: &str) -> String {
    format!("restored the alias {name}")
}

/// The error for an alias of a gateway that is not the selected one.
fn of_another_gateway(client: &str, alias: &SetAlias) -> Failure {
    let name = &alias.name;
    match &alias.gateway {
        Some(url) => Failure::with_hint(
            format!("the alias {name} was set on the gateway at {url}, which is not this one"),
            format!("run `mlxm launch {client} --undo --url {url}`"),
        ),
        None => Failure::with_hint(
            format!("the alias {name} was set on the gateway of this home directory"),
            "run the command again without --url and MLXM_HOST",
        ),
    }
}

/// Restores aliases, apart from those that stand for something else since; returns the names.
fn restore_aliases(gateway: &Gateway, aliases: &[SetAlias]) -> anyhow::Result<Vec<String>> {
    let existing = gateway.aliases()?;
    let is_ours =
        |known: &Alias, ours: &SetAlias| known.name == ours.name && known.target == ours.target;
    let mut restored = Vec::new();
    for alias in aliases {
        if !existing.iter().any(|known| is_ours(known, alias)) {
            continue;
        }
        match &alias.previous {
            Some(target) => {
                gateway.set_alias(&AliasRequest {
                    name: alias.name.clone(),
                    target: target.clone(),
                })?;
            }
            None => gateway.delete_alias(&alias.name)?,
        }
        restored.push(alias.name.clone());
    }
    Ok(restored)
}
