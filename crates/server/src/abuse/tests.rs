use super::*;
use proptest::prelude::*;
use std::sync::Arc;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn rate(amount: u64, window: Duration) -> Option<Rate> {
    Some(Rate { amount, window })
}

/// Few of everything, so that limits are met soon.
fn strict() -> Policy {
    Policy {
        rates: Rates {
            connections: rate(3, MINUTE),
            commands: rate(10, MINUTE),
            messages: rate(4, HOUR),
            recipients: rate(6, HOUR),
            octets: rate(1000, HOUR),
            errors: rate(5, HOUR),
            unknown_recipients: rate(3, HOUR),
            failed_logins: rate(4, HOUR),
        },
        accounts: AccountRates {
            connections: rate(3, MINUTE),
            commands: rate(10, MINUTE),
            messages: rate(4, HOUR),
            recipients: rate(6, HOUR),
            octets: rate(1000, HOUR),
            errors: rate(5, HOUR),
        },
        ..Policy::default()
    }
}

fn abuse() -> (Arc<Abuse>, Instant) {
    let now = Instant::now();
    (Arc::new(Abuse::new(strict(), now)), now)
}

fn party(text: &str) -> Party<'static> {
    Party { address: address(text), account: None }
}

#[test]
fn what_is_good_in_measure_is_put_off_and_comes_back() {
    let (abuse, now) = abuse();
    let peer = address("192.0.2.7");
    for _ in 0..3 {
        assert_eq!(abuse.connection(peer, now), Ok(()));
    }
    let refusal = abuse.connection(peer, now).expect_err("the fourth in a minute");
    assert_eq!(refusal.cause, Cause::TooMuch(Measure::Connections));
    assert_eq!(refusal.wait, Some(20 * SECOND));
    assert_eq!(abuse.connection(address("192.0.2.8"), now), Ok(()), "a neighbour is served");
    assert_eq!(abuse.connection(peer, now + 20 * SECOND), Ok(()));
    assert!(abuse.automatic_bans(now).is_empty(), "nobody is banned for coming often");
}

#[test]
fn a_network_has_eight_times_the_rate_of_a_host() {
    let (abuse, now) = abuse();
    for host in 0..8 {
        for _ in 0..3 {
            assert_eq!(abuse.connection(address(&format!("192.0.2.{host}")), now), Ok(()));
        }
    }
    let refusal = abuse.connection(address("192.0.2.99"), now).expect_err("the network has had its share");
    assert_eq!(refusal.scope, Scope::Source("192.0.2.0/24".parse().expect("a network")));
    assert_eq!(abuse.connection(address("192.0.3.99"), now), Ok(()));
}

#[test]
fn a_host_of_ipv6_is_its_64() {
    let (abuse, now) = abuse();
    for last in 1..=3 {
        assert_eq!(abuse.connection(address(&format!("2001:db8:0:1::{last}")), now), Ok(()));
    }
    assert!(abuse.connection(address("2001:db8:0:1::4"), now).is_err());
    assert_eq!(abuse.connection(address("2001:db8:0:2::1"), now), Ok(()));
}

#[test]
fn bans_grow_are_bounded_and_are_forgotten() {
    let (abuse, mut now) = abuse();
    let peer = address("192.0.2.7");
    let mut lengths = Vec::new();
    for _ in 0..10 {
        let ban = loop {
            if let Some(ban) = abuse.unknown_recipient(peer, now) {
                break ban;
            }
        };
        assert_eq!(ban.cause, Cause::Banned(Measure::UnknownRecipients));
        let wait = ban.wait.expect("an end");
        assert_eq!(abuse.connection(peer, now).map_err(|refusal| refusal.wait), Err(Some(wait)));
        assert_eq!(abuse.unknown_recipient(peer, now), None, "what was under way does not make it longer");
        lengths.push(wait.as_secs() / 60);
        now += wait;
        assert_eq!(abuse.connection(peer, now), Ok(()));
    }
    assert_eq!(lengths, [10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440]);
    now += 25 * HOUR;
    let ban = (0..9).find_map(|_| abuse.unknown_recipient(peer, now)).expect("a ban");
    assert_eq!(ban.wait, Some(10 * MINUTE));
}

#[test]
fn offences_that_are_spread_over_time_ban_nobody() {
    let (abuse, mut now) = abuse();
    for _ in 0..100 {
        assert_eq!(abuse.error(address("192.0.2.7"), now), None);
        now += 12 * MINUTE;
    }
}

