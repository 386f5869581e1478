//! What an owner does to its application as a whole: calls a change off, suspends, resumes, closes it, gives it away.
//!
//! ```text
//!  application ──▶ is it mine, and in the right state? ──▶ (asked) ──▶ one transaction ──▶ the application as it is now
//! ```

use alloy_primitives::{Address, B256};
use alloy_signer_local::PrivateKeySigner;
use clap::Args;
use hub::abi::{APPLICATIONS, Application, GOVERNANCE, IApplications, IGovernance};

use super::{find, show};
use crate::consent;
use crate::exit::Usage;
use crate::hub_client::registry::{ACTIVE, CHANGING, CLOSED, SUSPENDED};
use crate::hub_client::words::application_status;
use crate::hub_client::{Hub, HubError, HubOptions, KeyOptions, Receipt};
use crate::terminal;

/// The stage of a change in which joining cities take in the chain.
pub(super) const TAKING_IN: u8 = 1;
/// Seconds of a day.
const DAY: u64 = 86_400;

/// Which application, and whose word it is.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Options {
    /// The application's number or name.
    #[arg(value_name = "N|NAME")]
    pub(super) which: String,
    /// Do not ask.
    #[arg(long, short)]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) hub: HubOptions,
    #[command(flatten)]
    pub(super) key: KeyOptions,
    /// Print the result as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Which application, and who is to own it.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct OwnerOptions {
    #[command(flatten)]
    options: Options,
    /// Who is to own it.
    #[arg(value_name = "0x…")]
    address: Address,
}

/// Why nothing was asked of the hub.
#[derive(Debug, thiserror::Error)]
pub(super) enum OwnedError {
    /// Another key's.
    #[error("{name} is owned by {owner}, and --key is of {key}: give its owner's key")]
    NotTheOwner {
        /// The application.
        name: String,
        /// Its owner.
        owner: Address,
        /// Of the key.
        key: Address,
    },
    /// It cannot be done from where it is.
    #[error("{name} is {status}: {hint}")]
    Status {
        /// The application.
        name: String,
        /// In words.
        status: String,
        /// What can be done.
        hint: &'static str,
    },
    /// The new cities are named.
    #[error(
        "{name} may have gone over to its new cities already: wait until it is active, then change it back"
    )]
    TooLate {
        /// The application.
        name: String,
    },
    /// It is so already.
    #[error("{owner} owns {name} already")]
    OwnedAlready {
        /// The application.
        name: String,
        /// Its owner.
        owner: Address,
    },
}

/// An application whose owner has the key.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) hub: Hub,
    pub(super) signer: PrivateKeySigner,
    pub(super) application: Application,
}

impl Owned {
    /// Finds the application, and looks whose it is.
    ///
    /// # Errors
    ///
    /// [`OwnedError`], and when hub or key cannot be read.
    pub(super) async fn open(options: &Options) -> anyhow::Result<Self> {
        consent::check(options.yes)?;
        let signer = options.key.read().await?;
        let hub = Hub::open(&options.hub).await?;
        let n = find(&hub, &options.which).await?;
        let application = hub.application(n).await?;
        if application.owner != signer.address() {
            return Err(OwnedError::NotTheOwner {
                name: application.name,
                owner: application.owner,
                key: signer.address(),
            }
            .into());
        }
        Ok(Self {
            hub,
            signer,
            application,
        })
    }

    /// The refusal of what cannot be done in the present status.
    pub(super) fn wrong_status(&self, hint: &'static str) -> OwnedError {
        OwnedError::Status {
            name: self.application.name.clone(),
            status: application_status(self.application.status),
            hint,
        }
    }

    /// What is in the way of what only an active application does.
    pub(super) fn check_active(&self) -> Result<(), OwnedError> {
        let hint = match self.application.status {
            ACTIVE => return Ok(()),
            CHANGING => {
                "wait until its cities have changed, or call that off with `causeway app cancel`"
            }
            SUSPENDED => "first go on with it, `causeway app resume`",
            CLOSED => "that is for ever",
            _unknown => "this program does not know what that is",
        };
        Err(self.wrong_status(hint))
    }

    async fn tell(&self, receipt: &Receipt, as_json: bool) -> anyhow::Result<()> {
        show::tell(&self.hub, self.application.n, Some(receipt), as_json).await
    }
}

