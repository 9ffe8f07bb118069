//! Text in place of types, where the wire's form has been text from the beginning.

/// The revision that a pass attempted; an empty text where it didn't get as far as the tip.
pub(crate) mod attempted {
    use berth_schema::Origin;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(origin: &Option<Origin>, to: S) -> Result<S::Ok, S::Error> {
        match origin {
            Some(origin) => to.collect_str(origin),
            None => to.serialize_str(""),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Origin>, D::Error> {
        match String::deserialize(from)?.as_str() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(D::Error::custom),
        }
    }
}

/// The way in which servers are told apart, by its name.
pub(crate) mod way {
    use berth_host::Way;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(way: &Option<Way>, to: S) -> Result<S::Ok, S::Error> {
        match way {
            Some(way) => to.collect_str(way),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Way>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let parse = |text: String| {
            text.parse().map_err(|_| D::Error::custom(format!("`{text}` is no way to keep servers apart")))
        };
        text.map(parse).transpose()
    }
}

/// The state of a container, in a word; `missing` where there is none.
pub(crate) mod state {
    use berth_plan::observed::RunState;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::status::word;

    pub(crate) fn serialize<S: Serializer>(state: &Option<RunState>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(word(*state))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<RunState>, D::Error> {
        let text = String::deserialize(from)?;
        let mut states = std::iter::once(None).chain(RunState::ALL.map(Some));
        let unknown = || D::Error::custom(format!("`{text}` is not the state of a container"));
        states.find(|state| word(*state) == text).ok_or_else(unknown)
    }
}
