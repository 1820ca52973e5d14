//! Local first, then the better of both: takes the answer of the device and gives back what it becomes with the
//! server's help. Search on the device, show that, then call [`ServerSearch::upgrade`] off the main thread.

use std::fmt;
use std::sync::Arc;

use super::{
    Blocked, Context, Decision, Finding, IndexState, Mode, Network, RemoteError, SourcedHit,
    decide, merge,
};
use crate::descriptor::Descriptor;
use crate::fingerprint::Fingerprint;
use crate::index::GroupBy;
use crate::index::filter::Filter;
use crate::lens::{Answer, Query, Source};
use crate::verdict::{Calibration, Standing, Verdict};

/// A backend that can be asked: [`Client`](super::Client), or one of the app's own.
pub trait RemoteSearch: Send + Sync {
    /// Asks; blocks until there is an answer or the time for it is over.
    ///
    /// # Errors
    /// [`RemoteError`] says whose fault it is. An error is never worse than no server at all.
    fn search(&self, query: &RemoteQuery<'_>) -> Result<RemoteAnswer, RemoteError>;

    /// What forbids to ask with descriptors of this model now, if anything; sends nothing.
    fn blocked(&self, model: Fingerprint, live: bool) -> Option<Blocked> {
        let _ = (model, live);
        None
    }
}

/// A question to a server. `Debug` does not show the vector.
#[derive(Clone, Copy, Debug)]
pub struct RemoteQuery<'a> {
    /// The vector, and the model that made it.
    pub descriptor: &'a Descriptor,
    /// Hits wanted, at least 1.
    pub k: usize,
    /// Answer only with items that meet these conditions.
    pub filter: Option<&'a Filter>,
    /// One hit a group instead of one an item.
    pub group_by: Option<&'a GroupBy>,
    /// One of a stream of camera frames: at most one a second is sent.
    pub live: bool,
}

impl<'a> RemoteQuery<'a> {
    /// The `k` best of the whole index.
    pub fn new(descriptor: &'a Descriptor, k: usize) -> Self {
        Self {
            descriptor,
            k,
            filter: None,
            group_by: None,
            live: false,
        }
    }
}

/// What a server found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RemoteAnswer {
    /// Best first, each with [`Source::Server`].
    pub hits: Vec<SourcedHit>,
    /// Keys that were removed from the server's index.
    pub gone: Vec<String>,
    /// The best score of another group than that of the first hit.
    pub rival: Option<f32>,
    /// From scores to confidence, as fitted to the server's index.
    pub calibration: Option<Calibration>,
}

/// What the app has decided once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whose answer it wants.
    pub mode: Mode,
    /// Whether a metered network may be used: some 2 KB a question.
    pub allow_metered: bool,
}

/// What the app knows at this moment. By default nobody has agreed to anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// The user agreed that descriptors are sent.
    pub consent: bool,
    /// How bytes would travel.
    pub network: Network,
    /// The index that gave the local answer.
    pub index: IndexState,
    /// Whether that index holds what the app looks for at all.
    pub category_covered: bool,
    /// The photo is one of a stream of camera frames.
    pub live: bool,
}

impl Default for Situation {
    fn default() -> Self {
        Self {
            consent: false,
            network: Network::default(),
            index: IndexState::default(),
            category_covered: true,
            live: false,
        }
    }
}

/// Hits of both, and whether to believe them.
#[derive(Clone, Debug, PartialEq)]
pub struct AssistedAnswer {
    /// At most `k`, best first, each with its source.
    pub hits: Vec<SourcedHit>,
    /// Whether the first hit is what the photo shows.
    pub verdict: Verdict,
    /// Probability that the first hit is right, 0..=1.
    pub confidence: f32,
    /// [`Source::Server`] when a server had its say.
    pub source: Source,
}

/// What became of a local answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Upgrade {
    /// The local answer, or the better one.
    pub answer: AssistedAnswer,
    /// Whether the server was to be asked, and why.
    pub decision: Decision,
    /// Why it was asked in vain.
    pub failure: Option<RemoteError>,
}

