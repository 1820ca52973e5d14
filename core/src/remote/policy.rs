//! When a server is asked: a pure function of what the device found and what is known around it.
//!
//! A reason makes it worth asking; a block forbids it, whatever the reason. Without a reason there is nothing to block.

use std::fmt;

use crate::verdict::Verdict;

/// Whose answer the app wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The device's; the server's where the device does not know.
    #[default]
    PreferLocal,
    /// The device's, come what may.
    OnlyLocal,
    /// The server's; the device's until it comes, or where it does not come.
    PreferServer,
    /// The server's alone: what only the device found is not mixed in.
    OnlyServer,
}

/// The index on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IndexState {
    /// There, and as new as it should be.
    #[default]
    Ready,
    /// There, but older than the app wants to trust.
    Stale,
    /// Not there, or not open yet.
    Missing,
}

/// How bytes would travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Network {
    /// Not at all.
    Offline,
    /// At a price.
    Metered,
    /// Freely.
    #[default]
    Unmetered,
}

/// What the device found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Finding {
    /// Of the local answer.
    pub verdict: Verdict,
    /// Hits of the local answer.
    pub hits: usize,
    /// Whether a filter was asked for.
    pub filtered: bool,
    /// Where the answer comes from.
    pub index: IndexState,
    /// Whether the local index holds what the app looks for at all.
    pub category_covered: bool,
}

/// What is known around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Context {
    /// Whose answer the app wants.
    pub mode: Mode,
    /// The user agreed that descriptors are sent.
    pub consent: bool,
    /// How bytes would travel.
    pub network: Network,
    /// Whether they may at a price.
    pub allow_metered: bool,
    /// What stands against it on the way to the server: breaker, refused model, pause, pace.
    pub route: Option<Blocked>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// The local answer is good: nothing to ask.
    Local,
    /// Ask.
    Server(Reason),
    /// The server should be asked, but must not be.
    LocalOnly(Blocked),
}

/// Why to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The app wants the server's answer.
    Wanted,
    /// There is no local index.
    IndexMissing,
    /// The local index is old.
    IndexStale,
    /// The local index does not hold such things.
    CategoryNotCovered,
    /// The filter leaves nothing of the local index.
    FilterEmpty,
    /// The local index does not have it.
    NoMatch,
    /// The local answer may be wrong.
    Unsure,
}

/// Why not to ask. Not a byte is sent then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blocked {
    /// The user has not agreed.
    NoConsent,
    /// There is no network.
    Offline,
    /// The network has a price, and the app does not pay it.
    Metered,
    /// The server's index is of another model.
    ModelRefused,
    /// The server failed again and again a moment ago.
    BreakerOpen,
    /// The server asked to be left alone.
    Paused,
    /// A live session asks once a second.
    Paced,
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoConsent => "the user has not agreed",
            Self::Offline => "there is no network",
            Self::Metered => "the network is metered",
            Self::ModelRefused => "the server's index is of another model",
            Self::BreakerOpen => "the server failed repeatedly a moment ago",
            Self::Paused => "the server asked to be left alone for a while",
            Self::Paced => "a live session asks once a second",
        })
    }
}

/// Whether to ask a server. O(1), without side effects.
///
/// ```
/// use pocketlens::remote::{Blocked, Context, Decision, Finding, IndexState, Mode, Network, Reason, decide};
/// use pocketlens::verdict::Verdict;
///
/// let unsure = Finding {
///     verdict: Verdict::Unsure,
///     hits: 10,
///     filtered: false,
///     index: IndexState::Ready,
///     category_covered: true,
/// };
/// let mut context = Context {
///     mode: Mode::PreferLocal,
///     consent: true,
///     network: Network::Unmetered,
///     allow_metered: false,
///     route: None,
/// };
/// assert_eq!(decide(&unsure, &context), Decision::Server(Reason::Unsure));
/// context.consent = false;
/// assert_eq!(decide(&unsure, &context), Decision::LocalOnly(Blocked::NoConsent));
/// ```
pub fn decide(local: &Finding, context: &Context) -> Decision {
    match reason(local, context.mode) {
        None => Decision::Local,
        Some(reason) => match blocked(context) {
            None => Decision::Server(reason),
            Some(blocked) => Decision::LocalOnly(blocked),
        },
    }
}

