//! How a command ended, for scripts.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | refused, by the hub or before it was asked, or anything else that failed |
//! | 2 | the command line is wrong |
//! | 3 | the hub, or what else had to be asked, cannot be reached |
//! | 4 | sent, and the end was not seen in time: look before you send again |

use std::process::ExitCode;

use crate::hub_client::{AskError, HubError};

/// The command line says something that cannot be meant.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// What was sent may or may not be done.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unfinished(pub(crate) String);

/// The code of a command that failed.
pub(crate) fn code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(number(error))
}

fn number(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if cause.is::<Usage>() {
            return 2;
        }
        if cause.is::<Unfinished>() {
            return 4;
        }
        let ask = match cause.downcast_ref() {
            Some(HubError::Unfinished { .. }) => return 4,
            // Its own cause is not this error but the one below.
            Some(HubError::Ask(error)) => Some(error),
            Some(_refused) => None,
            None => cause.downcast_ref(),
        };
        if ask.is_some_and(AskError::is_unreachable) {
            return 3;
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::{Unfinished, Usage, number};
    use crate::hub_client::{AskError, HubError};
    use alloy_primitives::{Address, B256};

    #[test]
    fn scripts_can_tell_refused_wrong_unreachable_and_unfinished_apart() {
        let slow = || AskError::TooSlow {
            url: String::from("http://127.0.0.1:1"),
        };
        let table: [(anyhow::Error, u8); 7] = [
            (anyhow::anyhow!("anything"), 1),
            (Usage(String::from("wrong")).into(), 2),
            (slow().into(), 3),
            (HubError::from(slow()).into(), 3),
            (
                HubError::NoHub {
                    contract: Address::ZERO,
                }
                .into(),
                1,
            ),
            (HubError::Unfinished { hash: B256::ZERO }.into(), 4),
            (
                anyhow::Error::from(Unfinished(String::from("later"))).context("more"),
                4,
            ),
        ];
        for (error, wanted) in table {
            assert_eq!(number(&error), wanted, "{error:#}");
        }
    }
}