#[test]
fn exempt_networks_are_not_counted() {
    let (abuse, now) = abuse();
    for _ in 0..1000 {
        assert_eq!(abuse.connection(address("127.0.0.1"), now), Ok(()));
        assert_eq!(abuse.error(address("::ffff:127.0.0.1"), now), None);
    }
}

#[test]
fn octets_count_for_the_next_message() {
    let (abuse, now) = abuse();
    assert_eq!(abuse.message(party("192.0.2.7"), now), Ok(()));
    abuse.content(party("192.0.2.7"), 1500, now);
    let refusal = abuse.message(party("192.0.2.7"), now).expect_err("half as much again");
    assert_eq!((refusal.cause, refusal.wait), (Cause::TooMuch(Measure::Octets), Some(HOUR / 2)));
    assert_eq!(abuse.message(party("192.0.2.7"), now + HOUR / 2), Ok(()));
}

#[test]
fn an_account_has_one_rate_from_everywhere() {
    let (abuse, now) = abuse();
    let from =
        |host: u8| Party { address: IpAddr::from([192, 0, host, 1]), account: Some("ann@example.org") };
    for host in 0..4 {
        assert_eq!(abuse.message(from(host), now), Ok(()));
    }
    assert_eq!(abuse.message(from(9), now).map_err(|refusal| refusal.scope), Err(Scope::Account));
    let bob = Party { account: Some("bob@example.org"), ..from(9) };
    assert_eq!(abuse.message(bob, now), Ok(()));
}

#[test]
fn wrong_logins_ban_the_host_and_shut_strangers_out_of_the_account() {
    let (abuse, now) = abuse();
    let (owner, account) = (address("198.51.100.1"), "ann@example.org");
    abuse.logged_in(owner, account, now);
    let mut attempts = 0;
    for host in 0..100u8 {
        let peer = IpAddr::from([192, host, 2, 1]);
        while abuse.attempt(peer, Some(account), now).is_ok() && abuse.connection(peer, now).is_ok() {
            attempts += 1;
            abuse.failed_login(peer, account, now);
        }
    }
    assert_eq!(attempts, 8, "twice the rate of one host, from a hundred of them");
    let stranger = address("203.0.113.5");
    let refusal =
        abuse.attempt(stranger, Some(account), now).expect_err("anybody may be the hundred and first");
    let NotNow::Refused(refusal) = refusal else { panic!("nothing is under way") };
    assert_eq!(refusal.scope, Scope::Account);
    let attempt = abuse.attempt(owner, Some(account), now).expect("where she usually is she is not shut out");
    assert_eq!(attempt.standing(), Standing::Familiar);
    drop(attempt);
    let attempt =
        abuse.attempt(stranger, Some("bob@example.org"), now).expect("only one account is guessed at");
    assert_eq!(attempt.standing(), Standing::Stranger);
    drop(attempt);
    for _ in 0..8 {
        abuse.failed_login(address("198.51.100.77"), account, now);
    }
    assert!(abuse.attempt(owner, Some(account), now).is_err(), "nor may the familiar network try for ever");
}

/// What an attacker gets who tries `guesses` times at once from all of `hosts`, at accounts that are all different; each check takes so
/// long that all of them are under way before the first one is over.
fn flood(abuse: &Arc<Abuse>, hosts: &[IpAddr], guesses: usize, now: Instant) -> usize {
    let mut under_way = Vec::new();
    for guess in 0..guesses {
        for host in hosts {
            let account = format!("{guess}-{host}");
            under_way
                .extend(abuse.attempt(*host, Some(&account), now).map(|attempt| (*host, account, attempt)));
        }
    }
    let checked = under_way.len();
    for (host, account, attempt) in under_way {
        abuse.failed_login(host, &account, now);
        drop(attempt);
    }
    checked
}

#[test]
fn guesses_at_the_same_time_are_as_few_as_one_after_the_other() {
    let (abuse, now) = abuse();
    let peer = address("192.0.2.7");
    assert_eq!(flood(&abuse, &[peer], 1000, now), 5, "the rate, and the one that bans");
    let refused = abuse.attempt(peer, None, now).expect_err("it is banned");
    let NotNow::Refused(refusal) = refused else { panic!("nothing is under way") };
    assert_eq!(refusal.cause, Cause::Banned(Measure::FailedLogins));
    assert!(refusal.login().to_string().starts_with("421 "), "so that its sessions end");
    assert!(abuse.connection(peer, now).is_err());
    let neighbour = address("192.0.2.8");
    assert!(abuse.attempt(neighbour, Some("ann@example.org"), now).is_ok());
    assert_eq!(abuse.connection(neighbour, now), Ok(()));
}