/// `causeway app cancel`.
pub(super) async fn cancel(options: Options) -> anyhow::Result<()> {
    let owned = Owned::open(&options).await?;
    let (n, name) = (owned.application.n, &owned.application.name);
    if owned.application.status != CHANGING {
        return Err(owned
            .wrong_status("there is no change of its cities to call off")
            .into());
    }
    let change = owned.hub.change_of(n).await?;
    if change.stage != TAKING_IN {
        let name = name.clone();
        return Err(OwnedError::TooLate { name }.into());
    }
    let (ready, joining) = (change.ready.len(), change.joining.len());
    terminal::say(&format!(
        "{name}: {ready} of {joining} joining cities hold the chain; it stays with the cities that it has"
    ));
    consent::ask(options.yes, "Call the change off?")?;
    let call = IApplications::cancelChangeCall { n };
    let receipt = owned.hub.send(&owned.signer, APPLICATIONS, &call).await?;
    owned.tell(&receipt, options.json).await
}

/// `causeway app suspend`.
pub(super) async fn suspend(options: Options) -> anyhow::Result<()> {
    let owned = Owned::open(&options).await?;
    let (n, name) = (owned.application.n, &owned.application.name);
    if owned.application.status == SUSPENDED {
        return Err(owned.wrong_status("there is nothing to do").into());
    }
    owned.check_active()?;
    terminal::say(&format!(
        "{name}: its cities answer reads and take no transaction until it is resumed; what it takes of them it keeps"
    ));
    consent::ask(options.yes, "Suspend it?")?;
    let call = IApplications::suspendCall { n };
    let receipt = owned.hub.send(&owned.signer, APPLICATIONS, &call).await?;
    owned.tell(&receipt, options.json).await
}

/// `causeway app resume`.
pub(super) async fn resume(options: Options) -> anyhow::Result<()> {
    let owned = Owned::open(&options).await?;
    let (n, name) = (owned.application.n, &owned.application.name);
    if owned.application.status != SUSPENDED {
        return Err(owned
            .wrong_status("only a suspended application is resumed")
            .into());
    }
    terminal::say(&format!("{name}: its cities take transactions again"));
    consent::ask(options.yes, "Resume it?")?;
    let call = IApplications::resumeCall { n };
    let receipt = owned.hub.send(&owned.signer, APPLICATIONS, &call).await?;
    owned.tell(&receipt, options.json).await
}

/// `causeway app close`.
pub(super) async fn close(options: Options) -> anyhow::Result<()> {
    let owned = Owned::open(&options).await?;
    let (n, name) = (owned.application.n, &owned.application.name);
    if owned.application.status == CLOSED {
        return Err(owned.wrong_status("that is for ever").into());
    }
    let kept = closed_data_kept(&owned.hub).await?;
    terminal::say(&format!(
        "{name}: its cities stop it for ever, and need not keep its data for longer than {kept}"
    ));
    consent::ask(options.yes, &format!("Close {name}?"))?;
    consent::ask(
        options.yes,
        "Nobody can open it again, its owner neither. Close it for ever?",
    )?;
    let call = IApplications::closeCall { n };
    let receipt = owned.hub.send(&owned.signer, APPLICATIONS, &call).await?;
    owned.tell(&receipt, options.json).await
}

/// How long cities keep what was closed, in words.
async fn closed_data_kept(hub: &Hub) -> Result<String, HubError> {
    let name = B256::right_padding_from(b"closedDataKept");
    let question = IGovernance::parameterCall { name };
    let seconds = hub.view(GOVERNANCE, &question).await?;
    Ok(match seconds / DAY {
        0 => format!("{seconds} seconds"),
        days => format!("{days} days"),
    })
}

/// `causeway app owner`.
pub(super) async fn give(options: OwnerOptions) -> anyhow::Result<()> {
    let OwnerOptions {
        options,
        address: owner,
    } = options;
    if owner.is_zero() {
        let words = "0x…: an application needs an owner; the zero address is nobody";
        return Err(Usage(String::from(words)).into());
    }
    let owned = Owned::open(&options).await?;
    let (n, name) = (owned.application.n, &owned.application.name);
    if owned.application.status == CLOSED {
        return Err(owned.wrong_status("nobody needs to own it any more").into());
    }
    if owner == owned.application.owner {
        let name = name.clone();
        return Err(OwnedError::OwnedAlready { name, owner }.into());
    }
    let member = owned.hub.member_of(owner).await?;
    let whose = member.map_or_else(
        || String::from("which speaks for no member"),
        |id| format!("which speaks for member {id}"),
    );
    terminal::say(&format!(
        "{name}: {owner}, {whose}, alone can change, suspend and close it from then on"
    ));
    consent::ask(options.yes, "Give it away?")?;
    let call = IApplications::setOwnerCall { n, owner };
    let receipt = owned.hub.send(&owned.signer, APPLICATIONS, &call).await?;
    owned.tell(&receipt, options.json).await
}
