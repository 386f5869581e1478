//! `cargo xtask test`: everything that must hold, one step after another.
//!
//! Every step runs, whatever the others did, so that one run shows all that is broken. A step that lacks something on
//! this machine (Node, Python, FUSE) is skipped with one line; where `CI` is set it fails instead. The last line is
//! `N passed, N failed`.

mod options;
mod plan;
pub(crate) mod tools;

pub(crate) use plan::RELEASE;

use std::env;
use std::fmt;
use std::time::Instant;

use crate::error::Error;
use crate::minutes::{self, Row};
use crate::repository::Repository;
use options::Options;

/// One thing to check.
struct Step<'a> {
    name: String,
    /// Whether `--quick` runs it.
    quick: bool,
    /// Whether it runs the release program, which an earlier step built.
    needs_program: bool,
    action: Box<dyn Fn() -> Result<Verdict, Error> + 'a>,
}

/// How a step that did not fail ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    /// Nothing was checked; this says what it would need.
    Skipped(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Skipped(String),
    Failed(String),
}

/// Runs the steps that `arguments` choose.
///
/// # Errors
///
/// [`Error::Usage`], or [`Error::Reported`] when a step failed.
pub(crate) fn run(repository: &Repository, arguments: &[&str]) -> Result<(), Error> {
    let options = Options::parse(arguments)?;
    let steps: Vec<Step<'_>> = plan::steps(repository, &options);
    let steps = choose(steps, &options);
    if options.list {
        for step in &steps {
            println!("{}", step.name);
        }
        return Ok(());
    }
    let strict = env::var_os("CI").is_some_and(|value| !value.is_empty());
    let rows = perform(&steps, strict);
    minutes::keep(repository, &rows)?;
    println!("\n{}", minutes::table(&rows));
    let failed = rows
        .iter()
        .filter(|row| row.outcome.starts_with("failed"))
        .count();
    let passed = rows
        .iter()
        .filter(|row| row.outcome == Outcome::Passed.to_string())
        .count();
    println!("{passed} passed, {failed} failed");
    if failed == 0 {
        Ok(())
    } else {
        Err(Error::Reported)
    }
}

/// The steps that were asked for by name, with the build of the program when one of them needs it; else all, or the
/// quick ones.
fn choose<'a>(steps: Vec<Step<'a>>, options: &Options) -> Vec<Step<'a>> {
    let wanted = |step: &Step<'_>| match options.names.as_slice() {
        [] => step.quick || !options.quick,
        names => names
            .iter()
            .any(|name| step.name.starts_with(name.as_str())),
    };
    let needs_program = steps.iter().any(|step| wanted(step) && step.needs_program);
    let needed = |step: &Step<'_>| wanted(step) || (needs_program && step.name == plan::BUILD);
    steps.into_iter().filter(needed).collect()
}

fn perform(steps: &[Step<'_>], strict: bool) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut has_program = true;
    for (at, step) in steps.iter().enumerate() {
        println!("\n== {}/{} {}", at + 1, steps.len(), step.name);
        let start = Instant::now();
        let outcome = if step.needs_program && !has_program {
            Outcome::Failed("the program was not built".to_owned())
        } else {
            judge((step.action)(), strict)
        };
        if step.name == plan::BUILD {
            has_program = outcome == Outcome::Passed;
        }
        println!("== {}: {outcome}", step.name);
        rows.push(Row {
            step: step.name.clone(),
            seconds: start.elapsed().as_secs_f64(),
            outcome: outcome.to_string(),
        });
    }
    rows
}

fn judge(result: Result<Verdict, Error>, strict: bool) -> Outcome {
    match result {
        Ok(Verdict::Passed) => Outcome::Passed,
        Ok(Verdict::Skipped(needs)) if strict => {
            Outcome::Failed(format!("needs {needs}; nothing is skipped under CI"))
        }
        Ok(Verdict::Skipped(needs)) => Outcome::Skipped(needs),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Skipped(needs) => write!(f, "skipped: needs {needs}"),
            Self::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::options::Options;
    use super::{Error, Outcome, Step, Verdict, choose, judge, perform, plan};

    fn step(
        name: &str,
        quick: bool,
        needs_program: bool,
        result: fn() -> Result<Verdict, Error>,
    ) -> Step<'static> {
        Step {
            name: name.to_owned(),
            quick,
            needs_program,
            action: Box::new(result),
        }
    }

    fn passes() -> Result<Verdict, Error> {
        Ok(Verdict::Passed)
    }

    fn fails() -> Result<Verdict, Error> {
        Err(Error::Found {
            count: 2,
            what: "things",
        })
    }

    fn names(arguments: &[&str]) -> Vec<String> {
        let steps = vec![
            step("fmt", true, false, passes),
            step(plan::BUILD, false, false, passes),
            step("js: a", false, true, passes),
        ];
        choose(steps, &Options::parse(arguments).unwrap())
            .into_iter()
            .map(|step| step.name)
            .collect()
    }

    #[test]
    fn steps_are_chosen_by_speed_or_by_name() {
        assert_eq!(names(&[]).len(), 3);
        assert_eq!(names(&["--quick"]), ["fmt"]);
        assert_eq!(names(&["fmt"]), ["fmt"]);
        assert_eq!(names(&["js"]), [plan::BUILD, "js: a"]);
    }

    #[test]
    fn a_failure_stops_nothing_but_what_needs_its_result() {
        let steps = [
            step(plan::BUILD, false, false, fails),
            step("js", false, true, passes),
            step("fmt", true, false, passes),
        ];
        let outcomes: Vec<String> = perform(&steps, false)
            .into_iter()
            .map(|row| row.outcome)
            .collect();
        assert_eq!(
            outcomes,
            [
                "failed: 2 things",
                "failed: the program was not built",
                "passed"
            ]
        );
    }

    #[test]
    fn what_is_skipped_here_fails_under_ci() {
        let skipped = || Ok(Verdict::Skipped("Node".to_owned()));
        assert_eq!(judge(skipped(), false), Outcome::Skipped("Node".to_owned()));
        assert!(matches!(judge(skipped(), true), Outcome::Failed(_)));
    }
}
