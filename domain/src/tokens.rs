//! When an access token is renewed, and when one that HubSpot refuses counts as gone (C3, C5).

use chrono::TimeDelta;

/// Tokens are renewed this long before they expire, or in the last sixth of a short life.
const RENEW_EARLY: TimeDelta = TimeDelta::minutes(5);
/// A service key is asked at least so often before it counts as revoked,
const KEY_ASKS: u32 = 4;
/// over at least this long,
const KEY_DOUBT: TimeDelta = TimeDelta::seconds(60);
/// and not more often than this.
pub const KEY_ASK_EVERY: TimeDelta = TimeDelta::seconds(20);
/// How long one process alone refreshes a token: three times what HubSpot is given to answer, so that
/// nobody else uses the refresh token while the answer may still come.
pub const REFRESH_LEASE: TimeDelta = TimeDelta::seconds(60);
/// How long after a refresh whose end nobody knows a refused refresh token may still be one that was
/// replaced, with its successor on the way into the store.
const REFRESH_DOUBT: TimeDelta = TimeDelta::minutes(2);
/// How soon a refresh token in doubt is asked again.
const REFRESH_ASK_EVERY: TimeDelta = TimeDelta::seconds(15);
/// The token endpoint is left alone after a failure for 2 s, 4 s, and so on up to this,
const LONGEST_OWN_DELAY: TimeDelta = TimeDelta::seconds(60);
/// or as long as it asks for, up to this.
const LONGEST_ASKED_DELAY: TimeDelta = TimeDelta::minutes(10);

/// What a refused token amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedToken {
    /// Not known yet: ask again after this long.
    AskAgain(TimeDelta),
    /// Gone: somebody has to connect again.
    Revoked,
}

/// How long before its end a token of this lifetime is renewed. Without a known lifetime it is taken
/// for a long one.
pub fn renew_early(lifetime: Option<TimeDelta>) -> TimeDelta {
    lifetime.map_or(RENEW_EARLY, |life| {
        RENEW_EARLY.min(life.max(TimeDelta::zero()) / 6)
    })
}

/// A service key was refused `asked` times in a row, for the first time `since` ago. A key cannot be
/// renewed, and a single 401 may be HubSpot's own trouble: it has to be refused for a while.
pub fn refused_key(asked: u32, since: TimeDelta) -> RefusedToken {
    if asked >= KEY_ASKS && since >= KEY_DOUBT {
        RefusedToken::Revoked
    } else {
        RefusedToken::AskAgain(KEY_ASK_EVERY)
    }
}

/// HubSpot answered `BAD_REFRESH_TOKEN`. `doubtful_for` is how long ago a refresh of this very token
/// ended without anybody knowing how: its process may have got the successor, and be about to store
/// it.
pub fn refused_refresh(doubtful_for: Option<TimeDelta>) -> RefusedToken {
    match doubtful_for {
        Some(since) if since < REFRESH_DOUBT => RefusedToken::AskAgain(REFRESH_ASK_EVERY),
        _ => RefusedToken::Revoked,
    }
}

/// How long the token endpoint is left alone after it failed for the n-th time in a row (from 1).
pub fn refresh_retry_delay(failures: u32, asked_for: Option<TimeDelta>) -> TimeDelta {
    let own = TimeDelta::seconds(1 << failures.clamp(1, 6)).min(LONGEST_OWN_DELAY);
    asked_for.map_or(own, |asked| asked.clamp(own, LONGEST_ASKED_DELAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewed_five_minutes_early_or_in_the_last_sixth() {
        for (lifetime, early) in [
            (None, 300),
            (Some(1_800), 300),
            (Some(86_400), 300),
            (Some(60), 10),
            (Some(0), 0),
            (Some(-5), 0),
        ] {
            assert_eq!(
                renew_early(lifetime.map(TimeDelta::seconds)),
                TimeDelta::seconds(early)
            );
        }
    }

    #[test]
    fn a_key_is_gone_only_after_a_minute_and_several_asks() {
        for (asked, since, gone) in [
            (1, 0, false),
            (1, 600, false),
            (3, 600, false),
            (4, 59, false),
            (4, 60, true),
            (9, 61, true),
        ] {
            let verdict = refused_key(asked, TimeDelta::seconds(since));
            assert_eq!(verdict == RefusedToken::Revoked, gone, "{asked} {since}");
        }
    }

    #[test]
    fn a_refresh_token_in_doubt_is_asked_again() {
        assert_eq!(refused_refresh(None), RefusedToken::Revoked);
        let soon = refused_refresh(Some(TimeDelta::seconds(119)));
        assert_eq!(soon, RefusedToken::AskAgain(REFRESH_ASK_EVERY));
        let late = refused_refresh(Some(TimeDelta::seconds(120)));
        assert_eq!(late, RefusedToken::Revoked);
    }

    #[test]
    fn the_token_endpoint_is_left_alone_ever_longer() {
        let delay = |n, asked: Option<i64>| {
            refresh_retry_delay(n, asked.map(TimeDelta::seconds)).num_seconds()
        };
        assert_eq!(
            [0, 1, 2, 5, 6, 99].map(|n| delay(n, None)),
            [2, 2, 4, 32, 60, 60]
        );
        assert_eq!(delay(1, Some(30)), 30);
        assert_eq!(delay(6, Some(1)), 60);
        assert_eq!(delay(1, Some(1_000_000)), 600);
        assert_eq!(delay(1, Some(-9)), 2);
    }
}
