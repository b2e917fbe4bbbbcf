//! Ports of profiles: the gateway listens on them itself, and serves one profile on each.
//!
//! A port that is in use does not stop the gateway: [`ProfilePorts::failures`] says who has it, and it is tried again after any
//! change of a profile. Ports of profiles with a service of their own are left to that service.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use mlxm_store::Uuid;
use mlxm_store::profiles::Profile;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::catalog_watch::{CatalogHandle, Snapshot};
use super::connections::Connections;
use super::proxy::{self, Alias, Catalog, Proxy};

/// Why the gateway does not listen on the port of a profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortFailure {
    /// The port is in use, or not allowed.
    #[error("cannot listen on {address}, the port of profile {profile}: {reason}{}", holder_text(.holder.as_ref()))]
    Unavailable {
        /// The profile.
        profile: String,
        /// The address.
        address: SocketAddr,
        /// The system's error.
        reason: String,
        /// The program that has the port and its process id, if they are known.
        holder: Option<(String, u32)>,
    },
    /// The host of the profile is not an IP address.
    #[error(
        "the host `{host}` of profile {profile} is not an IP address: use 127.0.0.1, or leave it out"
    )]
    InvalidHost {
        /// The profile.
        profile: String,
        /// The host.
        host: String,
    },
    /// The address can be reached from other machines, and the gateway has no API key.
    #[error(
        "profile {profile} cannot listen on {address} without an API key: restart the gateway with --api-key-file"
    )]
    Exposed {
        /// The profile.
        profile: String,
        /// The address.
        address: SocketAddr,
    },
}

fn holder_text(holder: Option<&(String, u32)>) -> String {
    holder.map_or_else(String::new, |(program, pid)| {
        format!("; {program} (process {pid}) has it: stop it, or choose another port")
    })
}

/// Makes the proxy for a catalog.
pub type MakeProxy = dyn Fn(watch::Receiver<Arc<Catalog>>) -> Proxy + Send + Sync;

/// What all ports have in common.
#[derive(Clone)]
pub struct PortOptions {
    /// The address of profiles without a host.
    pub host: IpAddr,
    /// Whether addresses that other machines reach are allowed.
    pub has_key: bool,
    /// Makes the proxy for a catalog.
    pub proxy: Arc<MakeProxy>,
    /// The limits, which all ports share.
    pub connections: Connections,
}

/// The ports of all profiles; clones share them.
#[derive(Clone, Default)]
pub struct ProfilePorts(Arc<Mutex<BTreeMap<Uuid, PortFailure>>>);

impl ProfilePorts {
    /// The ports, and a task that listens on them and follows changes of profiles until it is dropped.
    pub fn new(
        catalog: CatalogHandle,
        options: PortOptions,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let ports = Self::default();
        let listeners = Listeners {
            catalog,
            options,
            running: BTreeMap::new(),
            failures: ports.clone(),
        };
        (ports, listeners.run())
    }

    /// Why the gateway does not listen on ports of profiles, by the ids of the profiles.
    pub fn failures(&self) -> BTreeMap<Uuid, PortFailure> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, failures: BTreeMap<Uuid, PortFailure>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = failures;
    }
}

/// The listener of a profile.
struct Listening {
    address: SocketAddr,
    names: watch::Sender<Arc<Catalog>>,
    task: JoinHandle<Infallible>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Connections that are open continue.
        self.task.abort();
    }
}

struct Listeners {
    catalog: CatalogHandle,
    options: PortOptions,
    running: BTreeMap<Uuid, Listening>,
    failures: ProfilePorts,
}

impl Listeners {
    async fn run(mut self) {
        let mut names = self.catalog.subscribe();
        loop {
            self.update().await;
            // Closed when the gateway exits.
            if names.changed().await.is_err() {
                return;
            }
        }
    }

    async fn update(&mut self) {
        let (snapshot, names) = (self.catalog.snapshot(), self.catalog.names());
        let with_port = |profile: &&Profile| profile.config.port.is_some();
        let wanted: Vec<&Profile> = snapshot
            .profiles
            .iter()
            .filter(|profile| !profile.config.service_installed)
            .filter(with_port)
            .collect();
        let mut failures = BTreeMap::new();
        let mut addresses = BTreeMap::new();
        for profile in &wanted {
            match self.address(profile) {
                Ok(address) => {
                    addresses.insert(profile.id, address);
                }
                Err(failure) => {
                    failures.insert(profile.id, failure);
                }
            }
        }
        // Before others are opened: a profile may take over the port of another one.
        self.running
            .retain(|id, listening| addresses.get(id) == Some(&listening.address));
        for profile in wanted {
            let Some(address) = addresses.get(&profile.id) else {
                continue;
            };
            let own = Arc::new(catalog_of(profile, &snapshot, &names));
            if let Some(listening) = self.running.get(&profile.id) {
                listening.names.send_replace(own);
                continue;
            }
            match self.listen(profile, *address, own).await {
                Ok(listening) => {
                    self.running.insert(profile.id, listening);
                }
                Err(failure) => {
                    failures.insert(profile.id, failure);
                }
            }
        }
        self.report(failures);
    }

