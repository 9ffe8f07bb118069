//! Conversion of a single TOML value to one of this crate's types.
//!
//! A type says which kind of TOML value it wants and how to refuse one; where the value stands is the business of
//! [`crate::fields`].

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned};
use toml::de::DeValue;

use crate::invalid::Invalid;
use crate::suggest;
use crate::text::shown;

/// A type that can be read from one TOML value.
pub(crate) trait Value: Sized {
    /// Advice on a good value, as the rest of a sentence that begins with "write".
    const WANTED: &'static str;
    /// Marks a type of which a refused value may be something that nobody should repeat.
    const SECRET: bool = false;

    /// Reads the value; `None` when it is of another TOML type.
    fn read(value: &DeValue<'_>) -> Option<Result<Self, Invalid>>;
}

/// Implements [`Value`] for types that are written as a string and have their rule in `FromStr`.
macro_rules! text_values {
    ($($type:ty: $wanted:literal $($secret:ident)?,)*) => {$(
        impl $crate::value::Value for $type {
            const WANTED: &'static str = $wanted;
            $(const $secret: bool = true;)?
            fn read(value: &toml::de::DeValue<'_>) -> Option<Result<Self, $crate::invalid::Invalid>> {
                Some(value.as_str()?.parse())
            }
        }
    )*};
}
pub(crate) use text_values;

/// Implements [`Value`] for enums, whose names serde knows.
macro_rules! choice_values {
    ($($type:ty, $noun:literal: $wanted:literal,)*) => {$(
        impl $crate::value::Value for $type {
            const WANTED: &'static str = $wanted;
            fn read(value: &toml::de::DeValue<'_>) -> Option<Result<Self, $crate::invalid::Invalid>> {
                Some($crate::value::choose($noun, Self::WANTED, value.as_str()?))
            }
        }
    )*};
}
pub(crate) use choice_values;

/// Error of serde for a name that is none of an enum's: it keeps the names that are.
#[derive(Debug)]
struct Choices(&'static [&'static str]);

impl std::fmt::Display for Choices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.join(", "))
    }
}

impl std::error::Error for Choices {}

impl de::Error for Choices {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self(&[])
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self(expected)
    }
}

/// Reads the name of one of an enum's variants.
pub(crate) fn choose<T: DeserializeOwned>(noun: &str, wanted: &str, text: &str) -> Result<T, Invalid> {
    T::deserialize(StrDeserializer::<Choices>::new(text)).map_err(|choices| {
        let hint = suggest::hint(text, choices.0.iter().copied(), format!("write {wanted}"));
        Invalid::new(format!("`{}` is not {noun}", shown(text)), hint)
    })
}

/// The whole number that a value is, if it is one and fits.
pub(crate) fn integer(value: &DeValue<'_>) -> Option<Result<i64, Invalid>> {
    let integer = value.as_integer()?;
    let number = i64::from_str_radix(integer.as_str(), integer.radix());
    Some(number.map_err(|_| {
        Invalid::new(format!("`{}` is too large a number", shown(integer.as_str())), "write a smaller number")
    }))
}

/// The number that a value is, whole or not.
pub(crate) fn number(value: &DeValue<'_>) -> Option<Result<f64, Invalid>> {
    match value {
        // Exact for every number that one of our ranges accepts.
        DeValue::Integer(_) => integer(value).map(|number| number.map(|number| number as f64)),
        DeValue::Float(float) => Some(float.as_str().parse().map_err(|_| {
            Invalid::new(
                format!("`{}` is not a number", shown(float.as_str())),
                "write a number, such as 1.5",
            )
        })),
        _ => None,
    }
}

impl Value for bool {
    const WANTED: &'static str = "true or false, without quotes";
    fn read(value: &DeValue<'_>) -> Option<Result<Self, Invalid>> {
        value.as_bool().map(Ok)
    }
}

impl Value for String {
    const WANTED: &'static str = "a text in quotes";
    fn read(value: &DeValue<'_>) -> Option<Result<Self, Invalid>> {
        Some(Ok(value.as_str()?.to_owned()))
    }
}

impl Value for u32 {
    const WANTED: &'static str = "a whole number, without quotes";
    fn read(value: &DeValue<'_>) -> Option<Result<Self, Invalid>> {
        Some(integer(value)?.and_then(|number| {
            Self::try_from(number).map_err(|_| {
                Invalid::new(
                    format!("{number} is out of range"),
                    format!("write a whole number from 0 to {}", Self::MAX),
                )
            })
        }))
    }
}

impl Value for f64 {
    const WANTED: &'static str = "a number, without quotes";
    fn read(value: &DeValue<'_>) -> Option<Result<Self, Invalid>> {
        number(value)
    }
}
