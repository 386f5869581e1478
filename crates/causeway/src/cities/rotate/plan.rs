//! What becomes of a city's applications when it goes on under a new key, as the registry has them now. Without I/O.

use std::collections::BTreeSet;

use alloy_primitives::Address;
use hub::abi::{Application, Change, City};
use serde_json::{Value, json};

use crate::hub_client::registry::{ACTIVE, CHANGING, CLOSED, SUSPENDED};

/// Most applications that a person is shown one by one.
const MOST_LISTED: usize = 20;
/// Most cities of a chain that cannot do without one of them.
const ALL_SIGN: usize = 3;

/// A city, and what is on it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) city: City,
    /// Its member's name.
    pub(super) member: String,
    /// Whether it is a validator of the hub.
    pub(super) keeps_the_hub: bool,
    /// The city as which it goes on already.
    pub(super) goes_on_as: Option<u32>,
    /// How many applications were not looked at.
    pub(super) beyond: u64,
    /// What runs, and goes over at once.
    pub(super) now: Vec<Application>,
    /// What goes over later, and when.
    pub(super) later: Vec<(Application, &'static str)>,
}

/// Whether nothing more is to be waited for: it has left the city, or its owner keeps it from that.
pub(super) fn is_settled(application: &Application, old: u32) -> bool {
    match application.status {
        CLOSED | SUSPENDED => true,
        CHANGING => false,
        _ => !application.cities.contains(&old),
    }
}

impl Plan {
    /// Adds an application that is on the city, with the change of its cities that is under way.
    pub(super) fn add(&mut self, application: Application, change: Option<&Change>) {
        let when = match application.status {
            ACTIVE => return self.now.push(application),
            SUSPENDED => "when its owner resumes it",
            CHANGING if change.is_some_and(|change| change.leaving.contains(&self.city.id)) => {
                return;
            }
            CHANGING => "when the change of its cities that is under way is over",
            // Closed, and kept for a while.
            _ => return,
        };
        self.later.push((application, when));
    }

    /// What a person decides by.
    pub(super) fn words(&self, node: Address, endpoint: &str) -> Vec<String> {
        let City { id, place, .. } = &self.city;
        let mut lines = vec![
            format!(
                "City {id} ({place}, {}) goes on under the key {node}, reached at {endpoint}.",
                self.member
            ),
            format!("The new city has its offer; city {id} offers nothing from then on."),
        ];
        for application in self.now.iter().take(MOST_LISTED) {
            lines.push(format!("  goes over  {}", named(application)));
        }
        for (application, when) in self.later.iter().take(MOST_LISTED) {
            lines.push(format!("  later      {}: {when}", named(application)));
        }
        let listed = self.now.len().min(MOST_LISTED) + self.later.len().min(MOST_LISTED);
        match (self.now.len() + self.later.len() - listed) as u64 + self.beyond {
            0 if listed == 0 => lines.push(String::from("  nothing is placed on it")),
            0 => {}
            more => lines.push(format!("  and {more} more")),
        }
        if self.now.len() + self.later.len() > 0 {
            lines.push(String::from(
                "Each goes on meanwhile: the new key takes in the chain, and the cities that it has hand it over.",
            ));
        }
        let needs = |application: &&Application| application.cities.len() <= ALL_SIGN;
        let needing: Vec<String> = self.now.iter().filter(needs).map(named).collect();
        if !needing.is_empty() {
            lines.push(format!(
                "Of one to three cities all sign: city {id} must be running for {}.",
                needing[..needing.len().min(MOST_LISTED)].join(", ")
            ));
        }
        lines.extend(self.warnings());
        lines.push(self.end());
        lines
    }

    /// What keeps applications where they are.
    fn warnings(&self) -> Vec<String> {
        let (id, offer, taken) = (self.city.id, &self.city.offer, &self.city.taken);
        let mut lines = Vec::new();
        let is_short = taken.gasPerSecond > offer.gasPerSecond
            || taken.bytesStored > offer.bytesStored
            || taken.chains > offer.chains
            || taken.blocksPerSecond > offer.blocksPerSecond;
        if is_short {
            lines.push(format!(
                "More is taken of city {id} than it offers now, so not all finds room on the new one: raise the offer first \
                 (`causeway city offer {id}`), or the new city's then."
            ));
        }
        if let Some(other) = self.goes_on_as {
            lines.push(format!(
                "It goes on as city {other} already: what is not on that one yet goes to the new one, but for what city \
                 {other} is taking in, until its owner calls that off (`causeway app cancel`)."
            ));
        }
        lines
    }

