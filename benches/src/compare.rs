//! The method: two sides take turns, and the ratio of their medians is what counts.

use std::fmt;
use std::time::{Duration, Instant};

use crate::table::{Row, Table};

/// Who takes a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Peer,
}

impl Side {
    /// The name that the side's files begin with.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Peer => "peer",
        }
    }
}

/// What is compared.
pub(crate) trait Contest {
    /// Prepares a turn. This is not timed.
    fn prepare(&mut self) -> anyhow::Result<()>;

    /// Takes a turn, and gives how long it took if the program that ran says so itself.
    fn run(&mut self, side: Side) -> anyhow::Result<Option<Duration>>;
}

/// Times both sides by turns, each after a preparation, and adds the row.
pub(crate) fn compare(
    table: &mut Table,
    nr_rounds: usize,
    what: &str,
    beside: &str,
    contest: &mut impl Contest,
) -> anyhow::Result<()> {
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..nr_rounds {
        for (side, times) in [(Side::Ours, &mut ours), (Side::Peer, &mut peer)] {
            contest.prepare()?;
            let start = Instant::now();
            let said = contest.run(side)?;
            times.push(said.unwrap_or_else(|| start.elapsed()));
        }
    }
    let (ours, peer) = (Times::new(ours), Times::new(peer));
    table.add(Row {
        what: what.to_owned(),
        ours: ours.to_string(),
        beside: beside.to_owned(),
        peer: peer.to_string(),
        ratio: format!("{:.2}", ours.median().as_secs_f64() / peer.median().as_secs_f64()),
    });
    Ok(())
}

/// How long a side took each time, in ascending order; never empty.
struct Times(Vec<Duration>);

impl Times {
    fn new(mut times: Vec<Duration>) -> Self {
        assert!(!times.is_empty(), "there is at least one round");
        times.sort_unstable();
        Self(times)
    }

    fn median(&self) -> Duration {
        self.0[(self.0.len() - 1) / 2]
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [min, median, max] = [self.0[0], self.median(), self.0[self.0.len() - 1]].map(seconds);
        write!(f, "{min} / {median} / {max} s")
    }
}

/// At least two digits of a time of 10 ms or more.
fn seconds(time: Duration) -> String {
    let places = if time < Duration::from_micros(99_500) { 3 } else { 2 };
    format!("{:.places$}", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says that ours take 40, 10, 30 and 20 ms, and the peers 100 ms each.
    struct Said(Vec<Side>, Vec<u64>);

    impl Contest for Said {
        fn prepare(&mut self) -> anyhow::Result<()> {
            Ok(())
        }

        fn run(&mut self, side: Side) -> anyhow::Result<Option<Duration>> {
            self.0.push(side);
            let millis = if side == Side::Ours { self.1.remove(0) } else { 100 };
            Ok(Some(Duration::from_millis(millis)))
        }
    }

    #[test]
    fn sides_take_turns_and_medians_are_compared() {
        let mut contest = Said(Vec::new(), vec![40, 10, 30, 20]);
        let mut table = Table::default();
        compare(&mut table, 4, "a", "b", &mut contest).expect("a row");
        assert_eq!(contest.0, [Side::Ours, Side::Peer].repeat(4));
        let row = "| a | 0.010 / 0.020 / 0.040 s | b | 0.10 / 0.10 / 0.10 s | 0.20 |";
        assert_eq!(table.rows().map(ToString::to_string).collect::<Vec<_>>(), [row]);
    }
}