/// A policy and a backend.
///
/// ```no_run
/// use std::sync::Arc;
/// use pocketlens::lens::{Lens, Query};
/// use pocketlens::remote::{Policy, RemoteSearch, ServerSearch, Situation};
///
/// # fn show<T>(_: &T) {}
/// # fn upgraded(backend: Arc<dyn RemoteSearch>) -> Result<(), Box<dyn std::error::Error>> {
/// let lens = Lens::open("shop.plx")?;
/// let server = ServerSearch::new(backend, Policy::default());
/// let query = Query::default();
/// let answer = lens.search_file("photo.jpg".as_ref(), &query)?;
/// show(&answer);
/// // Off the main thread:
/// let situation = Situation { consent: true, ..Situation::default() };
/// show(&server.upgrade(&answer, &query, &situation));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ServerSearch {
    backend: Arc<dyn RemoteSearch>,
    policy: Policy,
}

impl ServerSearch {
    /// Asks `backend` as `policy` says.
    pub fn new(backend: Arc<dyn RemoteSearch>, policy: Policy) -> Self {
        Self { backend, policy }
    }

    /// Whether [`Self::upgrade`] would ask now. Sends nothing, waits for nothing.
    pub fn decide(&self, local: &Answer, query: &Query, situation: &Situation) -> Decision {
        let finding = Finding {
            verdict: local.verdict,
            hits: local.hits.len(),
            filtered: query.filter.is_some(),
            index: situation.index,
            category_covered: situation.category_covered,
        };
        let context = Context {
            mode: self.policy.mode,
            consent: situation.consent,
            network: situation.network,
            allow_metered: self.policy.allow_metered,
            route: self
                .backend
                .blocked(local.descriptor.fingerprint, situation.live),
        };
        decide(&finding, &context)
    }

    /// What the local answer becomes. Blocks for the backend's deadline (1.5 s) at most, and not at all where nothing is
    /// asked. Never fails: where the server gives nothing, the local answer stays, and the reason stands beside it.
    pub fn upgrade(&self, local: &Answer, query: &Query, situation: &Situation) -> Upgrade {
        let decision = self.decide(local, query, situation);
        let mut failure = None;
        if let Decision::Server(_) = decision {
            let asked = self.backend.search(&RemoteQuery {
                descriptor: &local.descriptor,
                // One hit is needed for the verdict even when none is wanted.
                k: query.k.max(1),
                filter: query.filter.as_ref(),
                group_by: query.group_by.as_ref(),
                live: situation.live,
            });
            match asked {
                Ok(remote) => {
                    return Upgrade {
                        answer: self.together(local, &remote, query),
                        decision,
                        failure,
                    };
                }
                Err(error) => failure = Some(error),
            }
        }
        Upgrade {
            answer: AssistedAnswer {
                hits: local.hits.iter().map(SourcedHit::local).collect(),
                verdict: local.verdict,
                confidence: local.confidence,
                source: Source::Local,
            },
            decision,
            failure,
        }
    }

    fn together(&self, local: &Answer, remote: &RemoteAnswer, query: &Query) -> AssistedAnswer {
        let own = match self.policy.mode {
            Mode::OnlyServer => &[],
            _ => &local.hits[..],
        };
        let mut hits = merge(own, remote, usize::MAX, query.group_by.as_ref());
        let (verdict, confidence) = match hits.first() {
            None => (Verdict::NoMatch, 0.0),
            Some(first) => {
                let others = hits.iter().filter(|hit| hit.group != first.group);
                let mut rivals: Vec<f32> = others.map(|hit| hit.score).collect();
                // Each side's rival is of another group than that side's first hit.
                let sides = [
                    (remote.hits.first().map(|hit| &hit.group), remote.rival),
                    (own.first().map(|hit| &hit.group), local.rival),
                ];
                for (group, rival) in sides {
                    rivals.extend(rival.filter(|_| group == Some(&first.group)));
                }
                let rival = rivals.into_iter().max_by(f32::total_cmp).unwrap_or(0.0);
                let prior = Calibration::default();
                let calibration = remote.calibration.as_ref().unwrap_or(&prior);
                let standing = Standing {
                    score: first.score,
                    margin: first.score - rival,
                    // Neither side sees the nearest items of both.
                    agreement: None,
                };
                calibration.decide(standing, query.match_precision)
            }
        };
        hits.truncate(query.k);
        AssistedAnswer {
            hits,
            verdict,
            confidence,
            source: Source::Server,
        }
    }
}

impl fmt::Debug for ServerSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSearch")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
