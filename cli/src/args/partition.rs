//! `--partition`: which part of an exploration this machine does, as it is told or as its scheduler says.

use crate::explore::{ParsePartitionError, Partition};

/// Parses `M/N`, or `auto`: what the scheduler that has started this process says.
///
/// # Errors
/// Why it is neither, or why no scheduler says so.
pub(crate) fn parse_partition(text: &str) -> Result<Partition, String> {
    if text == "auto" {
        return by_scheduler(|name| std::env::var(name).ok());
    }
    text.parse().map_err(|error: ParsePartitionError| format!("{error}, or `auto`"))
}

/// A scheduler that starts the same command several times.
struct Scheduler {
    name: &'static str,
    /// The variable that says which of them this one is.
    nth: &'static str,
    /// What the first one is called.
    first: First,
    /// The variable that says how many there are.
    nr_parts: &'static str,
    /// What to do if it does not.
    hint: &'static str,
}

/// What the first of several processes is called.
enum First {
    Number(usize),
    /// What this variable says.
    Variable(&'static str),
}

const SCHEDULERS: [Scheduler; 6] = [
    Scheduler {
        name: "Slurm",
        nth: "SLURM_ARRAY_TASK_ID",
        first: First::Variable("SLURM_ARRAY_TASK_MIN"),
        nr_parts: "SLURM_ARRAY_TASK_COUNT",
        hint: "start it as an array job: sbatch --array=1-8",
    },
    Scheduler {
        name: "Kubernetes",
        nth: "JOB_COMPLETION_INDEX",
        first: First::Number(0),
        nr_parts: "JOB_COMPLETIONS",
        hint: "set it in the Job's manifest to the same number as `completions`",
    },
    Scheduler {
        name: "AWS Batch",
        nth: "AWS_BATCH_JOB_ARRAY_INDEX",
        first: First::Number(0),
        nr_parts: "AWS_BATCH_JOB_ARRAY_SIZE",
        hint: "start it as an array job",
    },
    Scheduler {
        name: "GitLab CI",
        nth: "CI_NODE_INDEX",
        first: First::Number(1),
        nr_parts: "CI_NODE_TOTAL",
        hint: "set `parallel` of the job",
    },
    Scheduler {
        name: "CircleCI",
        nth: "CIRCLE_NODE_INDEX",
        first: First::Number(0),
        nr_parts: "CIRCLE_NODE_TOTAL",
        hint: "set `parallelism` of the job",
    },
    Scheduler {
        name: "Buildkite",
        nth: "BUILDKITE_PARALLEL_JOB",
        first: First::Number(0),
        nr_parts: "BUILDKITE_PARALLEL_JOB_COUNT",
        hint: "set `parallelism` of the step",
    },
];

fn by_scheduler(variable: impl Fn(&str) -> Option<String>) -> Result<Partition, String> {
    let scheduler =
        SCHEDULERS.iter().find(|scheduler| variable(scheduler.nth).is_some()).ok_or_else(|| {
            let names: Vec<&str> = SCHEDULERS.iter().map(|scheduler| scheduler.nth).collect();
            format!("no scheduler has started this process: none of {} is set", names.join(", "))
        })?;
    let Scheduler { name, nth, first, nr_parts, hint } = scheduler;
    let number = |variable_name: &str| {
        let text = variable(variable_name);
        let text =
            text.ok_or_else(|| format!("{name} sets {nth}, but {variable_name} is not set: {hint}"))?;
        text.parse::<usize>().map_err(|_| format!("{variable_name} of {name} is not a number: {text:?}"))
    };
    let first = match first {
        First::Number(first) => *first,
        First::Variable(variable_name) => number(variable_name)?,
    };
    let (this, nr_parts_given) = (number(nth)?, number(nr_parts)?);
    let counted = this.checked_sub(first).and_then(|before| Partition::new(before + 1, nr_parts_given));
    counted.ok_or_else(|| {
        format!("{name}: {nth}={this} is not among {nr_parts}={nr_parts_given} from {first} on, without gaps: {hint}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(variables: &[(&str, &str)]) -> Result<String, String> {
        let value = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        by_scheduler(value).map(|partition| partition.to_string())
    }

    #[test]
    fn each_scheduler_says_which_part_it_is() {
        for (variables, part) in [
            (&["SLURM_ARRAY_TASK_ID=3", "SLURM_ARRAY_TASK_MIN=1", "SLURM_ARRAY_TASK_COUNT=8"][..], "3/8"),
            (&["SLURM_ARRAY_TASK_ID=7", "SLURM_ARRAY_TASK_MIN=0", "SLURM_ARRAY_TASK_COUNT=8"], "8/8"),
            (&["JOB_COMPLETION_INDEX=0", "JOB_COMPLETIONS=8"], "1/8"),
            (&["AWS_BATCH_JOB_ARRAY_INDEX=1", "AWS_BATCH_JOB_ARRAY_SIZE=2"], "2/2"),
            (&["CI_NODE_INDEX=1", "CI_NODE_TOTAL=4"], "1/4"),
            (&["CIRCLE_NODE_INDEX=3", "CIRCLE_NODE_TOTAL=4"], "4/4"),
            (&["BUILDKITE_PARALLEL_JOB=0", "BUILDKITE_PARALLEL_JOB_COUNT=4"], "1/4"),
        ] {
            let variables: Vec<(&str, &str)> =
                variables.iter().map(|text| text.split_once('=').unwrap()).collect();
            assert_eq!(told(&variables).as_deref(), Ok(part), "{variables:?}");
        }
    }

    #[test]
    fn what_no_scheduler_says_is_told() {
        for (variables, message) in [
            (&[][..], "no scheduler has started this process: none of SLURM_ARRAY_TASK_ID, "),
            (&[("JOB_COMPLETION_INDEX", "0")], "JOB_COMPLETIONS is not set: set it in the Job's manifest"),
            (
                &[("CI_NODE_INDEX", "one"), ("CI_NODE_TOTAL", "4")],
                "CI_NODE_INDEX of GitLab CI is not a number",
            ),
            (
                &[("CI_NODE_INDEX", "5"), ("CI_NODE_TOTAL", "4")],
                "CI_NODE_INDEX=5 is not among CI_NODE_TOTAL=4",
            ),
            (
                // Tasks 1, 3 and 5: their numbers have gaps.
                &[
                    ("SLURM_ARRAY_TASK_ID", "5"),
                    ("SLURM_ARRAY_TASK_MIN", "1"),
                    ("SLURM_ARRAY_TASK_COUNT", "3"),
                ],
                "without gaps",
            ),
        ] {
            let error = told(variables).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
