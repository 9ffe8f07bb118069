//! The meaning of a forge's request: whether the branch that is followed was pushed.

use axum::http::HeaderMap;
use berth_schema::remote::Forge;
use serde::Deserialize;

use super::body::Json;

/// The part of a push that Berth reads. Git tells the rest better.
#[derive(Deserialize)]
struct Push {
    #[serde(rename = "ref")]
    reference: String,
}

/// The meaning of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The branch was pushed.
    Pushed,
    /// Another event.
    AnotherEvent,
    /// Another branch or a tag.
    AnotherRef,
    /// A push whose body can't be read: it may be one of the branch.
    Unreadable,
    /// A push whose body is too long to be kept: it may be one of the branch.
    Long,
}

impl Meaning {
    pub(crate) fn of(forge: Forge, headers: &HeaderMap, json: &Json, reference: &str) -> Self {
        let (names, push): (&[&str], &str) = match forge {
            Forge::Github => (&["x-github-event"], "push"),
            Forge::Gitlab => (&["x-gitlab-event"], "Push Hook"),
            Forge::Forgejo => (&["x-forgejo-event", "x-gitea-event"], "push"),
        };
        if names.iter().find_map(|name| headers.get(*name)).is_none_or(|event| event != push) {
            return Self::AnotherEvent;
        }
        let Json::Whole(json) = json else { return Self::Long };
        match serde_json::from_slice::<Push>(json) {
            Ok(push) if push.reference == reference => Self::Pushed,
            Ok(_) => Self::AnotherRef,
            Err(_) => Self::Unreadable,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
mod tests {
    use super::*;

    #[test]
    fn only_a_push_of_the_branch_counts() {
        let meaning = |forge, name: &'static str, event: &str, body: &str| {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), event.parse().unwrap())]);
            Meaning::of(forge, &headers, &Json::Whole(body.as_bytes().to_vec()), "refs/heads/main")
        };
        let main = r#"{"ref": "refs/heads/main", "forced": false, "commits": [{"id": "a"}]}"#;
        for (forge, name, event) in [
            (Forge::Github, "x-github-event", "push"),
            (Forge::Gitlab, "x-gitlab-event", "Push Hook"),
            (Forge::Forgejo, "x-forgejo-event", "push"),
            (Forge::Forgejo, "x-gitea-event", "push"),
        ] {
            assert_eq!(meaning(forge, name, event, main), Meaning::Pushed);
            assert_eq!(meaning(forge, name, "ping", main), Meaning::AnotherEvent);
            assert_eq!(meaning(forge, "x-event", event, main), Meaning::AnotherEvent);
            let topic = r#"{"ref": "refs/heads/main2"}"#;
            assert_eq!(meaning(forge, name, event, topic), Meaning::AnotherRef);
            for body in ["", "{}", "payload=%7B%7D", r#"{"ref": 1}"#] {
                assert_eq!(meaning(forge, name, event, body), Meaning::Unreadable, "{body}");
            }
        }
    }
}