#[test]
fn a_network_gets_its_share_however_many_hosts_it_has() {
    let (abuse, now) = abuse();
    let all: Vec<_> = (0..=255).map(|host| IpAddr::from([192, 0, 2, host])).collect();
    assert_eq!(flood(&abuse, &all, 10, now), 33, "eight times the rate, and the one that bans");
    assert_eq!(
        abuse.connection(address("192.0.2.7"), now).map_err(|refusal| refusal.cause),
        Err(Cause::Banned(Measure::FailedLogins))
    );
    let prefixes: Vec<_> = (0..1000u128)
        .map(|host| IpAddr::from((0x2001_0db8_0001_u128 << 80 | host << 64).to_be_bytes()))
        .collect();
    assert_eq!(flood(&abuse, &prefixes, 10, now), 33, "the /64s of one /48 likewise");
    assert!(abuse.attempt(address("192.0.3.7"), Some("ann@example.org"), now).is_ok());
}

#[test]
fn an_account_is_guessed_at_so_often_from_however_many_networks() {
    let (abuse, now) = abuse();
    let mut under_way = Vec::new();
    for network in 0..=255 {
        under_way.extend(abuse.attempt(IpAddr::from([198, 18, network, 1]), Some("ann@example.org"), now));
    }
    assert_eq!(under_way.len(), 8, "twice the rate of a host");
    let beyond = abuse.attempt(address("203.0.113.1"), Some("ann@example.org"), now).map(drop);
    assert_eq!(beyond, Err(NotNow::UnderWay), "it may be the owner: it waits for what becomes of the others");
    under_way.pop();
    assert!(
        abuse.attempt(address("203.0.113.1"), Some("ann@example.org"), now).is_ok(),
        "it gives back what it took"
    );
}

#[test]
fn who_goes_on_knocking_at_an_account_that_is_guessed_at_is_banned() {
    let (abuse, now) = abuse();
    for _ in 0..8 {
        abuse.failed_login(address("198.51.100.77"), "ann@example.org", now);
    }
    let peer = address("192.0.2.7");
    let knocks = (1..100).find(|_| {
        let refused = abuse.attempt(peer, Some("ann@example.org"), now).map(drop);
        assert!(
            matches!(refused, Err(NotNow::Refused(Refusal { scope: Scope::Account, .. }))),
            "{refused:?}"
        );
        abuse.knocked(peer, now).is_some()
    });
    assert_eq!(knocks, Some(5));
    assert!(abuse.connection(peer, now).is_err());
}

#[tokio::test]
async fn who_comes_beyond_what_may_fail_waits_until_another_ended() {
    let (abuse, now) = abuse();
    let peer = address("192.0.2.7");
    let mut held: Vec<_> = (0..5).map(|_| abuse.attempt(peer, None, now).expect("room")).collect();
    let mut ended = std::pin::pin!(abuse.attempt_ended());
    ended.as_mut().enable();
    assert_eq!(abuse.attempt(peer, None, now).map(drop), Err(NotNow::UnderWay));
    held.pop();
    ended.await;
    assert!(abuse.attempt(peer, None, now).is_ok());
}

#[test]
fn right_logins_take_nothing_however_many_there_are() {
    let (abuse, now) = abuse();
    let peer = address("192.0.2.7");
    for _ in 0..1000 {
        let attempt = abuse.attempt(peer, Some("ann@example.org"), now).expect("room");
        abuse.logged_in(peer, "ann@example.org", now);
        drop(attempt);
    }
    assert_eq!(abuse.pending(), 0);
}

#[test]
fn bans_by_hand_hold_for_everybody_until_their_end() {
    let (abuse, now) = abuse();
    let ban = |network: &str, until| HandBan {
        network: network.parse().expect("a network"),
        until,
        added: Timestamp(0),
        reason: String::new(),
    };
    let bans = [
        ban("192.0.2.0/24", None),
        ban("127.0.0.1", None),
        ban("2001:db8::/32", Some(Timestamp(61_000))),
        ban("203.0.113.0/24", Some(Timestamp(999))),
    ];
    abuse.set_by_hand(&bans, Timestamp(1000), now);
    let refused = |text: &str, now| {
        abuse.connection(address(text), now).map_err(|refusal| (refusal.cause, refusal.wait))
    };
    assert_eq!(refused("192.0.2.200", now), Err((Cause::BannedByHand, None)));
    assert_eq!(refused("::ffff:192.0.2.200", now), Err((Cause::BannedByHand, None)));
    assert_eq!(refused("127.0.0.1", now), Err((Cause::BannedByHand, None)), "also where limits do not apply");
    assert_eq!(refused("2001:db8::1", now), Err((Cause::BannedByHand, Some(MINUTE))));
    assert_eq!(refused("2001:db8::1", now + MINUTE), Ok(()));
    assert_eq!(refused("203.0.113.1", now), Ok(()), "that one was over");
    abuse.set_by_hand(&[], Timestamp(1000), now);
    assert_eq!(refused("192.0.2.200", now), Ok(()));
}

