//! The pacer's core against simulated quotas: hours of traffic in virtual time, seeded, so that a row that
//! holds once holds always. `benches/pacing` has the same rows for the whole door and for the SDK.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

use rosterd::aws::pacer::lane::{Lane, Prior, Ticket};
use rosterd::aws::pacer::queue::Queue;
use rosterd::sandbox::knobs::{Bucket, Quota};

/// There and back.
const ROUND_TRIP: f64 = 0.120;
/// How much of that is left to chance, each way.
const JITTER: f64 = 0.015;

/// What happens to a quota on the way.
#[derive(Clone, Copy)]
enum Change {
    None,
    Times(f64),
}

#[derive(Clone, Copy)]
struct Row {
    quota: Quota,
    prior: Prior,
    calls: usize,
    change: Change,
    /// Seconds after the change until the figures count.
    settle: f64,
    /// The share of admitted calls that is throttled for no reason.
    noise: f64,
}

fn row(rate: f64, prior: Prior) -> Row {
    let quota = Quota::bucket(rate, rate);
    Row { quota, prior, calls: 2000, change: Change::None, settle: 0.0, noise: 0.0 }
}

enum Event {
    Due,
    Arrival(Ticket),
    Answer(Ticket, bool),
    Change(f64),
}

struct At(f64, u64, Event);

