//! What is left to code that runs inside a confined process: each layer by itself, and all of them together.
//!
//! A process can be confined only once and while it has one thread, which a test under the usual harness never has. So
//! this program starts itself again for every probe, confines that process and lets it try its way out; each line that
//! it prints is one attempt and what came of it.

#![allow(clippy::panic, clippy::print_stdout, reason = "a test says what it found, and fails with it")]

mod attempts;
mod room;

use attempts::{ATTEMPTS, RESOURCES};
use rustix::process::Signal;
use std::process::ExitCode;
use ukimet_adapter_sdk::Layer;

use room::Room;

/// The tests, by name.
const TESTS: &[(&str, fn())] = &[
    ("nothing_is_refused_without_a_layer", nothing_is_refused_without_a_layer),
    ("namespaces_alone_close_the_network", namespaces_alone_close_the_network),
    ("dropped_privileges_alone_close_what_only_root_may", dropped_privileges_alone_close_what_only_root_may),
    ("landlock_alone_closes_files_programs_tcp_and_signals", landlock_alone_closes_files_programs_tcp_and_signals),
    ("seccomp_alone_closes_sockets_programs_and_signals", seccomp_alone_closes_sockets_programs_and_signals),
    ("all_layers_together_leave_only_what_was_granted", all_layers_together_leave_only_what_was_granted),
    ("a_call_that_no_reader_makes_ends_the_process", a_call_that_no_reader_makes_ends_the_process),
    ("processor_time_above_its_limit_ends_the_process", processor_time_above_its_limit_ends_the_process),
    ("a_file_above_its_limit_ends_the_process", a_file_above_its_limit_ends_the_process),
    ("memory_and_open_files_above_their_limits_are_refused", memory_and_open_files_above_their_limits_are_refused),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [probe, what, folder, ports @ ..] = arguments.as_slice()
        && probe == "--probe"
    {
        return attempts::probe(what, folder.as_ref(), ports);
    }
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    for (name, test) in TESTS {
        if filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str())) {
            test();
            println!("test {name} ... ok");
        }
    }
    ExitCode::SUCCESS
}

/// Confines a process by these layers; the attempts that it was refused must be these.
fn check(layers: &[Layer], expected: &[&str]) {
    let room = Room::new();
    let Some(outcomes) = room.outcomes(layers) else { return };
    let refused: Vec<&str> =
        outcomes.iter().filter(|(_, outcome)| *outcome != "done").map(|(attempt, _)| attempt.as_str()).collect();
    assert_eq!(outcomes.len(), ATTEMPTS.len(), "{outcomes:?}");
    assert_eq!(refused, sorted(expected), "{outcomes:#?}");
    let reached = room.connections();
    let may_reach = ["tcp", "udp", "abstract_socket", "unix_socket"].iter().filter(|name| !expected.contains(name));
    assert_eq!(reached, may_reach.count(), "who came to the listeners: {outcomes:#?}");
}

fn nothing_is_refused_without_a_layer() {
    check(&[], &[]);
}

fn namespaces_alone_close_the_network() {
    check(&[Layer::Namespaces], &["tcp", "udp", "abstract_socket"]);
}

fn dropped_privileges_alone_close_what_only_root_may() {
    let room = Room::new();
    // Nobody may read it, which binds everyone but root.
    let Some(outcomes) = room.outcomes(&[Layer::Privileges]) else { return };
    assert_eq!(outcomes["closed_file"], "PermissionDenied", "{outcomes:#?}");
    assert_eq!(outcomes["granted_file"], "done", "{outcomes:#?}");
}

fn landlock_alone_closes_files_programs_tcp_and_signals() {
    let closed = [
        "abstract_socket",
        "bind_tcp",
        "closed_file",
        "folder",
        "link_out_of_scratch",
        "password_file",
        "password_file_by_a_thread",
        "program",
        "program_in_scratch",
        "signal",
        "tcp",
        "write_beside_scratch",
        "write_granted_file",
    ];
    check(&[Layer::Files], &closed);
}

fn seccomp_alone_closes_sockets_programs_and_signals() {
    let closed = [
        "abstract_socket",
        "bind_tcp",
        "new_limit",
        "program",
        "program_in_scratch",
        "signal",
        "tcp",
        "udp",
        "unix_socket",
    ];
    check(&[Layer::Calls], &closed);
}

fn all_layers_together_leave_only_what_was_granted() {
    let left = ["granted_file", "thread", "write_scratch"];
    let closed: Vec<&str> = ATTEMPTS.iter().map(|(name, _)| *name).filter(|name| !left.contains(name)).collect();
    check(&Layer::ALL, &closed);
}

/// Attempts are made and reported in the order of the table.
fn sorted(names: &[&str]) -> Vec<&'static str> {
    let known = ATTEMPTS.iter().map(|(name, _)| *name);
    let sorted: Vec<&str> = known.filter(|name| names.contains(name)).collect();
    assert_eq!(sorted.len(), names.len(), "an attempt that nobody makes is expected: {names:?}");
    sorted
}

fn ends_by(what: &str, signal: Signal) {
    assert!(RESOURCES.iter().any(|(name, _)| *name == what), "{what} is no probe");
    let room = Room::new();
    let (status, said) = room.run(what);
    assert_eq!(status, Some(signal.as_raw()), "{what}: {said}");
}

fn a_call_that_no_reader_makes_ends_the_process() {
    ends_by("new_namespace", Signal::SYS);
    ends_by("new_root", Signal::SYS);
}

fn processor_time_above_its_limit_ends_the_process() {
    ends_by("spin", Signal::XCPU);
}

fn a_file_above_its_limit_ends_the_process() {
    ends_by("large_file", Signal::XFSZ);
}

fn memory_and_open_files_above_their_limits_are_refused() {
    let room = Room::new();
    assert_eq!(room.run("much_memory"), (None, "refused\n".to_owned()));
    assert_eq!(room.run("many_files"), (None, "Too many open files (os error 24)\n".to_owned()));
}