    /// What the old key still does.
    pub(super) fn end(&self) -> String {
        let id = self.city.id;
        if self.keeps_the_hub {
            return format!(
                "City {id} is a validator of the hub. Keep it running until the new key took over there, which it asks for by \
                 itself; then, when nothing is on city {id} any more, `causeway city retire {id}` ends it for ever."
            );
        }
        format!(
            "The old key signs for an application until that went over. When nothing is on city {id} any more, `causeway city \
             retire {id}` ends it for ever."
        )
    }

    /// What did not go over, for programs.
    pub(super) fn not_yet(&self, gone_over: &BTreeSet<u64>) -> Vec<Value> {
        let waits = |application: &&Application| !gone_over.contains(&application.n);
        let now = self.now.iter().filter(waits);
        let all = now.map(|application| (application, "now"));
        let later = self.later.iter();
        all.chain(later.map(|(application, when)| (application, *when)))
            .map(|(application, when)| json!({ "n": application.n, "name": application.name, "when": when }))
            .collect()
    }
}

fn named(application: &Application) -> String {
    format!("{} (application {})", application.name, application.n)
}

#[cfg(test)]
mod tests {
    use super::{Plan, is_settled};
    use crate::application::tests::{application, city};
    use alloy_primitives::Address;
    use hub::abi::Change;
    use std::collections::BTreeSet;

    const OLD: u32 = 4;

    fn plan() -> Plan {
        Plan {
            city: city(OLD, "CN HFE", 1),
            member: String::from("Member 4"),
            keeps_the_hub: false,
            goes_on_as: None,
            beyond: 0,
            now: Vec::new(),
            later: Vec::new(),
        }
    }

    fn words(plan: &Plan) -> String {
        plan.words(Address::ZERO, "a.example:1").join("\n")
    }

    #[test]
    fn what_goes_over_and_when_is_told_before() {
        let changes = |leaving: &[u32]| Change {
            stage: 1,
            since: 0,
            leaving: leaving.to_vec(),
            joining: vec![8],
            ready: Vec::new(),
        };
        let (leaves, stays) = (changes(&[OLD]), changes(&[1]));
        let mut plan = plan();
        for (n, status, cities, change) in [
            (1, 1, vec![1, 2, 3, OLD], None),
            (2, 1, vec![1, OLD], None),
            (3, 3, vec![1, 2, 3, OLD], None),
            (4, 2, vec![1, 2, 3, OLD], Some(&stays)),
            (5, 2, vec![1, 2, 3, OLD], Some(&leaves)),
            (6, 4, vec![1, 2, 3, OLD], None),
        ] {
            plan.add(application(n, status, &cities), change);
        }
        plan.beyond = 3;
        let text = words(&plan);
        for wanted in [
            "City 4 (CN HFE, Member 4) goes on under the key 0x0000000000000000000000000000000000000000",
            "\n  goes over  app-1 (application 1)\n",
            "\n  goes over  app-2 (application 2)\n",
            "\n  later      app-3 (application 3): when its owner resumes it\n",
            "\n  later      app-4 (application 4): when the change",
            "\n  and 3 more\n",
            "city 4 must be running for app-2 (application 2).",
            "`causeway city retire 4` ends it",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        for other in ["app-5", "app-6", "raise the offer", "already", "validator"] {
            assert!(!text.contains(other), "{other}: {text}");
        }
        let left = plan.not_yet(&BTreeSet::from([1]));
        let left: Vec<_> = left.iter().map(|one| (&one["n"], &one["when"])).collect();
        assert_eq!(left.len(), 3);
        assert_eq!(
            (left[0].0.as_u64(), left[0].1.as_str()),
            (Some(2), Some("now"))
        );
    }

    #[test]
    fn what_is_in_the_way_is_told_before() {
        let mut plan = plan();
        assert!(words(&plan).contains("nothing is placed on it"));
        plan.city.taken.gasPerSecond = plan.city.offer.gasPerSecond + 1;
        plan.goes_on_as = Some(9);
        plan.keeps_the_hub = true;
        let text = words(&plan);
        for wanted in [
            "raise the offer first",
            "It goes on as city 9 already",
            "is a validator of the hub. Keep it running until the new key took over there",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
    }

    #[test]
    fn nobody_waits_for_what_its_owner_keeps_back() {
        for (status, cities, wanted) in [
            (1, vec![1, OLD], false),
            (1, vec![1, 9], true),
            (2, vec![1, 9], false),
            (3, vec![1, OLD], true),
            (4, vec![1, OLD], true),
        ] {
            assert_eq!(is_settled(&application(1, status, &cities), OLD), wanted);
        }
    }
}
