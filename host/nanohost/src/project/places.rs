//! Where nanohost keeps what is its own, from flags, environment and platform. Creates nothing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use directories::ProjectDirs;
use nanohost_core::Diagnostic;
use nanohost_store::Secrets;

use crate::failure::Failure;

/// The folders of this user, and the policy the environment names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    /// The folder of the store: `--store`, `NANOHOST_STORE`, or the platform's data folder.
    pub(crate) store: PathBuf,
    /// The folder of what the user decided: `NANOHOST_CONFIG`, or the platform's configuration folder.
    pub(crate) config: PathBuf,
    /// The folder of what can be made again: `NANOHOST_CACHE`, or the platform's cache folder. None
    /// where the variable says `off`, or the platform knows no such folder of this user.
    pub(crate) cache: Option<PathBuf>,
    /// The file that `NANOHOST_POLICY` names.
    pub(crate) policy: Option<PathBuf>,
    /// The file that `NANOHOST_MACHINE_POLICY` names, which counts where the machine has none of its own.
    pub(crate) machine_policy: Option<PathBuf>,
    /// The file that `NANOHOST_LOG_POLICY` names.
    pub(crate) log_policy: Option<PathBuf>,
    /// Whether `NANOHOST_OFFLINE` says that no package is fetched.
    pub(crate) offline: bool,
}

impl Places {
    /// The places that `--store` and the environment of this process say.
    ///
    /// # Errors
    /// `empty_variable` for a variable that is set to nothing, `no_home` where the platform knows
    /// no folders of this user and none is named.
    pub(crate) fn find(store: Option<&Path>) -> anyhow::Result<Self> {
        Self::from_environment(store, &|name| std::env::var_os(name))
    }

    /// The folder of the keys that sign evidence.
    pub fn keys(&self) -> PathBuf {
        self.config.join("keys")
    }

    /// Whose word on the log's head counts, and who is asked for it: the file that is named, or
    /// `log.policy` in the configuration folder. None where there is neither.
    pub fn log_policy(&self) -> Option<PathBuf> {
        let own = self.config.join("log.policy");
        self.log_policy.clone().or_else(|| own.is_file().then_some(own))
    }

    /// The folder of compiled code, where it is kept. Its key lies in [`Self::keys`].
    pub fn code_cache(&self) -> Option<PathBuf> {
        self.cache.as_ref().map(|folder| folder.join("code"))
    }

    /// The folder of packages, where they are kept.
    pub fn packages(&self) -> Option<PathBuf> {
        self.cache.as_ref().map(|folder| folder.join("packages"))
    }

    /// The secrets that this user keeps.
    pub fn secrets(&self) -> Secrets {
        Secrets::at(self.config.join("secrets"))
    }

    fn from_environment(
        store: Option<&Path>,
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> anyhow::Result<Self> {
        let empty = |what: &str, who: &str| {
            let help = format!("give {who} a path, or leave it out");
            Failure::usage(Diagnostic::error("empty_variable", what.to_owned()).help(help))
        };
        let named = |name: &str| match variable(name) {
            Some(value) if value.is_empty() => Err(empty(&format!("{name} is set, and empty"), name)),
            value => Ok(value.map(PathBuf::from)),
        };
        let platform = || ProjectDirs::from("", "", "nanohost");
        let no_home = |what: &str, name: &str| {
            Failure::host(
                Diagnostic::error("no_home", format!("this user has no home folder for {what}"))
                    .help(format!("set {name} to a folder")),
            )
        };
        if store.is_some_and(|folder| folder.as_os_str().is_empty()) {
            return Err(empty("the folder of the store is named by nothing", "--store and NANOHOST_STORE"));
        }
        let store = match (store, named("NANOHOST_STORE")?) {
            (Some(flag), _) => flag.to_owned(),
            (None, Some(folder)) => folder,
            // Local: a database must not follow its user to another machine, as roaming data does.
            (None, None) => platform()
                .map(|dirs| dirs.data_local_dir().to_owned())
                .ok_or_else(|| no_home("the store", "NANOHOST_STORE"))?,
        };
        let config = match named("NANOHOST_CONFIG")? {
            Some(folder) => folder,
            None => platform()
                .map(|dirs| dirs.config_local_dir().to_owned())
                .ok_or_else(|| no_home("its configuration", "NANOHOST_CONFIG"))?,
        };
        let cache = match named("NANOHOST_CACHE")? {
            Some(off) if off.as_os_str() == "off" => None,
            Some(folder) => Some(folder),
            None => platform().map(|dirs| dirs.cache_dir().to_owned()),
        };
        let (policy, machine_policy) = (named("NANOHOST_POLICY")?, named("NANOHOST_MACHINE_POLICY")?);
        let log_policy = named("NANOHOST_LOG_POLICY")?;
        let offline = match variable("NANOHOST_OFFLINE") {
            None => false,
            Some(value) if value == "0" => false,
            Some(value) if value == "1" => true,
            // Taken for no, it would fetch what its user wanted not to be fetched.
            Some(value) => {
                let message = format!("NANOHOST_OFFLINE is {value:?}, and not 0 or 1");
                return Err(Failure::usage(
                    Diagnostic::error("invalid_variable", message).help("set it to 1, or leave it out"),
                ));
            }
        };
        Ok(Self { store, config, cache, policy, machine_policy, log_policy, offline })
    }
}

#[cfg(test)]
mod tests;
