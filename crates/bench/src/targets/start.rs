//! P12: what `causeway dev` costs before anybody uses it: start, memory, size, and idling.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Failed;
use crate::client::Client;
use crate::program::{Programs, Running};
use crate::report::{Measured, Report};
use crate::rounds::Rounds;

const ROUNDS: usize = 7;
/// What a start has begun is over by then.
const SETTLED: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);
const MINUTES: usize = 2;
const MIB: f64 = 1_048_576.0;

pub(crate) fn run(programs: &Programs, report: &mut Report) -> Result<(), Failed> {
    started(programs, report)?;
    size(programs, report)?;
    idle(programs, report)
}

fn started(programs: &Programs, report: &mut Report) -> Result<(), Failed> {
    let [mut start, mut memory] = [(); 2].map(|()| [Rounds::default(), Rounds::default()]);
    for round in 0..ROUNDS {
        let both = [programs.causeway(&[])?, programs.anvil(&[])?];
        std::thread::sleep(SETTLED);
        for (at, running) in both.iter().enumerate() {
            start[at].push(running.after.as_secs_f64() * 1e3);
            memory[at].push(running.pss()? / MIB);
        }
        eprintln!(
            "P12 round {round}: ours {}, anvil {} ms",
            start[0], start[1]
        );
    }
    let measured = Measured {
        id: "P12",
        what: "`causeway dev`: from its start to its first RPC answer",
        target: "≤ 100 ms",
        unit: "ms",
        ours: &start[0],
        peer: Some((&programs.anvil_name, &start[1])),
        commit: &programs.commit,
        not_done: "ours creates its chain in a temporary folder on the disk, anvil in memory; files of both programs are in the system's cache; \
             ours says when it serves, anvil is asked every millisecond"
            .into(),
    };
    report.add(measured, |ours, _| ours <= 100.0);
    let measured = Measured {
        id: "P12-memory",
        what: "`causeway dev`: memory (PSS of its one process) 5 s after its start, unused",
        target: "≤ 30 MiB",
        unit: "MiB",
        ours: &memory[0],
        peer: Some((&programs.anvil_name, &memory[1])),
        commit: &programs.commit,
        not_done: "the programs' own pages that were touched are in it; no transaction was sent"
            .into(),
    };
    report.add(measured, |ours, _| ours <= 30.0);
    Ok(())
}

fn size(programs: &Programs, report: &mut Report) -> Result<(), Failed> {
    let length = |path: PathBuf| match std::fs::metadata(&path) {
        #[expect(clippy::cast_precision_loss, reason = "a file's length")]
        Ok(metadata) => Ok(Rounds::from(vec![metadata.len() as f64 / MIB])),
        Err(source) => Err(Failed::File { path, source }),
    };
    let folder = programs.scratch()?;
    let dist = programs
        .causeway
        .parent()
        .and_then(|release| Some(release.parent()?.join("dist/causeway")));
    let (program, which) = if let Some(dist) = dist.filter(|dist| dist.exists()) {
        (dist, "as handed out (profile `dist`)")
    } else {
        let stripped = folder.path().join("causeway");
        let status = Command::new("strip")
            .arg("-o")
            .arg(&stripped)
            .arg(&programs.causeway)
            .status();
        match status {
            Ok(status) if status.success() => {}
            Ok(_) => {
                let what = "a stripped copy of the program".into();
                return Err(Failed::Missing {
                    what,
                    hint: "strip (binutils) makes it",
                });
            }
            Err(source) => {
                return Err(Failed::Run {
                    program: "strip".into(),
                    source,
                });
            }
        }
        (
            stripped,
            "profile `release`, stripped; what is handed out (profile `dist`) is smaller",
        )
    };
    let (ours, theirs) = (length(program)?, length(programs.anvil.clone())?);
    let measured = Measured {
        id: "P12-size",
        what: "size of the program",
        target: "≤ 60 MiB",
        unit: "MiB",
        ours: &ours,
        peer: Some((&programs.anvil_name, &theirs)),
        commit: &programs.commit,
        not_done: which.into(),
    };
    report.add(measured, |ours, _| ours <= 60.0);
    Ok(())
}

/// Minutes in which nobody asks, of both at once. The first contains what is put off after a start.
fn idle(programs: &Programs, report: &mut Report) -> Result<(), Failed> {
    let both = [programs.causeway(&[])?, programs.anvil(&[])?];
    let first = height(&both[0])?;
    std::thread::sleep(SETTLED);
    let [mut cpu, mut switches] = [(); 2].map(|()| [Rounds::default(), Rounds::default()]);
    let mut before = [both[0].used()?, both[1].used()?];
    for _ in 0..MINUTES {
        std::thread::sleep(MINUTE);
        for (at, running) in both.iter().enumerate() {
            let after = running.used()?;
            let took = after.cpu.saturating_sub(before[at].cpu);
            cpu[at].push(took.as_secs_f64() * 1e3);
            #[expect(clippy::cast_precision_loss, reason = "a count of a minute")]
            switches[at].push(after.switches.saturating_sub(before[at].switches) as f64);
            before[at] = after;
        }
    }
    let made = height(&both[0])? - first;
    let note = |rounds: &Rounds| {
        format!(
            "minutes one after another from 5 s after the start, no connection open; the greatest counts, in their order {rounds}; \
             blocks made meanwhile: {made}; both programs idle at once"
        )
    };
    let figures = [
        (
            "P12-idle-cpu",
            "`causeway dev` idle for a minute: processor time",
            "≤ 10 ms, and no block",
            "ms",
            &cpu,
            10.0,
        ),
        (
            "P12-idle-switches",
            "`causeway dev` idle for a minute: context switches of all threads",
            "≤ 20, and no block",
            "switches",
            &switches,
            20.0,
        ),
    ];
    for (id, what, target, unit, [ours, theirs], most) in figures {
        let measured = Measured {
            id,
            what,
            target,
            unit,
            ours,
            peer: Some((&programs.anvil_name, theirs)),
            commit: &programs.commit,
            not_done: note(ours),
        };
        report.add(measured, |_, _| ours.spread()[1] <= most && made == 0);
    }
    Ok(())
}

fn height(running: &Running) -> Result<u64, Failed> {
    let answer = Client::connect(running.address)?.call("eth_blockNumber", &json!([]))?;
    let parse = |answer: &Value| u64::from_str_radix(answer.as_str()?.strip_prefix("0x")?, 16).ok();
    let refused = || Failed::Refused {
        refused: 1,
        first: answer.to_string(),
    };
    parse(&answer).ok_or_else(refused)
}
