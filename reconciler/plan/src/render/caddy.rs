use berth_schema::State;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Context {}

pub(super) fn context(_state: &State) -> Context {
    Context {}
}
