//! One request and its reply: tokens, at most one retry, and what a status means for the questions to come.

use std::time::Duration;

use super::super::deadline::Deadline;
use super::super::retry::{jitter, random, retry_after};
use super::super::{
    HttpRequest, HttpResponse, Method, Problem, RemoteError, Token, TransportError,
};
use super::Client;

/// Less is not worth a request.
const LEAST: Duration = Duration::from_millis(10);

/// What a failed attempt leaves to do.
enum Failed {
    /// The same may go well a moment later.
    Passing(RemoteError),
    /// It will not.
    Final(RemoteError),
}

impl Client {
    /// The body of a good reply.
    pub(super) fn exchange(
        &self,
        method: Method,
        path: &str,
        body: &[u8],
        deadline: &mut Deadline,
    ) -> Result<Vec<u8>, RemoteError> {
        let mut token = self.tokens.as_ref().and_then(|tokens| tokens.token());
        let mut refreshed = false;
        let mut retried = false;
        loop {
            let left = deadline.left(self.clock.now());
            if left < LEAST {
                self.state().breaker.failed(self.clock.now());
                return Err(RemoteError::DeadlineExceeded(self.options.deadline));
            }
            let request = self.request(method, path, body.to_vec(), token.as_ref(), left);
            let reply = self.transport.send(&request);
            if let Ok(HttpResponse { status: 401, .. }) = reply
                && !refreshed
                && let Some(renewed) = self.renewed(token.as_ref(), deadline)
            {
                token = Some(renewed);
                refreshed = true;
                continue;
            }
            match self.judge(reply, deadline) {
                Ok(body) => return Ok(body),
                Err(Failed::Final(error)) => return Err(error),
                Err(Failed::Passing(error)) => {
                    if retried || !self.state().budget.take() {
                        return Err(error);
                    }
                    retried = true;
                    let wait = jitter(random());
                    if wait + LEAST > deadline.left(self.clock.now()) {
                        return Err(error);
                    }
                    self.clock.sleep(wait);
                }
            }
        }
    }

    /// A token in place of one that was refused.
    fn renewed(&self, refused: Option<&Token>, deadline: &mut Deadline) -> Option<Token> {
        let left = deadline.left(self.clock.now());
        let renewed = self.tokens.as_ref()?.refresh(refused?, left)?;
        (refused != Some(&renewed)).then_some(renewed)
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        token: Option<&Token>,
        left: Duration,
    ) -> HttpRequest {
        let mut headers = vec![("Accept".to_owned(), "application/json".to_owned())];
        if method == Method::Post {
            headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
        if let Some(token) = token {
            let bearer = format!("Bearer {}", token.reveal());
            headers.push(("Authorization".to_owned(), bearer));
        }
        HttpRequest {
            method,
            url: format!("{}{path}", self.base_url),
            headers,
            body,
            connect_timeout: self.options.connect.min(left),
            timeout: left,
            max_reply_bytes: self.options.max_reply_bytes,
        }
    }

    fn judge(
        &self,
        reply: Result<HttpResponse, TransportError>,
        deadline: &mut Deadline,
    ) -> Result<Vec<u8>, Failed> {
        let now = self.clock.now();
        let mut state = self.state();
        let limit = self.options.max_reply_bytes;
        let reply = match reply {
            // A transport that does not keep the limit.
            Ok(reply) if reply.body.len() > limit => Err(TransportError::TooLarge { limit }),
            reply => reply,
        };
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) => {
                state.breaker.failed(now);
                drop(state);
                let passing = match error {
                    TransportError::Refused(_) | TransportError::Broken(_) => true,
                    TransportError::TimedOut => {
                        // It was given all that was left.
                        deadline.spend(Duration::MAX);
                        return Err(Failed::Final(RemoteError::DeadlineExceeded(
                            self.options.deadline,
                        )));
                    }
                    TransportError::TooLarge { .. } => false,
                };
                let error = RemoteError::Transport(error);
                return Err(if passing {
                    Failed::Passing(error)
                } else {
                    Failed::Final(error)
                });
            }
        };
        let status = reply.status;
        let problem = || serde_json::from_slice::<Problem>(&reply.body).ok();
        let refusal = || RemoteError::Server {
            status,
            problem: problem(),
        };
        match status {
            200 => {
                state.breaker.succeeded();
                state.budget.succeeded();
                drop(state);
                Ok(reply.body)
            }
            401 | 403 => {
                state.breaker.succeeded();
                Err(Failed::Final(RemoteError::Unauthorized))
            }
            429 => {
                let pause = retry_after(&reply);
                state.breaker.succeeded();
                state.pause = Some((now, pause));
                Err(Failed::Final(RemoteError::RateLimited(pause)))
            }
            503 if reply.header("retry-after").is_some() => {
                state.breaker.failed(now);
                state.pause = Some((now, retry_after(&reply)));
                Err(Failed::Final(refusal()))
            }
            400..=499 if status != 408 => {
                state.breaker.succeeded();
                Err(Failed::Final(refusal()))
            }
            408 | 500..=599 => {
                state.breaker.failed(now);
                Err(Failed::Passing(refusal()))
            }
            _ => {
                state.breaker.failed(now);
                let what = format!("status 200 was expected, found {status}");
                Err(Failed::Final(RemoteError::BadReply(what)))
            }
        }
    }
}
