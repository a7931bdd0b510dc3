//! What goes with the tool: completions, manual pages, help; and that to look at a log never changes it.

use crate::common;

use std::path::Path;
use std::process::Command;

use common::golden::golden;
use common::images::sha256;
use common::{Folder, Ran, system};

/// Of two words.
const SERVERS: [&str; 2] = ["serve nbd", "serve fuse"];

const VERBS: &[&str] = &[
    #[cfg(feature = "demo")]
    "demo",
    "record",
    "info",
    "ls",
    "marks",
    "find",
    "cat",
    "diff",
    "replay",
    "verify",
    "recover",
    "mark",
    "run",
    "status",
    "cut",
    "squash",
    "completions",
    "man",
];

#[test]
fn every_verb_has_a_help_with_examples() {
    let folder = Folder::new();
    for verb in VERBS.iter().chain(&SERVERS) {
        let help = folder.run(&format!("{verb} --help")).code(0).no_stderr().stdout;
        assert!(help.contains(&format!("Usage: logwrites {verb}")), "{help}");
        let (_, examples) = help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("no examples: {help}"));
        assert!(examples.contains(&format!("logwrites {verb}")), "{examples}");
        assert_eq!(folder.run(&format!("help {verb}")).code(0).stdout, help, "{verb}");
        assert!(
            help.lines().all(|line| line.chars().count() <= 120),
            "{verb}: no line is too long for a terminal"
        );
    }
    let program = folder.run("--help").code(0).stdout;
    for verb in VERBS.iter().chain(&["replay-log"]) {
        assert!(program.contains(&format!("\n  {verb} ")), "{verb}");
    }
}

#[test]
fn completions_are_what_the_shells_read() {
    let folder = Folder::new();
    for (shell, check) in [
        ("bash", Some("bash")),
        ("zsh", Some("zsh")),
        ("fish", Some("fish")),
        ("elvish", None),
        ("powershell", None),
    ] {
        let text = folder.run(&format!("completions {shell}")).code(0).no_stderr().stdout;
        for verb in VERBS.iter().chain(&["replay-log"]) {
            assert!(text.contains(verb), "{shell}: {verb}");
        }
        assert!(text.contains("durability") && text.contains("--touching") || shell != "bash", "{shell}");
        folder.write(shell, text);
        let Some(program) = check else { continue };
        match Command::new(program).arg("-n").arg(folder.path(shell)).output() {
            Ok(output) => {
                assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}");
            }
            Err(error) => assert!(shell != "bash", "{error}"),
        }
    }
    folder.run("completions tcsh").refuses(&["bash, elvish, fish, powershell, zsh"]);
    folder.run("completions").refuses(&["<SHELL>"]);
}

#[test]
fn bash_completes() {
    let folder = Folder::new();
    folder.write("completions", folder.run("completions bash").code(0).stdout);
    let complete = |words: &str| {
        let script = format!(
            "source ./completions; COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 )); \
             _logwrites logwrites \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; \
             echo \"${{COMPREPLY[@]}}\""
        );
        let mut bash = Command::new("bash");
        Ran::of(bash.args(["-c", &script]).current_dir(folder.path("."))).code(0).no_stderr().stdout
    };
    assert_eq!(complete("logwrites squ"), "squash\n");
    assert!(complete("logwrites record --ordering ''").contains("completion durability"));
    assert!(complete("logwrites recover --s").contains("--sector-size"));
}

#[test]
fn every_manual_page_renders() {
    let folder = Folder::new();
    for verb in VERBS.iter().chain(&SERVERS).chain(&["", "replay-log"]) {
        let page = folder.run(&format!("man {verb}")).code(0).no_stderr().stdout;
        let name = if verb.is_empty() {
            "logwrites".to_owned()
        } else {
            format!("logwrites-{}", verb.replace(' ', "-"))
        };
        assert!(page.contains(&format!(".TH {name} 1")), "{verb}: {page}");
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"] {
            assert!(page.contains(&format!(".SH {section}\n")), "{verb}: {section}");
        }
        folder.write("page.1", page);
        if Path::new("/usr/bin/man").exists() {
            let path = folder.path("page.1");
            let args = ["--warnings=all", "-l", path.to_str().expect("a path")];
            let ran =
                Ran::of(Command::new("man").args(args).env("MANWIDTH", "100").env("PAGER", "cat")).code(0);
            assert_eq!(ran.stderr, "", "{verb}");
            let verb_or_all = if verb.is_empty() { "SUBCOMMANDS" } else { verb };
            assert!(ran.stdout.contains(&verb_or_all.replace(' ', "-")), "{verb}");
        }
    }
    folder.run("man nothing").refuses(&["there is no command nothing; logwrites --help lists them"]);
}

/// Its options are not clap's, and yet people look for them there.
#[test]
fn the_manual_page_of_replay_log_has_its_options() {
    let page = Folder::new().run("man replay-log").code(0).no_stderr().stdout.replace('\\', "");
    for option in ["--log", "--replay", "--find", "--end-mark", "--next-fua", "--check", "--fsck", "--limit"]
    {
        assert!(page.contains(option), "{option}");
    }
}

#[test]
fn who_looks_changes_nothing() {
    let folder = golden("raw-512");
    folder.run("replay log --base base --output final").code(0);
    let state = || {
        ["log", "base", "final"].map(|name| {
            let modified = std::fs::metadata(folder.path(name)).and_then(|metadata| metadata.modified());
            (sha256(&folder.path(name)), modified.expect("a time"))
        })
    };
    let before = state();
    for args in [
        "info log",
        "ls log",
        "marks log",
        "find log --next flush",
        "find log --mark end",
        "cat log 5",
        "diff log 5 end --base base --hex",
        "verify log --base base --final final",
        "recover log",
        "recover log --write",
        "recover log --sector-size 512",
        "replay log --base base --output out --at 50 --force",
        "replay-log --log log --num-entries",
        "replay-log --log log --find --end-mark end",
    ] {
        folder.run(args).code(0).no_stderr();
        assert!(state() == before, "{args}");
    }
    // Nor do they need to be allowed to.
    system("chmod", &["a-w".as_ref(), folder.path("log").as_os_str(), folder.path("base").as_os_str()]);
    folder.run("cut log --output part --from 20").code(0).no_stderr();
    folder.run("squash log --base base --at 20 --output-base new --output rest").code(0).no_stderr();
    assert!(state() == before);
    let names = std::fs::read_dir(folder.path(".")).expect("a folder").count();
    assert_eq!(names, 7, "log, base, final, out, part, new and rest, and no superblock");
}
