//! The registry's lists, page by page, and finding something in them by what people call it.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256};
use hub::abi::{
    APPLICATIONS, Application, CITIES, Change, City, GOVERNANCE, IApplications, ICities,
    IGovernance, IMembers, MEMBERS, Member, Safety,
};

use super::abi::{INames, IProposals, Proposal};
use super::{Hub, HubError};

/// Entries that one question asks for.
const PAGE: u32 = 100;
/// Numbers of members and cities that the contracts give out.
const MOST: u32 = 4_096;
/// The status of what is in force.
pub(crate) const ACTIVE: u8 = 1;
/// The status of an application whose cities change.
pub(crate) const CHANGING: u8 = 2;
/// That of one stopped by its owner.
pub(crate) const SUSPENDED: u8 = 3;
/// That of one that ended for ever.
pub(crate) const CLOSED: u8 = 4;

impl Hub {
    /// All members there ever were, in the order in which they came.
    ///
    /// # Errors
    ///
    /// [`HubError`].
    pub(crate) async fn members(&self) -> Result<Vec<Member>, HubError> {
        let count = self.view(MEMBERS, &IMembers::countCall {}).await?.min(MOST);
        let mut all = Vec::new();
        for from in (1..=count).step_by(PAGE as usize) {
            let page = IMembers::membersCall { from, limit: PAGE };
            all.extend(self.view(MEMBERS, &page).await?);
        }
        Ok(all)
    }

    /// The names of all members, by number.
    ///
    /// # Errors
    ///
    /// [`HubError`].
    pub(crate) async fn member_names(&self) -> Result<BTreeMap<u32, String>, HubError> {
        let members = self.members().await?.into_iter();
        Ok(members.map(|member| (member.id, member.name)).collect())
    }

    /// The member for which an address speaks.
    ///
    /// # Errors
    ///
    /// [`HubError`].
    pub(crate) async fn member_of(&self, authority: Address) -> Result<Option<u32>, HubError> {
        let id = self
            .view(MEMBERS, &IMembers::idOfCall { authority })
            .await?;
        Ok((id > 0).then_some(id))
    }

    /// All cities there ever were, in the order in which they came.
    ///
    /// # Errors
    ///
    /// [`HubError`].
    pub(crate) async fn cities(&self) -> Result<Vec<City>, HubError> {
        let count = self.view(CITIES, &ICities::countCall {}).await?.min(MOST);
        let mut all = Vec::new();
        for from in (1..=count).step_by(PAGE as usize) {
            let page = ICities::citiesCall { from, limit: PAGE };
            all.extend(self.view(CITIES, &page).await?);
        }
        Ok(all)
    }

    /// One city.
    ///
    /// # Errors
    ///
    /// [`HubError`].
    pub(crate) async fn city(&self, id: u32) -> Result<City, HubError> {
        self.view(CITIES, &ICities::cityCall { id }).await
    }

    /// The city as which a city goes on under a new key, if it does.
    ///
    /// # Errors
    ///
    /// [`HubError`].
    pub(crate) async fn successor_of(&self, id: u32) -> Result<Option<u32>, HubError> {
        let successor = self.view(CITIES, &ICities::successorOfCall { id }).await?;
        Ok((successor > 0).then_some(successor))
    }

    /// The greatest number of an application.
    ///
    /// # Errors
    ///
    /// [`HubError`].
    pub(crate) async fn application_count(&self) -> Result<u64, HubError> {
        self.view(APPLICATIONS, &IApplications::countCall {}).await
    }

    /// One application.
    ///
    /// # Errors
    ///
    /// [`HubError`].
    pub(crate) async fn application(&self, n: u64) -> Result<Application, HubError> {
        let question = IApplications::applicationCall { n };
        self.view(APPLICATIONS, &question).await
    }

    /// The application with this name, if there is or was one.
    ///
    /// # Errors
    ///
    /// [`HubError`].
    pub(crate) async fn application_named(&self, name: &str) -> Result<Option<u64>, HubError> {
        let question = INames::byNameCall {
            name: name.to_owned(),
        };
        let n = self.view(APPLICATIONS, &question).await?;
        Ok((n > 0).then_some(n))
    }

    /// The change of an application's cities that is not over; in stage 0 if there is none.
    ///
    /// # Errors
    ///
    /// [`HubError`].
    pub(crate) async fn change_of(&self, n: u64) -> Result<Change, HubError> {
        self.view(APPLICATIONS, &IApplications::changeOfCall { n })
            .await
    }

    /// Height and hash of the last block with which an application's chain went over to other cities; `None` before the
    /// first.
    ///
    /// # Errors
    ///
    /// [`HubError`].
    pub(crate) async fn handover_of(&self, n: u64) -> Result<Option<(u64, B256)>, HubError> {
        let question = IApplications::handoverOfCall { n };
        let shown = self.view(APPLICATIONS, &question).await?;
        Ok((shown.height > 0).then_some((shown.height, shown.blockHash)))
    }

    /// What an application's cities bear as they are now.
    ///
    /// # Errors
    ///
    /// [`HubError`].
    pub(crate) async fn safety_of(&self, n: u64) -> Result<Safety, HubError> {
        self.view(APPLICATIONS, &IApplications::safetyOfCall { n })
            .await
    }

    /// Numbers of the applications on a city, at most `most` of them, and how many there are; closed ones are among them until
    /// the city need not keep their data.
    ///
    /// # Errors
    ///
    /// [`HubError`].
    pub(crate) async fn placed_on(
        &self,
        city: u32,
        most: u64,
    ) -> Result<(Vec<u64>, u64), HubError> {
        let question = IApplications::placedCountCall { city };
        let count = self.view(APPLICATIONS, &question).await?;
        let mut placed = Vec::new();
        for from in (0..count.min(most)).step_by(PAGE as usize) {
            let limit = (most - from).min(PAGE.into());
            let page = IApplications::placedOnCall { city, from, limit };
            placed.extend(self.view(APPLICATIONS, &page).await?);
        }
        Ok((placed, count))
    }

    /// The greatest number of a proposal.
    ///
    /// # Errors
    ///
    /// [`HubError`].
    pub(crate) async fn proposal_count(&self) -> Result<u32, HubError> {
        self.view(GOVERNANCE, &IGovernance::countCall {}).await
    }

    /// One proposal.
    ///
    /// # Errors
    ///
    /// [`HubError`].
    pub(crate) async fn proposal(&self, id: u32) -> Result<Proposal, HubError> {
        self.view(GOVERNANCE, &IProposals::proposalCall { id })
            .await
    }
}