    /// Logs failures that are new.
    fn report(&self, failures: BTreeMap<Uuid, PortFailure>) {
        let known = self.failures.failures();
        for (profile, failure) in &failures {
            if known.get(profile) != Some(failure) {
                tracing::warn!("{failure}");
            }
        }
        self.failures.set(failures);
    }

    fn address(&self, profile: &Profile) -> Result<SocketAddr, PortFailure> {
        let config = &profile.config;
        let host = match &config.host {
            None => self.options.host,
            Some(host) => host.parse().map_err(|_| PortFailure::InvalidHost {
                profile: config.name.clone(),
                host: host.clone(),
            })?,
        };
        let address = SocketAddr::new(host, config.port.unwrap_or_default());
        if !host.is_loopback() && !self.options.has_key {
            return Err(PortFailure::Exposed {
                profile: config.name.clone(),
                address,
            });
        }
        Ok(address)
    }

    async fn listen(
        &self,
        profile: &Profile,
        address: SocketAddr,
        own: Arc<Catalog>,
    ) -> Result<Listening, PortFailure> {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            let holder = mlxm_machine::port_holder(address.port());
            PortFailure::Unavailable {
                profile: profile.config.name.clone(),
                address,
                reason: error.to_string(),
                holder: holder.map(|holder| (holder.program, holder.pid)),
            }
        })?;
        let (names, current) = watch::channel(own);
        let router = proxy::router((self.options.proxy)(current));
        tracing::info!(profile = profile.config.name, %address, "listening");
        let connections = self.options.connections.clone();
        let task = tokio::spawn(connections.serve(listener, router));
        Ok(Listening {
            address,
            names,
            task,
        })
    }
}

/// The names on the port of a profile: its own, that of its model, and the aliases of either. All stand for the profile.
fn catalog_of(profile: &Profile, snapshot: &Snapshot, all: &Catalog) -> Catalog {
    let config = &profile.config;
    let named = |name: &str| name == config.name || name == config.model;
    let of_profile = snapshot.aliases.iter().filter(|alias| named(&alias.target));
    let patterns = of_profile.map(|alias| alias.name.clone());
    let model = globset::escape(&config.model);
    Catalog {
        profiles: all
            .profiles
            .iter()
            .filter(|profile| profile.name == config.name)
            .cloned()
            .collect(),
        aliases: patterns
            .chain([model])
            .filter_map(|pattern| Alias::new(&pattern, config.name.as_str()).ok())
            .collect(),
        models: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use mlxm_store::aliases;
    use mlxm_store::profiles::ProfileConfig;

    use super::*;

    fn alias(name: &str, target: &str) -> aliases::Alias {
        aliases::Alias {
            id: Uuid::nil(),
            name: name.to_owned(),
            target: target.to_owned(),
            created_at_ms: 0,
            updated_at_ms: 0,
        }
    }

    #[test]
    fn port_of_a_profile_has_its_names_only() {
        let profile = Profile {
            id: Uuid::nil(),
            config: ProfileConfig {
                name: "coder".to_owned(),
                model: "org/model[1]".to_owned(),
                ..ProfileConfig::default()
            },
            created_at_ms: 0,
            updated_at_ms: 0,
        };
        let named = |name: &str| proxy::Profile {
            name: name.to_owned(),
            model: "org/model[1]".to_owned(),
            context_length: None,
            defaults: None,
            loaded: false,
        };
        let all = Catalog {
            profiles: vec![named("other"), named("coder")],
            ..Catalog::default()
        };
        let snapshot = Snapshot {
            aliases: vec![alias("gpt-*", "coder"), alias("claude-*", "other")],
            ..Snapshot::default()
        };
        let catalog = catalog_of(&profile, &snapshot, &all);
        for name in ["coder", "org/model[1]", "gpt-4o"] {
            let target = catalog.resolve(Some(name)).unwrap();
            assert_eq!(target.profile.as_deref(), Some("coder"), "{name}");
        }
        let target = catalog.resolve(None).unwrap();
        assert_eq!(target.profile.as_deref(), Some("coder"));
        for name in ["other", "claude-x", "org/model1"] {
            assert!(catalog.resolve(Some(name)).is_err(), "{name}");
        }
    }

    #[test]
    fn message_of_a_port_in_use_names_the_program() {
        let failure = PortFailure::Unavailable {
            profile: "coder".to_owned(),
            address: ([127, 0, 0, 1], 9000).into(),
            reason: "in use".to_owned(),
            holder: Some(("python3".to_owned(), 4711)),
        };
        let message = failure.to_string();
        for part in ["127.0.0.1:9000", "coder", "python3", "4711"] {
            assert!(message.contains(part), "{message}");
        }
    }
}
