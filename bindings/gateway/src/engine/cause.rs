//! Errors of clients with what is behind them: their own words say where it happened, not what.

use std::error::Error;

/// The error, and the first of its causes where it does not say it itself.
pub(super) fn with_cause(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let (said, cause) = (error.to_string(), causes.last().map(ToString::to_string));
    match cause {
        Some(cause) if !said.contains(&cause) => format!("{said}: {cause}"),
        _ => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("sending failed")]
    struct Sending(#[source] std::io::Error);

    #[test]
    fn the_cause_is_told_once() {
        let cause = std::io::Error::other("no route");
        assert_eq!(with_cause(&cause), "no route");
        assert_eq!(with_cause(&Sending(cause)), "sending failed: no route");
    }
}