#[test]
fn a_pardon_forgets_what_led_to_the_ban() {
    let (abuse, now) = abuse();
    let peer = address("192.0.2.7");
    for _ in 0..20 {
        abuse.error(peer, now);
    }
    let bans = abuse.automatic_bans(now);
    assert_eq!(bans.len(), 1);
    assert_eq!((bans[0].network.to_string(), bans[0].measure), ("192.0.2.7/32".to_owned(), Measure::Errors));
    assert_eq!(abuse.pardon("192.0.2.0/24".parse().expect("a network"), now), 1);
    assert_eq!(abuse.connection(peer, now), Ok(()));
    assert!(abuse.automatic_bans(now).is_empty());
}

#[derive(Debug, Clone)]
enum Deed {
    Connect,
    Command,
    Message,
    Content(u64),
    Error,
    Unknown,
    Login(u8),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        Just(Deed::Connect),
        Just(Deed::Command),
        Just(Deed::Message),
        any::<u64>().prop_map(Deed::Content),
        Just(Deed::Error),
        Just(Deed::Unknown),
        any::<u8>().prop_map(Deed::Login),
    ]
}

impl Abuse {
    fn pending(&self) -> usize {
        self.state().pending.len()
    }

    fn entries(&self) -> usize {
        let state = self.state();
        state.hosts.iter().count() + state.networks.iter().count()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever is done from everywhere else, an address that does nothing wrong is served; only its own network can do it harm.
    #[test]
    fn nobody_is_banned_for_the_deeds_of_other_networks(
        deeds in prop::collection::vec((any::<[u8; 4]>(), deed(), 0u64..600), 1..3000),
        innocent in any::<[u8; 4]>(),
    ) {
        let (abuse, mut now) = abuse();
        let innocent = IpAddr::from(innocent);
        for (host, deed, seconds) in deeds {
            // Few networks, so that limits are met.
            let peer = IpAddr::from([192, host[1] % 4, host[2] % 4, host[3] % 8]);
            if source::network(peer) == source::network(innocent) {
                continue;
            }
            now += Duration::from_secs(seconds / 10);
            let party = Party { address: peer, account: None };
            match deed {
                Deed::Connect => drop(abuse.connection(peer, now)),
                Deed::Command => drop(abuse.command(party, now)),
                Deed::Message => drop(abuse.message(party, now)),
                Deed::Content(octets) => abuse.content(party, octets, now),
                Deed::Error => drop(abuse.error(peer, now)),
                Deed::Unknown => drop(abuse.unknown_recipient(peer, now)),
                Deed::Login(account) => drop(abuse.failed_login(peer, &format!("a{account}"), now)),
            }
        }
        prop_assert_eq!(abuse.connection(innocent, now), Ok(()));
        let party = Party { address: innocent, account: Some("innocent") };
        prop_assert_eq!(abuse.command(party, now), Ok(()));
        prop_assert_eq!(abuse.account_session("innocent", now), Ok(()));
        prop_assert!(abuse.attempt(innocent, Some("innocent"), now).is_ok());
        prop_assert_eq!(abuse.message(party, now), Ok(()));
        for ban in abuse.automatic_bans(now) {
            prop_assert!(!ban.network.contains(innocent));
        }
    }
}

#[test]
fn memory_is_bounded_and_a_banned_host_is_not_forgotten_for_new_ones() {
    let (abuse, now) = abuse();
    let banned = address("198.51.100.1");
    for _ in 0..20 {
        abuse.error(banned, now);
    }
    for number in 0..100_000u32 {
        let peer = IpAddr::from((u128::from(0x2001_0db8_u32) << 96 | u128::from(number) << 64).to_be_bytes());
        abuse.error(peer, now);
        let spread = IpAddr::from((number.wrapping_mul(2_654_435_761)).to_be_bytes());
        if !abuse.is_exempt(spread) {
            abuse.error(spread, now);
            abuse.failed_login(spread, &number.to_string(), now);
        }
    }
    assert!(abuse.entries() <= HOSTS + NETWORKS, "{}", abuse.entries());
    assert!(abuse.connection(banned, now).is_err(), "200,000 others made it forget nothing");
}