fn reason(local: &Finding, mode: Mode) -> Option<Reason> {
    match mode {
        Mode::OnlyLocal => return None,
        Mode::PreferServer | Mode::OnlyServer => return Some(Reason::Wanted),
        Mode::PreferLocal => {}
    }
    match (local.index, local.verdict) {
        (IndexState::Missing, _) => Some(Reason::IndexMissing),
        (IndexState::Stale, _) => Some(Reason::IndexStale),
        _ if !local.category_covered => Some(Reason::CategoryNotCovered),
        _ if local.filtered && local.hits == 0 => Some(Reason::FilterEmpty),
        (_, Verdict::NoMatch) => Some(Reason::NoMatch),
        (_, Verdict::Unsure) => Some(Reason::Unsure),
        (_, Verdict::Match) => None,
    }
}

fn blocked(context: &Context) -> Option<Blocked> {
    if !context.consent {
        return Some(Blocked::NoConsent);
    }
    match context.network {
        Network::Offline => Some(Blocked::Offline),
        Network::Metered if !context.allow_metered => Some(Blocked::Metered),
        _ => context.route,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUND: Finding = Finding {
        verdict: Verdict::Match,
        hits: 10,
        filtered: false,
        index: IndexState::Ready,
        category_covered: true,
    };
    const FREE: Context = Context {
        mode: Mode::PreferLocal,
        consent: true,
        network: Network::Unmetered,
        allow_metered: false,
        route: None,
    };

    #[test]
    fn each_reason_asks_and_a_match_does_not() {
        let cases = [
            (FOUND, Decision::Local),
            (
                Finding {
                    verdict: Verdict::Unsure,
                    ..FOUND
                },
                Decision::Server(Reason::Unsure),
            ),
            (
                Finding {
                    verdict: Verdict::NoMatch,
                    ..FOUND
                },
                Decision::Server(Reason::NoMatch),
            ),
            (
                Finding {
                    verdict: Verdict::NoMatch,
                    hits: 0,
                    filtered: true,
                    ..FOUND
                },
                Decision::Server(Reason::FilterEmpty),
            ),
            (
                Finding {
                    category_covered: false,
                    ..FOUND
                },
                Decision::Server(Reason::CategoryNotCovered),
            ),
            (
                Finding {
                    index: IndexState::Stale,
                    ..FOUND
                },
                Decision::Server(Reason::IndexStale),
            ),
            (
                Finding {
                    index: IndexState::Missing,
                    ..FOUND
                },
                Decision::Server(Reason::IndexMissing),
            ),
        ];
        for (local, expected) in cases {
            assert_eq!(decide(&local, &FREE), expected);
            let only_local = Context {
                mode: Mode::OnlyLocal,
                ..FREE
            };
            assert_eq!(decide(&local, &only_local), Decision::Local);
            for mode in [Mode::PreferServer, Mode::OnlyServer] {
                let context = Context { mode, ..FREE };
                assert_eq!(decide(&local, &context), Decision::Server(Reason::Wanted));
            }
        }
    }

    #[test]
    fn each_block_blocks_and_consent_comes_first() {
        let unsure = Finding {
            verdict: Verdict::Unsure,
            ..FOUND
        };
        let route = |blocked| Context {
            route: Some(blocked),
            ..FREE
        };
        let network = |network| Context { network, ..FREE };
        let cases = [
            (
                Context {
                    consent: false,
                    network: Network::Offline,
                    ..route(Blocked::Paced)
                },
                Blocked::NoConsent,
            ),
            (network(Network::Offline), Blocked::Offline),
            (network(Network::Metered), Blocked::Metered),
            (route(Blocked::BreakerOpen), Blocked::BreakerOpen),
            (route(Blocked::ModelRefused), Blocked::ModelRefused),
            (route(Blocked::Paused), Blocked::Paused),
            (route(Blocked::Paced), Blocked::Paced),
        ];
        for (context, blocked) in cases {
            assert_eq!(decide(&unsure, &context), Decision::LocalOnly(blocked));
            assert_eq!(decide(&FOUND, &context), Decision::Local);
        }
        let paid = Context {
            allow_metered: true,
            ..network(Network::Metered)
        };
        assert_eq!(decide(&unsure, &paid), Decision::Server(Reason::Unsure));
    }
}
