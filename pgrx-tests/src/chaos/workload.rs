//! What each writer does: a pure function of the seed, so that a run can be had again.

use super::identity::Identity;

/// How a transaction goes and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Commit,
    /// Commits with `synchronous_commit = off`.
    CommitLater,
    Rollback,
    /// Its second half is taken back by a savepoint.
    Savepoint,
    CommitPrepared,
    RollbackPrepared,
    /// The client is gone as soon as it has said COMMIT.
    KilledInCommit,
    /// The client is gone before it says COMMIT.
    KilledBefore,
    /// Commits, and then cancels its messages in another transaction.
    Cancel,
}

impl Kind {
    pub const ALL: [Kind; 9] = [
        Kind::Commit,
        Kind::CommitLater,
        Kind::Rollback,
        Kind::Savepoint,
        Kind::CommitPrepared,
        Kind::RollbackPrepared,
        Kind::KilledInCommit,
        Kind::KilledBefore,
        Kind::Cancel,
    ];
}

/// The queue that a message goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Queue {
    Plain,
    /// Every message has an ordering key.
    Keyed,
    /// Its receiver refuses everything.
    Doomed,
    /// Its receiver accepts everything at once: it shows that deliveries go on.
    Pulse,
    /// The worker is killed when a message of it arrives.
    Poison,
}

impl Queue {
    pub fn name(self) -> &'static str {
        match self {
            Queue::Plain => "plain",
            Queue::Keyed => "keyed",
            Queue::Doomed => "doomed",
            Queue::Pulse => "pulse",
            Queue::Poison => "poison",
        }
    }
}

/// By which way a message is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    Text,
    Bytes,
    /// A plain INSERT.
    Row,
}

/// A message to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub identity: Identity,
    pub queue: Queue,
    pub form: Form,
    pub length: usize,
    /// One of the few keys of its writer.
    pub key: Option<u32>,
    /// Due so long after the transaction began.
    pub delay_ms: u32,
    /// Worth sending for so long after it is due.
    pub ttl_ms: Option<u32>,
}

/// A transaction to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    pub kind: Kind,
    pub drafts: Vec<Draft>,
}

impl Task {
    /// Whether the transaction itself takes this message back.
    pub fn takes_back(&self, place: usize) -> bool {
        match self.kind {
            Kind::Rollback | Kind::RollbackPrepared | Kind::KilledBefore => true,
            Kind::Savepoint => place >= self.drafts.len() / 2,
            _ => false,
        }
    }
}

/// The transaction of this number, counted from 1, of a writer.
pub fn task(seed: u64, writer: u32, transaction: u32) -> Task {
    let place = u64::from(writer) << 40 | u64::from(transaction);
    let mut random = fastrand::Rng::with_seed(seed.rotate_left(17) ^ place);
    // Seeds that lie close together begin alike.
    random.u64(..);
    let kind = kind(&mut random);
    let least = if kind == Kind::Savepoint { 2 } else { 1 };
    let drafts = (1..=random.u32(least..=4)).map(|message| {
        let identity = Identity::new(writer, transaction, message);
        draft(&mut random, kind, identity)
    });
    Task {
        kind,
        drafts: drafts.collect(),
    }
}

fn kind(random: &mut fastrand::Rng) -> Kind {
    match random.u32(..100) {
        0..58 => Kind::Commit,
        58..63 => Kind::CommitLater,
        63..73 => Kind::Rollback,
        73..83 => Kind::Savepoint,
        83..87 => Kind::CommitPrepared,
        87..89 => Kind::RollbackPrepared,
        89..94 => Kind::KilledInCommit,
        94..96 => Kind::KilledBefore,
        _ => Kind::Cancel,
    }
}

fn draft(random: &mut fastrand::Rng, kind: Kind, identity: Identity) -> Draft {
    // A key means an order, and that asks for one session that knows how each of its commits ended.
    let may_have_key = !matches!(kind, Kind::CommitPrepared | Kind::RollbackPrepared | Kind::Cancel);
    let queue = match random.u32(..100) {
        0..3 if kind != Kind::Cancel => Queue::Doomed,
        3..40 if may_have_key => Queue::Keyed,
        _ => Queue::Plain,
    };
    let form = match random.u32(..100) {
        0..75 => Form::Text,
        75..90 => Form::Bytes,
        _ => Form::Row,
    };
    let length = match random.u32(..200) {
        0..180 => random.usize(20..400),
        180..199 => random.usize(4_000..12_000),
        _ => random.usize(60_000..150_000),
    };
    let key = random.u32(..3);
    // Some are late with their second attempt, some with their first when there is a fault, and some in time.
    let is_for_a_while = queue != Queue::Doomed && random.u32(..100) < 6;
    let ttl_ms = is_for_a_while.then(|| random.u32(50..2_500));
    // Some are cancelled while they wait, and some while they are sent.
    let waits = queue == Queue::Plain && random.u32(..100) < if kind == Kind::Cancel { 50 } else { 5 };
    Draft {
        identity,
        queue,
        form,
        length,
        key: (queue == Queue::Keyed).then_some(key),
        delay_ms: if waits { random.u32(..1_500) } else { 0 },
        ttl_ms,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Kind, task};

    #[test]
    fn same_seed_gives_the_same_work_and_another_seed_other_work() {
        let work = |seed| (1..100).map(|number| task(seed, 2, number)).collect::<Vec<_>>();
        assert_eq!(work(7), work(7));
        assert_ne!(work(7), work(8));
    }

    #[test]
    fn every_kind_of_transaction_comes_up() {
        let kinds: BTreeSet<_> = (1..500).map(|number| task(7, 1, number).kind).collect();
        assert_eq!(kinds, Kind::ALL.into());
    }
}
