//! The router's edges, for the fuzz targets.
#![allow(dead_code, reason = "the router's own modules, of which only the edges are tried")]

#[path = "../src/offer.rs"]
mod offer;
pub mod properties;
#[path = "../src/terminal.rs"]
mod terminal;
