use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;
use crate::domain::auth::ClientAuthentication;
use crate::domain::endpoint::Endpoint;

const SOON: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3600);

fn deadline() -> Instant {
    Instant::now() + SOON
}

fn grant(token: &str, lifetime: Duration) -> Grant {
    Grant {
        header: AuthHeader::bearer(token).expect("a token"),
        lifetime,
    }
}

fn refusal() -> Miss {
    Miss::Refused {
        detail: "token endpoint answered 401".to_owned(),
        pause: PAUSE,
    }
}

fn credentials(secret: &str) -> Arc<ClientCredentials> {
    let url = Endpoint::parse("https://login.example.com/token").expect("a URL");
    let made = ClientCredentials::new(url, "id", secret, None, None, ClientAuthentication::Basic);
    Arc::new(made.expect("credentials"))
}

fn wallet() -> Wallet {
    Wallet::new(Instant::now())
}

/// Puts a token into the wallet that was granted so long ago.
fn holding(lifetime: Duration, ago: Duration) -> (Wallet, Arc<Token>) {
    let wallet = wallet();
    let mut token = Token::new(grant("old", lifetime), Instant::now(), false);
    token.refresh_at -= ago;
    token.ends_at -= ago;
    let token = Arc::new(token);
    wallet.state().token = Some(Arc::clone(&token));
    (wallet, token)
}

fn is_bearer(token: &Token, text: &str) -> bool {
    token.header == AuthHeader::bearer(text).expect("a token")
}

fn nobody_asks(_: Instant) -> Result<Grant, Miss> {
    panic!("the token endpoint was asked")
}

#[test]
fn many_attempts_ask_once() {
    let wallet = Arc::new(wallet());
    let asked = Arc::<AtomicUsize>::default();
    let threads: Vec<_> = (0..50)
        .map(|_| {
            let (wallet, asked) = (Arc::clone(&wallet), Arc::clone(&asked));
            thread::spawn(move || {
                let token = wallet.token(deadline(), |_| {
                    asked.fetch_add(1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(50));
                    Ok(grant("t", HOUR))
                });
                assert!(is_bearer(&token.expect("a token"), "t"));
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn token_is_used_until_it_is_about_to_end() {
    for (lifetime, fresh, late) in [(3600, 3500, 3596), (100, 70, 96), (10, 7, 9)] {
        let seconds = Duration::from_secs;
        let (wallet, old) = holding(seconds(lifetime), seconds(fresh));
        let token = wallet.token(deadline(), nobody_asks).expect("a token");
        assert!(Arc::ptr_eq(&token, &old), "{lifetime}");
        let (wallet, _) = holding(seconds(lifetime), seconds(late));
        let token = wallet.token(deadline(), |_| Ok(grant("new", HOUR)));
        assert!(is_bearer(&token.expect("a token"), "new"), "{lifetime}");
    }
}

#[test]
fn token_is_renewed_early_by_one_attempt_while_others_use_the_old_one() {
    let (wallet, old) = holding(HOUR, HOUR - Duration::from_secs(30));
    let token = wallet.token(deadline(), |until| {
        assert!(until < deadline() - SOON / 3, "time is left to send");
        let other = wallet.token(deadline(), nobody_asks).expect("the old token");
        assert!(Arc::ptr_eq(&other, &old));
        Ok(grant("new", HOUR))
    });
    assert!(is_bearer(&token.expect("a token"), "new"));
}

#[test]
fn early_renewal_that_fails_costs_nothing_and_is_not_repeated_at_once() {
    let (wallet, old) = holding(HOUR, HOUR - Duration::from_secs(30));
    let token = wallet.token(deadline(), |_| Err(refusal())).expect("a token");
    assert!(Arc::ptr_eq(&token, &old));
    let token = wallet.token(deadline(), nobody_asks).expect("a token");
    assert!(Arc::ptr_eq(&token, &old));
}

#[test]
fn endpoint_that_gives_no_token_is_left_alone_for_a_while() {
    let wallet = wallet();
    assert_eq!(
        wallet.token(deadline(), |_| Err(refusal())).unwrap_err(),
        refusal()
    );
    let Err(Miss::Refused { detail, .. }) = wallet.token(deadline(), nobody_asks) else {
        panic!("a token out of nowhere");
    };
    assert_eq!(detail, "token endpoint answered 401");
    wallet.state().refusal = Some((detail, Instant::now()));
    assert!(wallet.token(deadline(), |_| Ok(grant("t", HOUR))).is_ok());
}

#[test]
fn shortage_here_is_not_held_against_the_endpoint() {
    let wallet = wallet();
    let short = Miss::Shortage("no descriptor".to_owned());
    assert_eq!(
        wallet.token(deadline(), |_| Err(short.clone())).unwrap_err(),
        short
    );
    assert!(wallet.token(deadline(), |_| Ok(grant("t", HOUR))).is_ok());
}

#[test]
fn attempt_waits_for_another_no_longer_than_its_own_deadline() {
    let wallet = wallet();
    let waited = wallet.token(deadline(), |_| {
        let soon = Instant::now() + Duration::from_millis(50);
        let miss = wallet.token(soon, nobody_asks).unwrap_err();
        assert!(matches!(miss, Miss::Refused { detail, .. } if detail.contains("longer than the timeout")));
        Ok(grant("t", HOUR))
    });
    assert!(waited.is_ok());
}

#[test]
fn panic_while_asking_leaves_the_wallet_usable() {
    let wallet = Arc::new(wallet());
    let inside = Arc::clone(&wallet);
    let panicked = thread::spawn(move || inside.token(deadline(), nobody_asks).map(drop)).join();
    assert!(panicked.is_err());
    assert!(wallet.token(deadline(), |_| Ok(grant("t", HOUR))).is_ok());
}

#[test]
fn rejected_token_is_replaced_once_for_all_who_held_it() {
    let (wallet, old) = holding(HOUR, Duration::ZERO);
    let new = wallet.replacement(&old, deadline(), |_| Ok(grant("new", HOUR)));
    let new = new.expect("another token");
    let other = wallet
        .replacement(&old, deadline(), nobody_asks)
        .expect("the same");
    assert!(Arc::ptr_eq(&other, &new));
    assert!(wallet.replacement(&new, deadline(), nobody_asks).is_none());
}

#[test]
fn rejected_token_stays_when_there_is_no_other() {
    let (wallet, old) = holding(HOUR, Duration::ZERO);
    assert!(wallet.replacement(&old, deadline(), |_| Err(refusal())).is_none());
    let token = wallet.token(deadline(), nobody_asks).expect("a token");
    assert!(Arc::ptr_eq(&token, &old));
}

#[test]
fn equal_credentials_share_a_wallet_and_changed_ones_do_not() {
    let tokens = Tokens::default();
    let first = tokens.wallet(&credentials("a"), None);
    assert!(Arc::ptr_eq(&first, &tokens.wallet(&credentials("a"), None)));
    assert!(!Arc::ptr_eq(&first, &tokens.wallet(&credentials("b"), None)));
}

#[test]
fn wallet_of_credentials_that_no_queue_has_is_thrown_away() {
    let tokens = Tokens::default();
    let kept = credentials("kept");
    let long_ago = Instant::now().checked_sub(2 * KEEP).expect("a time");
    for credentials in [&kept, &credentials("gone")] {
        tokens.wallet(credentials, None).state().used_at = long_ago;
    }
    tokens.wallet(&credentials("new"), None);
    assert_eq!(tokens.count(), 2);
}
