//! What a search came to.

use std::fmt;

use logwrites_core::crash::StateCount;

/// How many states were decided, and by what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub(crate) decided: StateCount,
    pub(crate) total: StateCount,
    pub(crate) nested: StateCount,
    pub(crate) nr_runs: u64,
    pub(crate) nr_groups: u64,
    pub(crate) nr_sampled: u64,
    /// What holds of the states that were not decided, if there are any.
    pub(crate) unfinished: Option<String>,
}

impl Report {
    /// That of a single state, which was asked for.
    pub(crate) fn one_run() -> Self {
        let one = StateCount::power_of_two(0);
        Self { decided: one.clone(), total: one, nr_runs: 1, nr_groups: 1, ..Self::default() }
    }

    /// Whether every state was decided.
    #[must_use]
    pub const fn is_decided(&self) -> bool {
        self.unfinished.is_none()
    }

    /// How many states a crash of the workload can leave.
    #[must_use]
    pub const fn total(&self) -> &StateCount {
        &self.total
    }

    /// How many of them were decided.
    #[must_use]
    pub const fn decided(&self) -> &StateCount {
        &self.decided
    }

    /// How many states of crashed recoveries were decided besides.
    #[must_use]
    pub const fn nested(&self) -> &StateCount {
        &self.nested
    }

    /// How often the checker was run.
    #[must_use]
    pub const fn nr_runs(&self) -> u64 {
        self.nr_runs
    }

    /// How many of the runs were on states that were decided already, to see that the checker is deterministic.
    #[must_use]
    pub const fn nr_sampled(&self) -> u64 {
        self.nr_sampled
    }

    /// In how many groups the states were: between two flushes, FUA writes or marks.
    #[must_use]
    pub const fn nr_groups(&self) -> u64 {
        self.nr_groups
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { decided, total, nested, nr_runs, unfinished, .. } = self;
        write!(f, "{}", Count(decided))?;
        if decided != total {
            write!(f, " of {}", Count(total))?;
        }
        let plural = |is_one| if is_one { "" } else { "s" };
        let (states, runs) = (plural(total.exponent() == Some(0)), plural(*nr_runs == 1));
        write!(f, " state{states}")?;
        if !nested.is_zero() {
            write!(f, " and {} of crashed recoveries", Count(nested))?;
        }
        write!(f, " decided by {nr_runs} run{runs}")?;
        match unfinished {
            Some(guarantee) => write!(f, "; {guarantee}"),
            None => Ok(()),
        }
    }
}

/// A power of two as such where it is large.
struct Count<'a>(&'a StateCount);

impl fmt::Display for Count<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.exponent() {
            Some(exponent) if exponent > 19 => write!(f, "2^{exponent}"),
            _ => self.0.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_well() {
        let (one, many) = (StateCount::power_of_two(0), StateCount::power_of_two(43));
        let report = |decided: &StateCount, total: &StateCount, nr_runs| Report {
            decided: decided.clone(),
            total: total.clone(),
            nr_runs,
            ..Report::default()
        };
        assert_eq!(report(&one, &one, 1).to_string(), "1 state decided by 1 run");
        assert_eq!(report(&many, &many, 118).to_string(), "2^43 states decided by 118 runs");
        let nested = Report { nested: StateCount::power_of_two(3), ..report(&many, &many, 118) };
        assert_eq!(nested.to_string(), "2^43 states and 8 of crashed recoveries decided by 118 runs");
        let limited = Report { unfinished: Some("the rest was not begun".into()), ..report(&one, &many, 2) };
        assert_eq!(limited.to_string(), "1 of 2^43 states decided by 2 runs; the rest was not begun");
    }
}
