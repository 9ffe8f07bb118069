//! The series: everything that any of Berth's processes counts.

/// Upper bounds of the buckets of durations, in seconds: from what nobody feels to what somebody asks about.
pub const BUCKETS: [f64; 10] = [0.005, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0];

macro_rules! series {
    ($(#[$doc:meta])* $name:ident { $($variant:ident: $metric:literal, [$($label:literal = $value:literal),*];)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "the metric and its labels say it")]
        pub enum $name {
            $($variant,)*
        }

        impl $name {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Metric that it belongs to, without the ending that its type adds.
            pub const fn metric(self) -> &'static str {
                match self { $(Self::$variant => $metric,)* }
            }

            /// Labels by which it differs from others of that metric.
            pub const fn labels(self) -> &'static [(&'static str, &'static str)] {
                match self { $(Self::$variant => &[$(($label, $value)),*],)* }
            }

            /// Name in a file of counts.
            pub(crate) const fn key(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)* }
            }
        }
    };
}

series! {
    /// Things that happen.
    Counted {
        PassClean: "berth_passes", ["result" = "clean"];
        PassUnclean: "berth_passes", ["result" = "unclean"];
        ChangeDone: "berth_changes", ["result" = "done"];
        ChangeFailed: "berth_changes", ["result" = "failed"];
        ChangeInterrupted: "berth_changes", ["result" = "interrupted"];
        Steps: "berth_steps", [];
        PushEnded: "berth_door_commands", ["command" = "push", "result" = "ended"];
        PushFailed: "berth_door_commands", ["command" = "push", "result" = "failed"];
        PushRefused: "berth_door_commands", ["command" = "push", "result" = "refused"];
        PushLost: "berth_door_commands", ["command" = "push", "result" = "lost"];
        FetchEnded: "berth_door_commands", ["command" = "fetch", "result" = "ended"];
        FetchFailed: "berth_door_commands", ["command" = "fetch", "result" = "failed"];
        FetchRefused: "berth_door_commands", ["command" = "fetch", "result" = "refused"];
        FetchLost: "berth_door_commands", ["command" = "fetch", "result" = "lost"];
        LobbyEnded: "berth_door_commands", ["command" = "lobby", "result" = "ended"];
        LobbyFailed: "berth_door_commands", ["command" = "lobby", "result" = "failed"];
        LobbyRefused: "berth_door_commands", ["command" = "lobby", "result" = "refused"];
        LobbyLost: "berth_door_commands", ["command" = "lobby", "result" = "lost"];
        JudgedAccepted: "berth_pushes", ["verdict" = "accepted"];
        JudgedRefused: "berth_pushes", ["verdict" = "refused"];
        QuestionAnswered: "berth_door_questions", ["result" = "answered"];
        QuestionRefused: "berth_door_questions", ["result" = "refused"];
        QuestionBroken: "berth_door_questions", ["result" = "unavailable"];
        PanelLogin: "berth_logins", ["way" = "panel", "result" = "accepted"];
        PanelLoginRefused: "berth_logins", ["way" = "panel", "result" = "refused"];
        SshKeyLogin: "berth_logins", ["way" = "ssh-key", "result" = "accepted"];
        SshPasswordLogin: "berth_logins", ["way" = "ssh-password", "result" = "accepted"];
        SshPasswordRefused: "berth_logins", ["way" = "ssh-password", "result" = "refused"];
        SshRefused: "berth_ssh_connections", ["result" = "refused"];
        SshServed: "berth_ssh_connections", ["result" = "served"];
        Request1xx: "berth_web_requests", ["status" = "1xx"];
        Request2xx: "berth_web_requests", ["status" = "2xx"];
        Request3xx: "berth_web_requests", ["status" = "3xx"];
        Request4xx: "berth_web_requests", ["status" = "4xx"];
        Request5xx: "berth_web_requests", ["status" = "5xx"];
        Gate1xx: "berth_gate_requests", ["status" = "1xx"];
        Gate2xx: "berth_gate_requests", ["status" = "2xx"];
        Gate3xx: "berth_gate_requests", ["status" = "3xx"];
        Gate4xx: "berth_gate_requests", ["status" = "4xx"];
        Gate5xx: "berth_gate_requests", ["status" = "5xx"];
    }
}

series! {
    /// Things that take time.
    Timed {
        Pass: "berth_pass_duration_seconds", [];
        Change: "berth_change_duration_seconds", [];
        Push: "berth_door_command_duration_seconds", ["command" = "push"];
        Fetch: "berth_door_command_duration_seconds", ["command" = "fetch"];
        Lobby: "berth_door_command_duration_seconds", ["command" = "lobby"];
        Question: "berth_door_question_duration_seconds", [];
        Request: "berth_web_request_duration_seconds", [];
    }
}

/// Process that counts. Another's word on a series is worth nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is a process's name")]
pub enum Process {
    Reconciler,
    Door,
    Router,
    Panel,
    Gate,
}

/// Returns the process to which a series belongs.
fn process_of(metric: &str, labels: &[(&str, &str)]) -> Process {
    match metric {
        "berth_logins" if labels.contains(&("way", "panel")) => Process::Door,
        "berth_logins" | "berth_ssh_connections" => Process::Router,
        "berth_web_requests" | "berth_web_request_duration_seconds" => Process::Panel,
        "berth_gate_requests" => Process::Gate,
        _ if metric.starts_with("berth_door_") => Process::Door,
        _ => Process::Reconciler,
    }
}

impl Timed {
    /// Process that counts it.
    pub fn process(self) -> Process {
        process_of(self.metric(), self.labels())
    }
}

impl Counted {
    /// Process that counts it.
    pub fn process(self) -> Process {
        process_of(self.metric(), self.labels())
    }

    /// An answer of the panel's with this status.
    pub fn web(status: u16) -> Self {
        match status {
            0..200 => Self::Request1xx,
            200..300 => Self::Request2xx,
            300..400 => Self::Request3xx,
            400..500 => Self::Request4xx,
            _ => Self::Request5xx,
        }
    }

    /// An answer of the gate's with this status.
    pub fn gate(status: u16) -> Self {
        match status {
            0..200 => Self::Gate1xx,
            200..300 => Self::Gate2xx,
            300..400 => Self::Gate3xx,
            400..500 => Self::Gate4xx,
            _ => Self::Gate5xx,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_series_are_one() {
        let counted = Counted::ALL.iter().map(|one| (one.metric(), one.labels()));
        let timed = Timed::ALL.iter().map(|one| (one.metric(), one.labels()));
        let all: BTreeSet<_> = counted.chain(timed).collect();
        assert_eq!(all.len(), Counted::ALL.len() + Timed::ALL.len());
        for (place, one) in Counted::ALL.iter().enumerate() {
            assert_eq!(*one as usize, place);
        }
    }

    #[test]
    fn a_status_has_its_class() {
        let classes = [101, 200, 302, 404, 503].map(|status| Counted::web(status).labels()[0].1);
        assert_eq!(classes, ["1xx", "2xx", "3xx", "4xx", "5xx"]);
        assert_eq!([100, 299, 399, 499, 999].map(|status| Counted::gate(status).labels()[0].1), classes);
    }
}