impl PartialEq for At {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for At {}

impl PartialOrd for At {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for At {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.total_cmp(&self.0).then(other.1.cmp(&self.1))
    }
}

#[derive(Default)]
struct Agenda {
    events: BinaryHeap<At>,
    added: u64,
}

impl Agenda {
    fn add(&mut self, at: f64, event: Event) {
        self.added += 1;
        self.events.push(At(at, self.added, event));
    }
}

/// The share of the quota that was used, and the share of attempts that was throttled.
fn simulate(row: Row, seed: u64) -> (f64, f64) {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut bucket = Bucket::new(row.quota, seed);
    let mut lane = Lane::new(row.prior, f64::INFINITY);
    let mut agenda = Agenda::default();
    agenda.add(0.0, Event::Due);
    let mut rate = row.quota.rate;
    let mut counted_from = 0.0;
    if let Change::Times(factor) = row.change {
        let at = 1000.0 / rate;
        counted_from = at + row.settle;
        agenda.add(at, Event::Change(factor));
    }
    let (mut admitted, mut counted, mut throttled, mut last) = (0, 0.0, 0.0, 0.0);
    while let Some(At(now, _, event)) = agenda.events.pop() {
        let leg =
            |chance: &mut fastrand::Rng| now + ROUND_TRIP / 2.0 * (1.0 + JITTER * (2.0 * chance.f64() - 1.0));
        match event {
            Event::Due => {
                let wait = lane.due(Duration::from_secs_f64(now));
                if wait.is_zero() {
                    let ticket = lane.send(Duration::from_secs_f64(now));
                    agenda.add(leg(&mut chance), Event::Arrival(ticket));
                    agenda.add(now, Event::Due);
                } else {
                    // Timers wake up within a millisecond.
                    agenda.add(now + wait.as_secs_f64() + 0.001 * chance.f64(), Event::Due);
                }
            }
            Event::Arrival(ticket) => {
                let is_admitted = bucket.take(now) && chance.f64() >= row.noise;
                admitted += usize::from(is_admitted);
                if now >= counted_from {
                    counted += f64::from(u8::from(is_admitted));
                    throttled += f64::from(u8::from(!is_admitted));
                    last = now;
                }
                agenda.add(leg(&mut chance), Event::Answer(ticket, is_admitted));
                if admitted >= row.calls {
                    break;
                }
            }
            Event::Answer(_, true) => {}
            Event::Answer(ticket, false) => lane.throttled(ticket, Duration::from_secs_f64(now), None),
            Event::Change(factor) => {
                rate *= factor;
                bucket.set(Quota { rate, burst: (row.quota.burst * factor).max(1.0), ..row.quota }, now);
            }
        }
    }
    (counted / ((rate - row.quota.competitor) * (last - counted_from)), throttled / (counted + throttled))
}

/// The row in the median of five seeds.
#[track_caller]
fn check(name: &str, row: Row, used_min: f64, throttled_max: f64) {
    let (mut used, mut throttled): (Vec<f64>, Vec<f64>) = (1..=5).map(|seed| simulate(row, seed)).unzip();
    used.sort_by(f64::total_cmp);
    throttled.sort_by(f64::total_cmp);
    let (used, throttled) = (used[2] * 100.0, throttled[2] * 100.0);
    assert!(
        used >= used_min && throttled <= throttled_max,
        "{name}: {used:.1} % used (at least {used_min}), {throttled:.2} % throttled (at most {throttled_max})"
    );
}

#[test]
fn a_steady_quota_is_used_from_the_start() {
    for rate in [3.0, 8.0, 20.0, 50.0] {
        check(&format!("{rate}/s, exact"), row(rate, Prior::Named(rate)), 97.0, 1.0);
        check(&format!("{rate}/s, half"), row(rate, Prior::Named(rate / 2.0)), 97.0, 1.0);
        check(&format!("{rate}/s, double"), row(rate, Prior::Named(rate * 2.0)), 97.0, 1.0);
        check(&format!("{rate}/s, blind"), row(rate, Prior::Blind(10.0)), 95.0, 2.0);
    }
    // Ten seconds of traffic: what is under way at the first throttle is a percent of it already.
    check("200/s, exact", row(200.0, Prior::Named(200.0)), 97.0, 1.3);
    check("200/s, half", row(200.0, Prior::Named(100.0)), 97.0, 1.3);
    check("200/s, double", row(200.0, Prior::Named(400.0)), 97.0, 2.4);
    check("200/s, blind", row(200.0, Prior::Blind(10.0)), 95.0, 2.0);
}

#[test]
fn a_quota_that_changes_is_found_again() {
    for rate in [3.0, 8.0, 20.0, 50.0] {
        let base = row(rate, Prior::Named(rate));
        let halved = Row { change: Change::Times(0.5), settle: 10.0, ..base };
        check(&format!("{rate}/s halved"), halved, 97.0, 1.0);
        let calls = 4000 + (120.0 * rate) as usize;
        let doubled = Row { change: Change::Times(2.0), settle: 60.0, calls, ..base };
        // A minute at 3/s is 180 calls, of which it takes 135 to be sure that nothing changed.
        check(&format!("{rate}/s doubled"), doubled, if rate < 8.0 { 94.0 } else { 97.0 }, 1.0);
    }
}

#[test]
fn a_competitor_is_left_its_share() {
    for (rate, used) in [(8.0, 92.0), (20.0, 95.0), (50.0, 95.0)] {
        let quota = Quota { competitor: 0.3 * rate, ..Quota::bucket(rate, rate) };
        let competed = Row { quota, ..row(rate, Prior::Named(rate)) };
        check(&format!("{rate}/s, 30 % taken"), competed, used, 2.0);
    }
}

#[test]
fn a_quota_without_a_bank_is_used() {
    for rate in [3.0, 8.0, 20.0] {
        for (name, prior) in [("exact", rate), ("half", rate / 2.0), ("double", rate * 2.0)] {
            let quota = Quota::bucket(rate, 1.0);
            let unbanked = Row { quota, ..row(rate, Prior::Named(prior)) };
            check(&format!("{rate}/s at once 1, {name}"), unbanked, 90.0, 5.0);
            let quota = Quota::window(rate);
            let windows = Row { quota, ..row(rate, Prior::Named(prior)) };
            check(&format!("{rate} per fixed second, {name}"), windows, 95.0, 1.3);
        }
    }
}

#[test]
fn throttles_without_a_cause_do_not_stop_a_lane() {
    for rate in [3.0, 8.0, 20.0] {
        // The quota is ten times the prior: a lane that gave in would be at a fiftieth of the prior.
        let noisy = Row { noise: 0.05, ..row(rate * 10.0, Prior::Named(rate)) };
        check(&format!("{rate}/s, 5 % throttled at random"), noisy, 3.0, 6.0);
    }
}

#[test]
fn a_learned_rate_is_where_a_lane_goes_on() {
    let learned = Prior::Learned { prior: 10.0, knee: 40.0 };
    check("40/s, learned", row(40.0, learned), 97.0, 1.0);
    check("20/s, learned as 40/s", row(20.0, learned), 97.0, 1.0);
    check("80/s, learned as 40/s", row(80.0, learned), 85.0, 2.0);
}

#[test]
fn what_the_service_asks_for_goes_first() {
    let at = Duration::from_millis;
    for prior in [Prior::Named(10.0), Prior::Unlimited] {
        let mut lane = Lane::new(prior, f64::INFINITY);
        let ticket = lane.send(at(0));
        lane.throttled(ticket, at(100), Some(Duration::from_secs(7)));
        assert_eq!(lane.due(at(100)), Duration::from_secs(7), "{prior:?}");
        assert_eq!(lane.due(at(7100)), Duration::ZERO, "{prior:?}");
    }
}

#[test]
fn an_unlimited_lane_never_waits_of_itself() {
    let mut lane = Lane::new(Prior::Unlimited, f64::INFINITY);
    let ticket = lane.send(Duration::ZERO);
    lane.throttled(ticket, Duration::ZERO, None);
    assert_eq!(lane.due(Duration::ZERO), Duration::ZERO);
}

#[test]
fn a_lane_never_goes_beyond_its_ceiling() {
    for prior in [Prior::Named(10.0), Prior::Blind(10.0), Prior::Learned { prior: 10.0, knee: 40.0 }] {
        let mut lane = Lane::new(prior, 4.0);
        let mut chance = fastrand::Rng::with_seed(1);
        let mut now = Duration::ZERO;
        let mut sent: Vec<Duration> = Vec::new();
        for n in 0..4000 {
            // Timers that are late, and a throttle now and then.
            now += lane.due(now) + Duration::from_micros(chance.u64(..9_000));
            let ticket = lane.send(now);
            sent.push(now);
            if n % 500 == 499 {
                lane.throttled(ticket, now + Duration::from_millis(100), None);
            }
            assert!(lane.rate() <= 4.0 && lane.knee().is_none_or(|knee| knee <= 4.0), "{prior:?}");
        }
        for window in sent.windows(6) {
            // Five slots, less what may be caught up with.
            assert!(window[5] - window[0] >= Duration::from_millis(1_250 - 20), "{prior:?}");
        }
    }
}

#[test]
fn a_lane_recovers_within_minutes_from_a_time_when_nothing_was_admitted() {
    for (rate, prior) in [(3.0, Prior::Named(3.0)), (8.0, Prior::Named(8.0)), (20.0, Prior::Blind(10.0))] {
        let mut lane = Lane::new(prior, f64::INFINITY);
        let mut bucket = Bucket::new(Quota::bucket(rate, rate), 1);
        let (mut now, mut recovered) = (0.0, None);
        let outage = 60.0..120.0;
        while now < 600.0 && recovered.is_none() {
            now += lane.due(Duration::from_secs_f64(now)).as_secs_f64();
            let ticket = lane.send(Duration::from_secs_f64(now));
            if !bucket.take(now) || outage.contains(&now) {
                lane.throttled(ticket, Duration::from_secs_f64(now + 0.0001), None);
            }
            assert!(
                !outage.contains(&now) || lane.settled().is_none_or(|knee| knee >= 0.5 * rate),
                "{rate}/s"
            );
            recovered = (now > outage.end && lane.rate() >= 0.8 * rate).then_some(now);
        }
        let took = recovered.map(|at| at - outage.end);
        assert!(took.is_some_and(|seconds| seconds < 300.0), "{rate}/s: {took:?}");
    }
}

#[test]
fn a_lane_that_is_seldom_used_does_not_grow() {
    let mut lane = Lane::new(Prior::Named(10.0), f64::INFINITY);
    let before = lane.rate();
    for second in 0..10_000 {
        lane.send(Duration::from_secs(second));
    }
    assert_eq!(lane.rate(), before, "calls that nothing held back show nothing");
}

#[test]
fn a_lane_grows_no_faster_than_what_passes_through_it() {
    for gap in [5, 2, 1] {
        for prior in [Prior::Named(2000.0), Prior::Blind(10.0)] {
            let mut lane = Lane::new(prior, f64::INFINITY);
            let mut now = Duration::ZERO;
            for _ in 0..100_000 {
                now += lane.due(now).max(Duration::from_millis(gap));
                lane.send(now);
            }
            assert!(
                lane.rate()
                    <= (2.1 * 1000.0 / gap as f64).max(if prior == Prior::Blind(10.0) {
                        0.0
                    } else {
                        2000.0
                    }),
                "{gap} ms, {prior:?}: {}",
                lane.rate()
            );
        }
    }
}

#[test]
fn what_was_under_way_at_a_cut_does_not_cut_again() {
    let at = Duration::from_millis;
    let mut lane = Lane::new(Prior::Named(100.0), f64::INFINITY);
    let tickets: Vec<Ticket> = (0..10).map(|n| lane.send(at(n * 10))).collect();
    lane.throttled(tickets[0], at(120), None);
    let rate = lane.rate();
    for ticket in &tickets[1..] {
        lane.throttled(*ticket, at(121), None);
    }
    assert_eq!(lane.rate(), rate);
}

#[test]
fn targets_take_turns_and_older_calls_go_first() {
    let mut queue = Queue::default();
    for (target, call) in [(1, 10), (1, 11), (2, 12), (1, 13), (3, 14)] {
        queue.join(target, call, ());
    }
    let mut order = Vec::new();
    while let Some((target, call)) = queue.next() {
        queue.served(target);
        queue.leave(target, call);
        order.push(call);
        if call == 12 {
            // Throttled and back: the first of its target again.
            queue.join(1, 10, ());
        }
    }
    assert_eq!(order, [10, 12, 14, 10, 11, 13]);
}
